"""A model of one data set on another: by name, whatever the order, and whatever else either has."""

import numpy as np
import pytest
from mmengine.config import Config
from mmengine.structures import InstanceData
from mmpose.evaluation.metrics import CocoMetric
from mmpose.registry import DATASETS, EVALUATORS

from clamp.combined_checks import check_evaluator, check_parts
from clamp.datasets.new_dataset import make_metainfo
from clamp.evaluation.cross_dataset import canonical_names, measure_on
from tests.repository import DEMO, ROOT, load_tool
from tests.tiny_data import mice

COMMON = ['left eye', 'right eye', 'nose', 'tail base'] + [
    f'{side} {end} paw' for end in ('front', 'back') for side in ('left', 'right')
]


def demo() -> Config:
    return Config.fromfile(DEMO)


def test_known_data_sets_have_eight_keypoints_in_common():
    cfg, other = demo(), Config.fromfile(ROOT / 'configs/animalpose/clamp_tiny.py')
    other.test_dataloader.dataset.bbox_file = 'detections.json'  # as MMPose's configs of COCO have it
    assert sorted(measure_on(cfg, other)) == sorted(COMMON)
    dataset = cfg.test_dataloader.dataset
    check_parts(dataset)
    check_evaluator(cfg, 'test')
    [part] = dataset.datasets
    assert part.bbox_file is None
    assert (part.data_root, part.ann_file) == ('data/animalpose/', 'annotations/animalpose_val.json')
    assert [4, 2] in map(list, part.pipeline[0].mapping)  # the nose: MMPose's fifth of Animal-Pose, AP-10K's third
    assert [2, 17] not in map(list, part.pipeline[0].mapping)  # the ear base has no place
    assert len(part.pipeline[0].mapping) == 8
    assert dataset.pipeline == demo().test_dataloader.dataset.pipeline


def test_perfect_predictions_have_ap_one_and_swapped_eyes_do_not(tmp_path):
    cfg = demo()
    assert measure_on(cfg, mice(tmp_path)) == ['nose', 'right eye', 'left eye']
    dataset = DATASETS.build(cfg.test_dataloader.dataset)

    def values(change) -> dict:
        evaluator = EVALUATORS.build(cfg.test_evaluator)
        for i in range(2):
            sample = dataset[i]['data_samples']
            assert len(sample.flip_indices) == 17
            found = np.full((1, 17, 2), -99.0)
            found[0, [2, 1, 0]] = [(18, 13), (28, 19), (38, 25)]  # AP-10K's nose, right eye, left eye
            sample.pred_instances = InstanceData(keypoints=change(found), keypoint_scores=np.ones((1, 17)))
            evaluator.process([sample])
        return evaluator.evaluate(2)

    perfect = values(lambda found: found)
    assert perfect['mice/common/AP'] == perfect['mice/common/PCK@0.1'] == 1
    swapped = values(lambda found: found[:, [1, 0, *range(2, 17)]])
    assert swapped['mice/common/AP'] == 0
    assert swapped['mice/common/PCK@0.1'] == pytest.approx(1 / 3)


def test_names_of_ones_own_are_words_of_the_metainfo(tmp_path):
    assert canonical_names(mice(tmp_path).test_dataloader.dataset) == [
        'tail tip', 'nose', 'right eye', 'left eye', 'implant',
    ]  # fmt: skip
    twice = dict(type='BaseCocoStyleDataset', metainfo=make_metainfo('mice', ['snout', 'nose', 'tail'], []))
    with pytest.raises(ValueError, match=r"mice: the keypoints 'snout' and 'nose' both mean 'nose'"):
        canonical_names(twice)


def test_what_cannot_be_measured_is_one_error(tmp_path, monkeypatch):
    other = mice(tmp_path)
    other.test_dataloader.dataset.metainfo = make_metainfo('mice', ['tail_tip', 'implant'], [])
    with pytest.raises(ValueError, match=r'no keypoint that the model knows\. No name is in both: tail tip, implant;'):
        measure_on(demo(), other)
    union = str(ROOT / 'configs/union/clamp_lite0-minilm_pets.py')
    with pytest.raises(ValueError, match=r'clamp_lite0-minilm_pets\.py combines data sets: name a config of one'):
        measure_on(demo(), Config.fromfile(union))
    some = ROOT / 'configs/animalpose/clamp_lite0-minilm_novel.py'
    with pytest.raises(ValueError, match=r'minilm_novel\.py takes some of its keypoints: name the config'):
        measure_on(demo(), Config.fromfile(some))
    monkeypatch.setenv('LOCAL_RANK', '0')
    config, test = DEMO, load_tool('test')
    for arguments, message in (
        (['--on', union], 'error: .*combines data sets'),
        (['--on', config, '--dump', str(tmp_path / 'all.pkl')], r'error: --dump saves predictions of one data set'),
        (['--on', str(ROOT / 'configs/_base_/schedules/adamw_3e.py')], r'error: .*adamw_3e\.py has no test_dataloader'),
        (['--on', str(ROOT / 'pyproject.toml')], r'error: .*pyproject\.toml cannot be read as a config \(\.py\)'),
        (['--on', config, '--cfg-options', 'test_evaluator.ann_file=x.json'], 'error: The option test_evaluator.ann_f'),
    ):
        with pytest.raises(SystemExit, match=message):
            test.main([config, config, *arguments])


def test_the_metric_is_cocos(tmp_path):
    """AP, AR and their kind are MMPose's own metric."""
    cfg = demo()
    measure_on(cfg, mice(tmp_path))
    [[metric]] = EVALUATORS.build(cfg.test_evaluator).metrics_dict.values()
    assert isinstance(metric, CocoMetric)
    assert metric.prefix == 'mice/common'
