"""The union of data sets by name, and the animals that the combined data set gives for an index."""

import json

import numpy as np
import pytest
from mmpose.datasets.datasets.utils import parse_pose_metainfo
from mmpose.registry import DATASETS
from PIL import Image

from clamp.datasets.metainfo import known_metainfo, raw_metainfo
from clamp.datasets.new_dataset import make_metainfo
from clamp.datasets.sampler import SeededIndex
from clamp.datasets.union import common_names, converter_to, unite
from clamp.datasets.vocabulary import KNOWN, propose

MICE = ['eye_L', 'eye_R', 'snout']
RATS = ['tail_base', 'Nose', 'RightEye', 'LeftEye', 'LF_paw', 'RF_paw']
NAMES = dict(mice=propose(MICE), rats=propose(RATS))
UNION = ['left eye', 'right eye', 'nose', 'tail base', 'left front paw', 'right front paw']


def metainfos() -> dict:
    return dict(mice=make_metainfo('mice', MICE, [[0, 2]]), rats=make_metainfo('rats', RATS, [[3, 1], [1, 0]]))


def test_the_union_has_each_name_once_and_its_flip_pairs():
    names, metainfo, converters = unite(metainfos(), NAMES)
    assert names == UNION
    parsed = parse_pose_metainfo(metainfo)
    assert [names[i] for i in parsed['flip_indices']] == [
        'right eye', 'left eye', 'nose', 'tail base', 'right front paw', 'left front paw',
    ]  # fmt: skip
    assert parsed['skeleton_links'] == [(0, 2), (2, 3)]  # eye and nose are linked in both
    assert converters['mice'] == dict(type='KeypointConverter', num_keypoints=6, mapping=[[0, 0], [1, 1], [2, 2]])
    assert converters['rats']['mapping'] == [[0, 3], [1, 2], [2, 1], [3, 0], [4, 4], [5, 5]]


def test_ap10k_and_animalpose_make_29_names():
    known = {name: known_metainfo(name) for name in ('ap10k', 'animalpose')}
    names, metainfo, _ = unite(known, KNOWN)
    assert len(names) == 17 + 20 - 8
    parsed = parse_pose_metainfo(metainfo)
    np.testing.assert_allclose(parsed['sigmas'][:17], known['ap10k']['sigmas'])
    upper = [names[i] for i in parsed['upper_body_ids']]
    # MMPose has AP-10K's right front paw in the lower body and the left one in the upper: Animal-Pose tells
    assert {'left front paw', 'right front paw', 'left elbow', 'left front elbow'} <= set(upper)
    assert {names[i] for i in parsed['lower_body_ids']} >= {'tail base', 'left back paw', 'right back paw', 'left knee'}


EYES = ['left eye', 'right eye']


@pytest.mark.parametrize(
    ('mice', 'new_names', 'message'),
    [
        ([*EYES, 'left eye'], (), "mice gives the name 'left eye' to two keypoints, 'eye_L' and 'snout'"),
        ([*EYES, 'whisker'], (), "'whisker', the name of its 'snout', is in no vocabulary. Near: "),
        ([*EYES, 'snout'], (), "'snout', the name of its 'snout', is in no vocabulary. Near: nose. Give the canonical"),
        ([*EYES, None], (), "its 'snout' is in no vocabulary. Near: nose"),
        (
            ['left eye', 'left ear', 'nose'],
            (),
            "mice: 'eye_L' is named 'left eye', so its mirror image should be 'right eye', but that is 'eye_R', which "
            "is named 'left ear'",
        ),
        (
            [*EYES, 'left ear'],
            (),
            "'snout' is named 'left ear', so its mirror image should be 'right ear', but it is its own mirror image",
        ),
        (EYES, (), 'mice has 3 keypoints, but 2 names: left eye, right eye'),
        (
            [*EYES, 'nose'],
            ['hind paw of the left'],
            "'hind paw of the left' in new_names is in the vocabulary, as 'left back paw'",
        ),
    ],
)
def test_names_that_cannot_be_are_one_error(mice, new_names, message):
    with pytest.raises(ValueError) as error:  # noqa: PT011
        unite(metainfos(), NAMES | dict(mice=mice), new_names)
    assert message in str(error.value)


def test_a_name_for_keypoints_of_both_halves_of_the_body_is_an_error():
    """AP-10K's left elbow is of the front leg; who calls another data set's knee so is wrong."""
    known = dict(ap10k=known_metainfo('ap10k'), coco=known_metainfo('coco'))
    swapped = dict(zip(('elbow', 'knee'), ('knee', 'elbow')))
    names = [' '.join(swapped.get(word, word) for word in name.split()) for name in KNOWN['coco']]
    unite(known, KNOWN)
    with pytest.raises(
        ValueError, match=r"'left knee' to two keypoints: it is of the lower body in ap10k, and of the up"
    ):
        unite(known, dict(ap10k=KNOWN['ap10k'], coco=names))


def test_one_word_for_what_may_be_two_places_is_told(monkeypatch):
    said = []
    monkeypatch.setattr('clamp.datasets.union.print_log', lambda text, *_: said.append(text))
    unite(dict(ap10k=known_metainfo('ap10k'), coco=known_metainfo('coco')), KNOWN)
    assert [line.split(',')[0] for line in said] == ['shoulder', 'elbow', 'hip', 'knee']
    assert "which more than one of ap10k, coco have: a person's is the shoulder joint; AP-10K's" in said[0]
    with pytest.raises(ValueError, match=r'rats has no names: propose\(its keypoints\) finds them'):
        unite(metainfos(), dict(mice=NAMES['mice']))


def test_names_of_ones_own():
    names = dict(mice=['left eye', 'right eye', 'whisker root'], rats=NAMES['rats'])
    assert 'whisker root' in unite(metainfos(), names, ['whisker root'])[0]


def test_keypoints_for_a_model_that_has_others():
    assert common_names(RATS, ['x', 'Nose', 'tail_base']) == ['tail_base', 'Nose']
    converter = converter_to(NAMES['rats'], [*NAMES['mice'], 'throat'])
    assert converter == dict(type='KeypointConverter', num_keypoints=4, mapping=[[1, 2], [2, 1], [3, 0]])
    with pytest.raises(ValueError, match=r'No name is in both: throat; and left eye, right eye, nose'):
        converter_to(['throat'], NAMES['mice'])
    assert common_names([None, 'nose'], [None, 'nose']) == ['nose']  # None: in no vocabulary
    with pytest.raises(ValueError, match=r'No name is in both: None; and nose'):
        converter_to([None], ['nose'])


def test_a_malformed_metainfo_is_one_error():
    infos = metainfos()
    name, info = next(iter(infos.items()))
    infos[name] = info | dict(sigmas=info['sigmas'][:-1])  # the last keypoint would be left out
    with pytest.raises(ValueError, match=rf'{len(info["sigmas"])} keypoints, but {len(info["sigmas"]) - 1} sigmas'):
        unite(
            infos, {each: propose([point['name'] for point in infos[each]['keypoint_info'].values()]) for each in infos}
        )


def test_metainfo_that_is_not_there():
    with pytest.raises(ValueError, match=r'nowhere\.py: no file here or in MMPose'):
        raw_metainfo(dict(metainfo=dict(from_file='nowhere.py')))
    with pytest.raises(ValueError, match='BaseCocoStyleDataset is no data set of MMPose'):
        raw_metainfo(dict(type='BaseCocoStyleDataset'))


def write_dataset(root, name: str, keypoints: list[str], number: int, start: int) -> dict:
    """A data set of images of a grey of their own, keypoint k of image i at (2 k + 1, 3) and one unlabelled."""
    coco = dict(images=[], annotations=[], categories=[dict(id=1, name=name, keypoints=keypoints)])
    for i in range(start, start + number):
        Image.new('RGB', (24, 16), (i, i, i)).save(root / f'{name}{i}.png')
        coco['images'].append(dict(id=i, file_name=f'{name}{i}.png', width=24, height=16))
        points = [value for k in range(len(keypoints)) for value in (2 * k + 1, 3, 2 * (k != 1))]
        coco['annotations'].append(
            dict(id=i, image_id=i, category_id=1, bbox=[0, 0, 24, 16], area=300, iscrowd=0, keypoints=points)
            | dict(num_keypoints=len(keypoints) - 1)
        )
    (root / f'{name}.json').write_text(json.dumps(coco))
    return dict(type='BaseCocoStyleDataset', metainfo=metainfos()[name], data_root=str(root), ann_file=f'{name}.json')


def combined(root, **kwargs) -> dict:
    _, metainfo, converters = unite(metainfos(), NAMES)
    parts = [
        write_dataset(root, name, keypoints, number, start) | dict(pipeline=[converters[name]])
        for name, keypoints, number, start in (('mice', MICE, 4, 10), ('rats', RATS, 8, 100))
    ]
    return dict(type='SeededCombinedDataset', metainfo=metainfo, datasets=parts) | kwargs


def test_a_sample_is_that_of_its_own_data_set_by_name(tmp_path):
    dataset = DATASETS.build(combined(tmp_path))
    rat = dataset[SeededIndex(4, (0, 0, 4))]  # the first after four mice
    assert (rat['dataset_name'], rat['img_id'], len(dataset)) == ('rats', 100, 12)
    labelled = {name: (2.0 * k + 1, 3.0) for k, name in enumerate(NAMES['rats'])}
    for name, place, visible in zip(UNION, rat['keypoints'][0], rat['keypoints_visible'][0, :, 0]):
        assert tuple(place) == labelled[name]
        assert visible == (name != 'nose')  # the second of the rats
    mouse = dataset[SeededIndex(0, (0, 0, 0))]
    np.testing.assert_array_equal(mouse['keypoints_visible'][0], [[1, 1], [0, 1], [1, 1], [0, 0], [0, 0], [0, 0]])
    assert mouse['flip_indices'] == rat['flip_indices'] == [1, 0, 2, 3, 5, 4]


def test_packed_weights_are_of_the_names_that_the_data_set_has(tmp_path):
    pipeline = [
        dict(type='LoadTrainImage'),
        dict(type='GetBBoxCenterScale'),
        dict(type='RandomFlip', direction='horizontal', prob=1.0),
        dict(type='FastTopdownAffine', input_size=(24, 16)),
        dict(type='PackKeypointInputs'),
    ]
    dataset = DATASETS.build(combined(tmp_path, pipeline=pipeline))
    mouse, rat = (dataset[SeededIndex(i, (0, 0, i))] for i in (0, 4))
    assert mouse['keypoint_weights'].tolist() == [0, 2, 2, 0, 0, 0]  # 6 / 3; flipped: the right eye is the left one
    assert rat['keypoint_weights'].tolist() == [1, 1, 0, 1, 1, 1]


def drawn(dataset, epoch: int, order=range(1000)) -> dict[int, int]:
    return {i: dataset.get_data_info(SeededIndex(i, (3, epoch, i)))['img_id'] for i in order if i < len(dataset)}


def test_draws_follow_from_seed_epoch_and_index_alone(tmp_path):
    """A quarter of the rats in an epoch, others in the next, and each mouse three times."""
    dataset = DATASETS.build(combined(tmp_path, sample_ratio_factor=[3, 0.25]))
    assert dataset.lens == [12, 2]
    first = drawn(dataset, 0)
    np.random.seed(5)  # noqa: NPY002  another state of the generator, another order
    assert drawn(dataset, 0, reversed(range(14))) == first
    assert set(first.values()) == {10, 11, 12, 13, first[12], first[13]}
    rats = [frozenset(drawn(dataset, epoch, (12, 13)).values()) for epoch in range(20)]
    assert len(set(rats)) > 5
    assert frozenset.union(*rats) == set(range(100, 108))
