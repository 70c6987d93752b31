"""AP and PCK of keypoints by name, and the evaluator that gives each animal to the metrics of its data set."""

import json

import numpy as np
import pytest
from mmpose.evaluation.metrics import CocoMetric
from mmpose.registry import EVALUATORS, METRICS

from clamp.datasets.new_dataset import make_metainfo
from clamp.evaluation.many_datasets_evaluator import as_table

KEYPOINTS = ['nose', 'tail_base', 'eye_L', 'eye_R']
ANNOTATED = ['nose', 'tail base', 'left eye', 'right eye']
PREDICTED = ['throat', 'left eye', 'right eye', 'nose']  # another order, one more, one less
COMMON = ['nose', 'left eye', 'right eye']
METAINFO = make_metainfo('mice', KEYPOINTS, []) | dict(sigmas=[0.03, 0.2, 0.05, 0.05])


def make_coco(number: int = 40, seed: int = 0) -> dict:
    """Animals of 100 pixels on an image each, a quarter of the keypoints unlabelled; the last has a tail alone."""
    rng = np.random.default_rng(seed)
    coco = dict(images=[], annotations=[], categories=[dict(id=1, name='mouse', keypoints=KEYPOINTS)])
    for i in range(number):
        visible = 2 * (rng.random(4) < 0.75) if i < number - 1 else np.array([0, 2, 0, 0])
        visible[1] = 2
        points = np.c_[rng.uniform(10, 90, (4, 2)), visible]
        coco['images'].append(dict(id=i, file_name=f'{i}.png', width=100, height=100))
        coco['annotations'].append(
            dict(id=100 + i, image_id=i, category_id=1, bbox=[0, 0, 100, 100], area=8000.0, iscrowd=0)
            | dict(keypoints=points.ravel().tolist(), num_keypoints=int((visible > 0).sum()))
        )
    return coco


def only(coco: dict, places: list[int]) -> dict:
    """The same file with some keypoints, without the animals of which none is labelled."""
    kept = []
    for ann in coco['annotations']:
        points = np.reshape(ann['keypoints'], (-1, 3))[places]
        if points[:, 2].any():
            kept.append(ann | dict(keypoints=points.ravel().tolist(), num_keypoints=int((points[:, 2] > 0).sum())))
    return coco | dict(annotations=kept)


def predictions(coco: dict, names: list[str], name: str = 'mice', error: float = 6.0) -> list[dict]:
    """A model's answers for its names, some pixels off; what is not annotated, somewhere."""
    rng, samples = np.random.default_rng(1), []
    for ann in coco['annotations']:
        truth = dict(zip(ANNOTATED, np.reshape(ann['keypoints'], (-1, 3))))
        noise = {each: rng.normal(0, error, 2) for each in sorted({*ANNOTATED, *PREDICTED})}
        found = [truth[each][:2] + noise[each] if each in truth else noise[each] for each in names]
        samples.append(
            dict(
                id=ann['id'],
                img_id=ann['image_id'],
                category_id=1,
                dataset_name=name,
                pred_instances=dict(keypoints=np.array([found]), keypoint_scores=rng.uniform(0.5, 1, (1, len(names)))),
                gt_instances=dict(bbox_scores=np.ones(1), bbox_scales=np.full((1, 2), 100.0)),
            )
        )
    return samples


def write(path, coco: dict) -> str:
    path.write_text(json.dumps(coco))
    return str(path)


def metric(ann_file: str, **kwargs) -> dict:
    config = dict(
        type='NamedCocoMetric', ann_file=ann_file, metainfo=METAINFO, annotated=ANNOTATED, predicted=PREDICTED
    )
    return config | kwargs


def evaluate(config: dict, samples: list) -> dict:
    built = METRICS.build(config)
    built.process([], samples)
    return {key.split('/')[-1]: value for key, value in built.evaluate(len(samples)).items()}


def test_ap_of_common_names_is_that_of_a_file_with_these_alone(tmp_path):
    """Against MMPose's own metric on a file without the others. An animal without a common one counts nothing."""
    coco = make_coco()
    measured = evaluate(metric(write(tmp_path / 'all.json', coco), only=COMMON), predictions(coco, PREDICTED))
    part = only(coco, [0, 2, 3])
    assert len(part['annotations']) < len(coco['annotations'])
    theirs = CocoMetric(ann_file=write(tmp_path / 'common.json', part), score_mode='bbox')
    theirs.dataset_meta = dict(num_keypoints=3, sigmas=np.array([0.03, 0.05, 0.05]))
    ids = {ann['id'] for ann in part['annotations']}
    samples = [sample for sample in predictions(coco, PREDICTED) if sample['id'] in ids]
    for sample in samples:
        for key in ('keypoints', 'keypoint_scores'):
            sample['pred_instances'][key] = sample['pred_instances'][key][:, [3, 1, 2]]
    theirs.process([], samples)
    expected = theirs.evaluate(len(samples))
    ours = evaluate(metric(str(tmp_path / 'all.json'), only=COMMON, score_mode='bbox'), predictions(coco, PREDICTED))
    assert 0.2 < ours['AP'] < 0.95
    assert {f'coco/{key}': value for key, value in ours.items() if key != 'PCK@0.1'} == pytest.approx(expected)
    assert ours['PCK@0.1'] == measured['PCK@0.1']


def test_pck_by_hand(tmp_path):
    coco = make_coco(3)
    coco['annotations'][0].update(keypoints=[50, 50, 2, 1, 1, 2, 20, 20, 2, 0, 0, 0], num_keypoints=3)
    coco['annotations'][1].update(keypoints=[50, 50, 1, 1, 1, 2, 0, 0, 0, 0, 0, 0], num_keypoints=2)
    samples = predictions(coco, ANNOTATED)
    for sample, found in zip(samples, ([[50, 59], [1, 1], [20, 31], [0, 0]], [[50, 61], [1, 1], [20, 20], [0, 0]])):
        sample['pred_instances']['keypoints'] = np.array([found], float)
    path = write(tmp_path / 'a.json', coco)
    values = evaluate(metric(path, predicted=ANNOTATED, only=['nose', 'left eye']), samples)
    assert values['PCK@0.1'] == pytest.approx(1 / 3)  # 9 of 100: a hit; 11: none
    values = evaluate(metric(path, predicted=ANNOTATED), samples[:2])
    assert values['PCK@0.1'] == pytest.approx(3 / 5)


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({}, r"'tail base' is to be measured, but is not predicted for .*: throat, left eye, right eye, nose"),
        (dict(only=['throat']), r"'throat' is to be measured, but is not annotated in"),
        (dict(annotated=ANNOTATED[:3]), 'has 4 keypoints, but 3 names'),
        (dict(only=[]), '`only` is empty'),
        (
            dict(annotated=COMMON, only=COMMON, metainfo=make_metainfo('mice', ['nose', 'eye_L', 'eye_R'], [])),
            'has 4 keypoints, but there are 3 names',
        ),
    ],
)
def test_names_that_cannot_be_measured_are_refused(changes, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        METRICS.build(metric(write(tmp_path / 'a.json', make_coco(2)), **changes))


def test_a_model_of_other_names_is_refused(tmp_path):
    coco = make_coco(2)
    with pytest.raises(ValueError, match=r'predicts 3 keypoints, but the metric of .* has 4 names'):
        evaluate(metric(write(tmp_path / 'a.json', coco), only=COMMON), predictions(coco, PREDICTED[1:]))


def test_each_data_set_is_measured_by_its_own_metrics(tmp_path, monkeypatch):
    """Two files with the same ids: what the evaluator says of each is what its metric alone says."""
    cocos = dict(mice=make_coco(seed=0), rats=make_coco(12, seed=2))
    files = {name: write(tmp_path / f'{name}.json', coco) for name, coco in cocos.items()}
    samples = {
        name: predictions(coco, PREDICTED, name, error) for (name, coco), error in zip(cocos.items(), (6.0, 3.0))
    }
    lines = []
    monkeypatch.setattr('clamp.evaluation.many_datasets_evaluator.print_log', lambda text, logger: lines.append(text))
    configs = dict(
        mice=[metric(files['mice'], only=COMMON)],
        rats=[metric(files['rats'], only=COMMON), metric(files['rats'], only=['nose'], prefix='nose')],
    )
    evaluator = EVALUATORS.build(dict(type='ManyDatasetsEvaluator', metrics=configs))
    mixed = [sample for pair in zip(samples['mice'], samples['rats']) for sample in pair] + samples['mice'][12:]
    for start in range(0, len(mixed), 7):
        evaluator.process(mixed[start : start + 7])
    values = evaluator.evaluate(len(mixed))
    for name in cocos:
        alone = evaluate(
            metric(files[name], only=COMMON), predictions(cocos[name], PREDICTED, name, 6.0 if name == 'mice' else 3.0)
        )
        assert {key: values[f'{name}/{key}'] for key in alone} == alone
    assert values['rats/nose/PCK@0.1'] > values['mice/PCK@0.1']
    assert [line.split()[0] for line in lines[0].strip().splitlines()] == ['AP', 'mice', 'rats', 'rats/nose']
    with pytest.raises(ValueError, match='animals of the data set voles, but metrics of mice, rats alone'):
        evaluator.process(predictions(cocos['mice'], PREDICTED, 'voles'))


def test_metrics_that_do_not_go_together_are_refused_before_the_test(tmp_path):
    path = write(tmp_path / 'a.json', make_coco(2))
    for metrics, message in (
        ([metric(path, only=COMMON), metric(path, only=['nose'])], "Two metrics are of 'mice': give each a prefix"),
        ([], 'There is no metric of the data set mice'),
        ([dict(type='CocoMetric', ann_file=path)], 'CocoMetric has no metainfo of its own data set'),
    ):
        with pytest.raises(ValueError, match=message):
            EVALUATORS.build(dict(type='ManyDatasetsEvaluator', metrics=dict(mice=metrics)))
    config = dict(type='ManyDatasetsEvaluator', metrics=dict(mice=[metric(path, only=COMMON)]))
    with pytest.raises(ValueError, match='No animal of the data set mice was tested'):
        EVALUATORS.build(config).evaluate(0)


def test_the_table_has_a_row_a_data_set():
    table = as_table({'a/AP': 0.5, 'a/AR': -1.0, 'bcd/own/AP': 0.123})
    assert table.splitlines() == [
        '              AP       AR',
        'a           50.0        -',
        'bcd/own     12.3        -',
    ]


def test_pck_in_a_box_away_from_the_origin(tmp_path):
    """A tenth of the longer side is 10 pixels: of errors of 9, 11 and 0 two are within it."""
    coco = make_coco(1)
    points = [750, 950, 2, 740, 940, 2, 720, 920, 2, 0, 0, 0]
    coco['annotations'][0].update(bbox=[700, 900, 50, 100], keypoints=points)
    samples = predictions(coco, ANNOTATED)
    samples[0]['pred_instances']['keypoints'] = np.array([[[750, 959], [740, 951], [720, 920], [0, 0]]], float)
    values = evaluate(metric(write(tmp_path / 'a.json', coco), predicted=ANNOTATED), samples)
    assert values['PCK@0.1'] == pytest.approx(2 / 3)
