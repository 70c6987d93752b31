"""Against xtcocotools on data sets that are really resampled, duplicated or cut."""

import contextlib
import io

import numpy as np
import pytest
from xtcocotools.coco import COCO
from xtcocotools.cocoeval import COCOeval

from clamp.evaluation.bootstrap import draw_weights, estimate
from clamp.report.average_precision import match, scores, weighted_mean

SIGMAS = np.array([0.05, 0.1, 0.08])
FAMILIES = {1: 'Felidae', 2: 'Canidae', 3: 'Canidae'}


def build_coco(images: list[dict], annotations: list[dict]) -> COCO:
    coco = COCO()
    coco.dataset = dict(images=images, annotations=annotations, categories=[dict(id=i, name=str(i)) for i in FAMILIES])
    with contextlib.redirect_stdout(io.StringIO()):
        coco.createIndex()
    return coco


@pytest.fixture
def drawn() -> tuple[COCO, list[dict]]:
    """14 images with up to three animals of three categories and all sizes, and a detection for most of them."""
    rng = np.random.default_rng(3)
    annotations, detections = [], []
    for id_ in range(40):
        size, corner = rng.choice([20, 60, 150]), rng.uniform(0, 300, 2)
        keypoints = np.c_[corner + rng.uniform(0, size, (3, 2)), rng.choice([0, 2, 2], 3)]
        common = dict(image_id=int(rng.integers(1, 15)), bbox=[*corner.tolist(), int(size), int(size)])
        annotations.append(
            dict(
                common,
                id=id_ + 1,
                category_id=int(rng.integers(1, 4)),
                area=float(size**2 * 0.8),
                iscrowd=0,
                keypoints=keypoints.ravel().tolist(),
            )
        )
        if rng.random() < 0.9:
            keypoints[:, :2] += rng.normal(0, rng.choice([0.02, 0.1]) * size, (3, 2))
            detections.append(dict(common, annotation_id=id_ + 1, keypoints=keypoints, score=float(rng.random())))
    return build_coco([dict(id=id_) for id_ in range(1, 15)], annotations), detections


def coco_stats(coco: COCO, detections: list[dict]) -> dict[str, float]:
    results = [
        dict(
            image_id=item['image_id'],
            category_id=coco.anns[item['annotation_id']]['category_id'],
            bbox=item['bbox'],
            keypoints=item['keypoints'].ravel().tolist(),
            score=item['score'],
        )
        for item in detections
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = COCOeval(coco, coco.loadRes(results), 'keypoints', SIGMAS)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return dict(zip(['AP', 'AP50', 'AP75', 'APM', 'APL', 'AR'], evaluation.stats))


def test_the_data_set_itself_gives_cocos_numbers(drawn):
    coco, detections = drawn
    detections = [dict(item, score=round(item['score'], 1)) for item in detections]  # some are the same
    stats = coco_stats(coco, detections)
    matches = match(coco, detections, SIGMAS, areas=('all', 'medium', 'large'))
    once = np.ones((1, 14), int)
    found = {key: value[0] for key, value in scores(matches['all', 'all'], once).items()}
    assert found == pytest.approx({key: stats[key] for key in found}, abs=1e-12)
    assert 0.1 < found['AP'] < 0.9
    for key, area in (('APM', 'medium'), ('APL', 'large')):
        assert scores(matches['all', area], once)['AP'][0] == pytest.approx(stats[key], abs=1e-12)


@pytest.mark.parametrize('seed', range(3))
def test_weights_are_a_data_set_with_these_images(drawn, seed):
    coco, detections = drawn
    weights = draw_weights(14, 1, seed)[1:]
    found = scores(match(coco, detections, SIGMAS)['all', 'all'], weights)

    images, annotations, copies = [], [], []  # of each image as many as were drawn, under new ids, in order
    for image, times in zip(coco.dataset['images'], weights[0].tolist()):
        for copy in range(times):
            images.append(dict(id=image['id'] * 100 + copy))
            for ann in (ann for ann in coco.dataset['annotations'] if ann['image_id'] == image['id']):
                annotations.append(dict(ann, id=ann['id'] * 100 + copy, image_id=images[-1]['id']))
            for item in (item for item in detections if item['image_id'] == image['id']):
                new_id = item['annotation_id'] * 100 + copy
                copies.append(dict(item, image_id=images[-1]['id'], annotation_id=new_id))
    stats = coco_stats(build_coco(images, annotations), copies)
    assert {key: value[0] for key, value in found.items()} == pytest.approx(
        {key: stats[key] for key in found}, abs=1e-12
    )


def test_a_group_is_a_file_of_its_animals(drawn):
    coco, detections = drawn
    family = {id_: FAMILIES[ann['category_id']] for id_, ann in coco.anns.items()}
    matches = match(coco, detections, SIGMAS, group=family.get)
    for name in ('Felidae', 'Canidae'):
        alone = build_coco(coco.dataset['images'], [dict(ann) for id_, ann in coco.anns.items() if family[id_] == name])
        stats = coco_stats(alone, [item for item in detections if family[item['annotation_id']] == name])
        assert scores(matches[name, 'all'], np.ones((1, 14), int))['AP'][0] == pytest.approx(stats['AP'], abs=1e-12)


def test_a_resample_without_the_animals_does_not_count(drawn):
    coco, detections = drawn
    rare = next(ann for ann in coco.dataset['annotations'] if any(ann['keypoints'][2::3]))
    matches = match(coco, detections, SIGMAS, group=lambda id_: id_ == rare['id'])
    weights = np.ones((2, 14), int)
    weights[1, rare['image_id'] - 1] = 0
    assert np.isnan(scores(matches[True, 'all'], weights)['AP']).tolist() == [False, True]


def test_resamples_are_of_the_same_number_of_images():
    weights = draw_weights(14, 200)
    assert weights[0].tolist() == [1] * 14
    assert set(weights.sum(1)) == {14}
    assert (weights == draw_weights(14, 200)).all()
    assert not (weights == draw_weights(14, 200, seed=1)).all()


def test_estimate_is_the_middle_95_percent():
    values = np.r_[0.4, np.arange(101) / 100, np.nan]
    found = estimate(values)
    assert (found.value, found.low, found.high) == pytest.approx((0.4, 0.025, 0.975))
    assert np.isnan(estimate(np.array([np.nan, 0.1])).low)


def test_weighted_mean_leaves_out_what_does_not_count():
    values = np.array([[0.2, np.nan], [0.8, 0.4]])
    weights = np.array([[1, 1], [3, 1], [1, 0]])
    found = weighted_mean(values, ~np.isnan(values), np.array([0, 1]), weights)
    np.testing.assert_allclose(found, [[0.5, 0.4], [0.35, 0.4], [0.2, np.nan]])
