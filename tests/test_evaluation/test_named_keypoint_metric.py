import copy
import json
from pathlib import Path

import numpy as np
import pytest
from mmpose.registry import METRICS

from clamp.evaluation.bootstrap import draw_weights
from clamp.evaluation.named_keypoint_metric import auroc, nearest_midpoints

NAMES = ['nose', 'left eye', 'tail']


def sample(id_: int, box: tuple, truth: list, found: list, scores=(0.9, 0.8, 0.7), species='cat') -> dict:
    """An animal as MMPose hands it over; truth is x, y, v for each of the names."""
    truth = np.array(truth, float).reshape(1, -1, 3)
    return dict(
        id=id_,
        img_id=id_ // 2,
        raw_ann_info=dict(bbox=list(box), species=species, category_id=1),
        gt_instances=dict(keypoints=truth[..., :2], keypoints_visible=truth[..., 2]),
        pred_instances=dict(keypoints=np.array([found], float), keypoint_scores=np.array([scores], float)),
    )


def evaluate(samples: list, **kwargs) -> dict:
    metric = METRICS.build(dict(type='NamedKeypointMetric', keypoint_names=NAMES) | kwargs)
    metric.process({}, samples)
    return metric.evaluate(len(samples))


CATS = [
    # nose 10 off in a box of 100: a hit at 0.1; the eye 15 off: at 0.2 alone; the tail unlabelled
    sample(0, (0, 0, 50, 100), [10, 10, 2, 40, 50, 2, 0, 0, 0], [[10, 20], [40, 65], [0, 0]], (0.9, 0.3, 0.5)),
    # of 40: nose 3 off, a hit; the eye 9 off: none; the tail 8.1 off: none
    sample(1, (50, 0, 40, 20), [60, 10, 1, 70, 10, 2, 80, 9, 2], [[63, 10], [70, 19], [88.1, 9]], (0.9, 0.2, 0.4)),
]


def test_pck_by_hand():
    dog = sample(2, (0, 0, 10, 10), [5, 5, 2, 0, 0, 0, 0, 0, 0], [[5, 5], [0, 0], [0, 0]], species='dog')
    values = evaluate([*CATS, dog], novel=['left eye'])
    expected = {
        'novel/PCK@0.1': 0, 'novel/PCK@0.2': 1 / 2, 'base/PCK@0.1': 3 / 4, 'base/PCK@0.2': 3 / 4,
        'cat/base/PCK@0.1': 2 / 3, 'dog/base/PCK@0.1': 1, 'cat/novel/PCK@0.2': 1 / 2,
        'nose/PCK@0.1': 1, 'tail/PCK@0.2': 0, 'left eye/PCK@0.2': 1 / 2,
    }  # fmt: skip
    assert {key: values[key] for key in expected} == pytest.approx(expected)
    assert 'dog/novel/PCK@0.1' not in values  # nothing labelled


def test_the_interval_is_of_images():
    """Both cats are of one image: no resample differs. With the dog of another image, some do."""
    values = evaluate(CATS)
    assert values['base/PCK@0.2 low'] == values['base/PCK@0.2'] == values['base/PCK@0.2 high'] == pytest.approx(3 / 5)
    dog = sample(2, (0, 0, 10, 10), [5, 5, 2, 5, 5, 2, 5, 5, 2], [[5, 5]] * 3)
    values = evaluate([*CATS, dog])
    assert values['base/PCK@0.2'] == pytest.approx(6 / 8)
    assert (values['base/PCK@0.2 low'], values['base/PCK@0.2 high']) == pytest.approx((3 / 5, 1))
    weights = draw_weights(2, 50)
    assert weights[0].tolist() == [1, 1]
    assert (weights.sum(1) == 2).all()


def test_auroc_by_hand():
    assert auroc(np.array([0.9, 0.4]), np.array([0.5, 0.1])) == 3 / 4
    assert auroc(np.array([0.5]), np.array([0.5])) == 1 / 2
    assert np.isnan(auroc(np.array([0.5]), np.array([])))
    # noses, eyes and a tail against the unlabelled tail's 0.5: 2 of 5 are above
    values = evaluate(CATS)
    assert values['base/AUROC'] == pytest.approx(2 / 5)
    assert 'novel/AUROC' not in values


def write(folder: Path, *animals: dict) -> Path:
    """A COCO file with an image of these animals, which have four keypoints."""
    path, rest = folder / 'trainval.json', dict(image_id=1, category_id=1, area=9, iscrowd=0, num_keypoints=3)
    images = [dict(id=1, file_name='1.jpg', width=100, height=100)]
    categories = [dict(id=1, name='animal', keypoints=['a', 'b', 'c', 'd'])]
    coco = dict(images=images, annotations=[rest | animal for animal in animals], categories=categories)
    path.write_text(json.dumps(coco))
    return path


def test_answers_that_need_no_words(tmp_path):
    """The mean pose is that of the animal which is not tested; in it the nose is nearest to the eye."""
    path = write(
        tmp_path,
        dict(id=0, bbox=[0, 0, 10, 10], keypoints=[9, 9, 2, 9, 9, 2, 9, 9, 2, 0, 0, 0]),
        dict(id=5, bbox=[10, 10, 10, 20], keypoints=[0, 0, 0, 19, 13, 2, 18, 15, 2, 12, 20, 2]),
    )
    animal = sample(0, (0, 0, 100, 100), [90, 15, 2, 82, 25, 2, 50, 50, 2], [[75, 25], [0, 0], [0, 0]])
    values = evaluate([animal], novel=['left eye'], reference=dict(ann_file=str(path), places=[1, 2, 3]))
    assert values['novel/PCK@0.1 of the mean pose'] == 1  # (80, 25)
    assert values['base/PCK@0.1 of the mean pose'] == 1 / 2  # (90, 15), and (20, 50) for the tail at (50, 50)
    assert values['novel/PCK@0.1'] == 0
    assert values['novel/PCK@0.1 of the nearest'] == 1  # the nose was predicted at (75, 25)


def test_the_midpoint_of_two_base_keypoints(tmp_path):
    """On the others the eye is halfway between nose and ear, the tail is of no use."""
    ears = [
        dict(id=5, bbox=[0, 0, 40, 20], keypoints=[0, 0, 2, 11, 0, 2, 20, 0, 2, 0, 20, 2]),  # nose, eye, ear, tail
        dict(
            id=6, bbox=[0, 0, 10, 10], keypoints=[0, 0, 2, 4, 5, 2, 0, 10, 0, 9, 10, 2]
        ),  # no ear, eye near the tail's
    ]
    ends = nearest_midpoints(ears, [0, 1, 2, 3], np.array([False, True, False, False]))
    assert ends.tolist() == [[0, 0], [0, 2], [2, 2], [3, 3]]  # (1 / 40 against 10.2 / 40 and 14.5 / 40; 0.5 / 10)
    found = [[10, 10], [90, 90], [50, 10]]  # nose, eye, ear: the eye's midpoint is (30, 10)
    animal = sample(0, (0, 0, 100, 100), [10, 10, 2, 35, 10, 2, 50, 10, 2], found)
    reference = dict(ann_file=str(write(tmp_path, *ears)), places=(0, 1, 2))
    values = evaluate([animal], novel=['left eye'], reference=reference)
    assert (values['novel/PCK@0.1'], values['novel/PCK@0.1 of the midpoint']) == (0, 1)
    assert values['base/PCK@0.1 of the midpoint'] == values['base/PCK@0.1'] == 1


def test_wrong_arguments_are_refused(tmp_path):
    with pytest.raises(ValueError, match="novel has 'hoof', which is not among nose, left eye, tail"):
        evaluate(CATS, novel=['hoof'])
    path = write(tmp_path, dict(id=0, bbox=[0, 0, 10, 10], keypoints=[9, 9, 2] * 4))
    with pytest.raises(ValueError, match='no animals but those tested'):
        evaluate(CATS, novel=['left eye'], reference=dict(ann_file=str(path), places=[0, 1, 2]))
    path = write(tmp_path, dict(id=0, bbox=[0, 0, 10, 10], keypoints=[9, 9, 2, 0, 0, 0, 9, 9, 2, 9, 9, 2]))
    with pytest.raises(ValueError, match=r'trainval\.json, the reference, has no label of left eye'):
        evaluate(CATS, novel=['left eye'], reference=dict(ann_file=str(path), places=[0, 1, 2]))
    with pytest.raises(ValueError, match='reference has 2 places, for 3 names'):
        evaluate(CATS, reference=dict(ann_file=str(path), places=[0, 1]))
    with pytest.raises(FileNotFoundError, match=r'nowhere\.json of the mean pose is not there'):
        evaluate([], reference=dict(ann_file='nowhere.json', places=[0, 1, 2]))


def test_visibility_of_a_keypoint_converter():
    """It gives pairs of numbers, whether a keypoint is labelled and whether it may count."""
    plain, pairs = evaluate(CATS, novel=['left eye']), copy.deepcopy(CATS)
    for animal in pairs:
        visible = animal['gt_instances']['keypoints_visible']
        animal['gt_instances']['keypoints_visible'] = np.stack([visible, np.ones_like(visible)], -1)
    assert evaluate(pairs, novel=['left eye']) == plain


def test_the_interval_is_of_95_percent_of_images_with_any_ids():
    """Of 20 images 8 are right: the quantiles of Binomial(20, 0.4) / 20 are 4 and 12."""
    animals = [
        sample(2 * i, (0, 0, 10, 10), [5, 5, 2] + [0] * 6, [[5, 5 + 9 * (i >= 8)], [0, 0], [0, 0]]) for i in range(20)
    ]
    for animal in animals:
        animal['img_id'] = 100 + 50 * animal['img_id']
    values = evaluate(animals)
    assert [values[f'base/PCK@0.1{end}'] for end in ('', ' low', ' high')] == pytest.approx([0.4, 0.2, 0.6])


def test_the_mean_pose_in_a_box_away_from_the_origin(tmp_path):
    path = write(tmp_path, dict(id=5, bbox=[10, 10, 10, 20], keypoints=[0, 0, 0, 19, 13, 2, 18, 15, 2, 12, 20, 2]))
    animal = sample(0, (200, 300, 100, 40), [290, 306, 2, 280, 310, 2, 220, 320, 2], [[0, 0]] * 3)
    values = evaluate([animal], thresholds=[0.001], reference=dict(ann_file=str(path), places=[1, 2, 3]))
    assert values['base/PCK@0.001 of the mean pose'] == 1
