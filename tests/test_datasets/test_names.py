import warnings
from pathlib import Path

import mmpose
import pytest
from mmengine.config import Config

from clamp.datasets.names import readable, spell_out
from clamp.datasets.new_dataset import make_metainfo, sides_of, swaps_of


@pytest.mark.parametrize(
    ('names', 'prompts'),
    [
        (['LF_Paw', 'RF_Paw', 'LH_Paw', 'RH_Paw'], 'left front paw, right front paw, left hind paw, right hind paw'),
        (['pawFL', 'pawFR', 'eye_L', 'eye_R'], 'left front paw, right front paw, left eye, right eye'),
        (['Lshoulder', 'Rshoulder', 'LHip', 'RHip'], 'left shoulder, right shoulder, left hip, right hip'),
        (['LFpaw', 'RFpaw', 'lhoof', 'rhoof'], 'left front paw, right front paw, left hoof, right hoof'),
        (['FL1', 'FR1', 'FL2', 'FR2'], 'left front 1, right front 1, left front 2, right front 2'),
        (['LF', 'RF', 'LR', 'RR'], 'left front, right front, left rear, right rear'),
        (['FL', 'FR', 'RL', 'RR'], 'left front, right front, left rear, right rear'),
        (['flpaw', 'frpaw', 'eyel', 'eyer'], 'left front paw, right front paw, left eye, right eye'),
        (['L_ear', 'R_ear', 'leftEye', 'rightEye'], 'left ear, right ear, left eye, right eye'),
    ],
)
def test_sides_as_laboratories_write_them(names, prompts):
    assert ', '.join(map(readable, spell_out(names))) == prompts
    a, b, c, d = names
    assert swaps_of([*names, 'nose']) == {a: b, b: a, c: d, d: c, 'nose': 'nose'}
    assert sides_of(names) == ['left', 'right'] * 2


def test_an_l_without_an_r_is_no_side():
    names = ['Lip', 'Rump', 'tail', 'collar', 'Rear', 'nose']
    assert sides_of(names) == ['middle'] * 6
    assert swaps_of(names) == dict(zip(names, names))


def test_a_limb_without_its_counterpart_is_an_error():
    with pytest.raises(ValueError, match=r"'LF_paw' have a side, but no counterpart.*--pair LEFT RIGHT"):
        swaps_of(['LF_paw', 'nose'])


@pytest.mark.parametrize('name', ['fly', 'locust', 'zebra', 'macaque', 'horse10', 'atrw', 'interhand2d'])
def test_pairs_are_those_of_mmpose(name):
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        file = Path(mmpose.__file__).parent / f'.mim/configs/_base_/datasets/{name}.py'
        infos = Config.fromfile(file).dataset_info.keypoint_info.values()
    assert swaps_of([info['name'] for info in infos]) == {info['name']: info['swap'] or info['name'] for info in infos}


def test_pairs_that_no_name_tells_are_given():
    names, pair = ['Nase', 'Auge_links', 'Auge_rechts'], ('Auge_links', 'Auge_rechts')
    assert swaps_of(names)['Auge_links'] == 'Auge_links'
    assert swaps_of(names, [pair]) == {'Nase': 'Nase', 'Auge_links': 'Auge_rechts', 'Auge_rechts': 'Auge_links'}
    info = make_metainfo('hund', names, [[0, 1]], [pair])
    assert [keypoint['color'] for keypoint in info['keypoint_info'].values()][1:] == [[0, 255, 0], [255, 128, 0]]
    with pytest.raises(ValueError, match="no keypoint 'Ohr'"):
        swaps_of(names, [('Ohr', 'Nase')])
    for pairs in ([pair, ('Nase', 'Auge_links')], [('Nase', 'Nase')]):
        with pytest.raises(ValueError, match='in two pairs, or is its own'):
            swaps_of(names, pairs)
