import json

import pytest
from mmpose.datasets.datasets.utils import parse_pose_metainfo

from clamp.datasets.coco import keypoints_of, read
from clamp.datasets.names import readable
from clamp.datasets.new_dataset import make_metainfo, swaps_of
from tests.tiny_data import MOUSE, sparse_coco


def write(tmp_path, content):
    path = tmp_path / 'ann.json'
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


@pytest.mark.parametrize(
    ('name', 'words'),
    [
        ('L_F_Paw', 'left front paw'),
        ('left_eye', 'left eye'),
        ('LeftEye', 'left eye'),
        ('lefteye', 'left eye'),
        ('ear-base.R', 'right ear base'),
        ('knee_back_L', 'left back knee'),
        ('back_middle', 'back middle'),
        ('Root of tail', 'root of tail'),
        ('leftover', 'left over'),
    ],
)
def test_readable_names(name, words):
    assert readable(name) == words


def test_flip_pairs_follow_from_the_names():
    swaps = swaps_of(['nose', 'earL', 'Ear_R', 'l_hip', 'rightHip'])
    assert swaps == {'nose': 'nose', 'earL': 'Ear_R', 'Ear_R': 'earL', 'l_hip': 'rightHip', 'rightHip': 'l_hip'}


@pytest.mark.parametrize(
    ('names', 'message'),
    [
        (['left eye', 'nose'], "'left eye' have a side, but no counterpart"),
        (['nose', 'left eye', 'L_Eye', 'right eye'], "the same name, 'left eye'"),
    ],
)
def test_names_that_make_no_pairs_are_refused(names, message):
    with pytest.raises(ValueError, match=message):
        swaps_of(names)


@pytest.mark.parametrize('known', ['animalpose', 'coco'])
def test_metainfo_of_known_keypoints_is_mmposes(known):
    expected = parse_pose_metainfo(dict(from_file=f'configs/_base_/datasets/{known}.py'))
    links = [list(link) for link in expected['skeleton_links']]
    ours = parse_pose_metainfo(make_metainfo('mine', list(expected['keypoint_name2id']), links))
    for key in ('flip_indices', 'upper_body_ids', 'lower_body_ids', 'keypoint_name2id'):
        assert ours[key] == expected[key]
    assert ours['sigmas'] == pytest.approx(expected['sigmas'])
    assert [list(link) for link in ours['skeleton_links']] == links


def test_unknown_keypoints_get_the_stated_sigma_and_colours_tell_the_sides():
    info = make_metainfo('mice', MOUSE, [[0, 2], [1, 2], [0, 1]])
    assert info['sigmas'] == [0.025, 0.025, 0.05]
    green, orange, blue = [0, 255, 0], [255, 128, 0], [51, 153, 255]
    assert [keypoint['color'] for keypoint in info['keypoint_info'].values()] == [green, orange, blue]
    assert [link['color'] for link in info['skeleton_info'].values()] == [green, orange, blue]
    assert info['skeleton_info'][0]['link'] == ('left_eye', 'snout')


def test_what_the_metric_needs_is_filled_in_and_nothing_else_is_changed(tmp_path):
    source = sparse_coco()
    source['annotations'][0]['area'] = 7
    source['annotations'].append(dict(id=20, image_id=0, category_id=1, bbox=[0, 0, 5, 5]))  # a box alone
    found = read(write(tmp_path, source))
    assert [ann['area'] for ann in found['annotations']] == [7, 200, 200, 200]
    assert [(ann['num_keypoints'], ann['iscrowd']) for ann in found['annotations']] == [(2, 0)] * 4
    assert found['images'] == source['images']
    assert keypoints_of(found) == (MOUSE, [[0, 2], [1, 2], [0, 1]])


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (sparse_coco() | dict(categories=[dict(id=1, name='mouse')]), 'none of its `categories` has `keypoints`'),
        (
            sparse_coco() | dict(categories=[dict(id=i, name=f'no {i}', keypoints=MOUSE[:i]) for i in (1, 2)]),
            'the categories no 1 and no 2 have different `keypoints`',
        ),
        (
            sparse_coco() | dict(categories=[dict(id=1, name='mouse', keypoints=MOUSE, skeleton=[[0, 1]])]),
            r'the `skeleton` of mouse has numbers outside 1\.\.3',
        ),
        (
            sparse_coco() | dict(categories=[dict(id=1, name='mouse', keypoints=MOUSE, skeleton=[[1, None]])]),
            r'the `skeleton` of mouse should be pairs of whole numbers: .*null',
        ),
    ],
)
def test_other_files_are_refused(content, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        keypoints_of(read(write(tmp_path, content)))
