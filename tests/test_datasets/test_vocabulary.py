"""What a keypoint is called: canonical names by words, and the maps of known data sets."""

import pytest

from clamp.datasets.metainfo import known_metainfo
from clamp.datasets.vocabulary import DIFFERENCES, KNOWN, NAMES, canonical, differences, near, propose
from clamp.keypoint_names import mirrored


@pytest.mark.parametrize('name', ['ap10k', 'animalpose', 'coco', 'macaque'])
def test_known_maps_are_what_the_words_of_mmposes_names_say(name):
    keypoints = [info['name'] for info in known_metainfo(name)['keypoint_info'].values()]
    assert propose(keypoints) == list(KNOWN[name])


def test_every_known_name_is_in_the_vocabulary_and_so_is_its_mirror_image():
    for names in KNOWN.values():
        assert len(set(names)) == len(names)
        assert set(names) | set(map(mirrored, names)) <= set(NAMES)
    assert all(canonical(name) == name for name in NAMES)
    assert all(mirrored(name) in NAMES for name in NAMES)
    assert set(DIFFERENCES) <= {name.removeprefix('left ').removeprefix('right ') for name in NAMES}


@pytest.mark.parametrize(
    ('name', 'meant'),
    [
        ('LF_hoof', 'left front paw'),
        ('pawHR', 'right back paw'),
        ('Hindpaw_left', 'left back paw'),
        ('root_of_tail', 'tail base'),
        ('tailbase', 'tail base'),
        ('Snout', 'nose'),
        ('tip of the nose', 'nose'),
        ('right hock', 'right back knee'),
        ('stifle_L', 'left back elbow'),
        ('left ear', 'left ear'),
        ('ear_base_right', 'right ear base'),
        ('left elbow', 'left elbow'),
        ('left front elbow', 'left front elbow'),
        ('eye', None),  # of which side?
        ('left nose', None),
        ('banana', None),
        ('', None),
    ],
)
def test_words_tell_the_name(name, meant):
    assert canonical(name) == meant


def test_a_side_may_be_one_letter_where_another_name_has_the_other():
    assert propose(['Lshoulder', 'Rshoulder', 'Nose', 'banana']) == ['left shoulder', 'right shoulder', 'nose', None]


def test_ap10k_and_animalpose_share_what_is_at_one_place():
    shared = [name for name in KNOWN['ap10k'] if name in KNOWN['animalpose']]
    assert shared == [
        'left eye', 'right eye', 'nose', 'tail base', 'left front paw', 'right front paw', 'left back paw',
        'right back paw',
    ]  # fmt: skip
    assert set(differences(KNOWN['ap10k'])) == {'neck', 'shoulder', 'elbow', 'hip', 'knee'}
    assert "Animal-Pose's back knee" in differences(['left knee', 'right knee'])['knee']
    assert differences(['nose']) == {}


def test_sided_names_of_one_word_have_no_place_to_tell_of():
    assert differences(['snout', 'tuskL', 'tuskR']) == {}


def test_near_names():
    assert near('left whiskr')[0] == 'left whiskers'
    assert near('left_front_pw')[0] == 'left front paw'
    assert 'tail tip' in near('tail')
    assert near('xyz') == []
