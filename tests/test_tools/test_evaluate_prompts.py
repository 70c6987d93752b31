"""The measure of keypoints found by name: figures by hand, and the configs that leave keypoints out."""

from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from mmpose.datasets.datasets.utils import parse_pose_metainfo

from clamp.checks import check_sizes, check_targets
from clamp.datasets.mean_pose import mean_pose
from tests.conftest import load_tool

REPOSITORY = Path(__file__).parents[2]
tool = load_tool('evaluate_prompts')

BOXES = np.array([[0, 0, 100, 50], [10, 10, 20, 40], [0, 0, 100, 100]], float)


def test_pck_by_hand():
    truth = np.array([[50, 25, 2], [20, 30, 1], [50, 50, 0]], float)
    # 9 and 16 pixels off in boxes of 100; 5 pixels off in one of 40: an eighth
    assert tool.pck(np.array([[59, 25], [20, 35], [0, 0]], float), truth, BOXES) == [0.5, 1.0]
    assert tool.pck(np.array([[66, 25], [20, 35], [0, 0]], float), truth, BOXES) == [0.0, 1.0]
    assert tool.pck(np.array([[71, 25], [29, 30], [50, 50]], float), truth, BOXES) == [0.0, 0.0]
    assert np.isnan(tool.pck(truth[2:, :2], truth[2:], BOXES[2:])).all()


def test_chance_is_the_share_of_the_box():
    truth = np.array([[50, 50, 2]], float)
    share = tool.pck(tool.in_boxes(tool.ANYWHERE, BOXES[2:]), truth, BOXES[2:])
    np.testing.assert_allclose(share, [np.pi * 0.1**2, np.pi * 0.2**2], atol=6e-3)


def test_places_in_boxes_by_hand():
    places = tool.in_boxes(np.array([[0, 0], [0.5, 0.25]]), BOXES[:2])
    assert places.tolist() == [[[0, 0], [50, 12.5]], [[10, 10], [20, 20]]]


def test_mean_pose_by_hand():
    annotations = [
        dict(bbox=[0, 0, 10, 10], keypoints=[5, 0, 2, 0, 0, 0]),
        dict(bbox=[10, 10, 20, 40], keypoints=[10, 50, 1, 20, 20, 2]),
    ]
    np.testing.assert_allclose(mean_pose(annotations), [[0.25, 0.5], [0.5, 0.25]])


def test_rows_of_a_perfect_and_a_blind_model(monkeypatch):
    """One keypoint is held out; its name finds it, no other word does."""
    truth = np.array([[[10, 10, 2], [80, 20, 2], [50, 50, 2]]], float)
    animals = tool.Animals.__new__(tool.Animals)
    animals.paths, animals.boxes, animals.keypoints = ['x'], [BOXES[2:]], truth
    monkeypatch.setattr(tool, 'Animals', lambda dataset: animals)
    monkeypatch.setattr(tool, 'annotation_path', lambda dataset: __file__)
    train = dict(annotations=[dict(bbox=[0, 0, 100, 100], keypoints=[10, 12, 2, 80, 20, 2, 20, 10, 2])])
    monkeypatch.setattr(tool, 'read', lambda path: train)
    peaks = np.stack([truth[:, 0, :2], truth[:, 1, :2], truth[:, 2, :2], *[[[99.0, 99.0]]] * 10], 1)
    monkeypatch.setattr(tool, 'predict', lambda *args: (truth[:, 1:, :2], peaks))

    class Predictor:
        keypoint_names = ['nose', 'neck']

    cfg = Config(
        dict(held_out={'eye': 0}, kept=[1, 2], test_dataloader=dict(dataset=0), train_dataloader=dict(dataset=0))
    )
    rows = tool.evaluate(cfg, Predictor(), ['eye'])
    assert list(rows) == ['eye', 'trained names']
    assert rows['eye']['nearest'] == 'neck'  # (20, 10) in the mean pose is nearer to (10, 12) than (80, 20)
    assert rows['eye']['by_name'] == [1, 1]
    assert rows['eye']['mean_pose'] == [1, 1]
    assert rows['eye']['other_words'] == rows['eye']['nearest_trained'] == [0, 0]
    assert rows['trained names']['nearest_trained'] == [1, 1]
    table = tool.format_table(rows)
    assert '| eye | 1 | 100.0 / 100.0 | 0.0 / 0.0 | 0.0 / 0.0 | 0.0 / 0.0 (neck) | 100.0 / 100.0 |' in table


@pytest.mark.parametrize('name', ['demo', 'animalpose'])
def test_held_out_configs_leave_the_right_keypoints_out(name):
    cfg = Config.fromfile(REPOSITORY / f'configs/{name}/clamp_tiny_heldout.py')
    full = Config.fromfile(REPOSITORY / f'configs/{name}/clamp_tiny.py')
    everything = cfg.held_out | dict(zip(cfg.keypoint_names, cfg.kept))
    assert sorted(everything, key=everything.get) == full.keypoint_names
    assert cfg.model.head.out_channels == len(cfg.keypoint_names) == len(full.keypoint_names) - 5
    assert not set(cfg.held_out) & set(cfg.model.head.prompt_learner.keypoint_names)
    metainfo = parse_pose_metainfo(cfg.train_dataloader.dataset.metainfo)
    sides = [f'{name} {name}'.split()[0] for name in cfg.keypoint_names]
    for side, other in zip(sides, metainfo['flip_indices']):
        assert (side, sides[other]) in {('left', 'right'), ('right', 'left')} or side == sides[other]
    assert cfg.test_dataloader == cfg.val_dataloader
    for loader in (cfg.train_dataloader, cfg.val_dataloader):
        assert loader.dataset.pipeline[1].type == 'KeypointConverter'
        assert [old for old, _ in loader.dataset.pipeline[1].mapping] == cfg.kept
        assert loader.dataset.metainfo == cfg.metainfo
    check_sizes(cfg.model)
    check_targets(cfg)


def test_names_that_are_not_held_out_are_refused():
    cfg = Config(dict(held_out={'nose': 2}))
    assert tool.check_names(cfg, None) == ['nose']
    with pytest.raises(ValueError, match=r'hoof: not held out. Held out are nose'):
        tool.check_names(cfg, ['hoof'])
    with pytest.raises(ValueError, match=r'holds out no keypoints'):
        tool.check_names(Config(dict()), None)
