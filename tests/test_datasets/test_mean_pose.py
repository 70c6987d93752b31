from pathlib import Path

import numpy as np
import pytest

from clamp.datasets.mean_pose import mean_pose
from tests.conftest import load_tool


def test_mean_pose_by_hand():
    annotations = [
        dict(bbox=[0, 0, 10, 10], keypoints=[5, 0, 2, 0, 0, 0]),
        dict(bbox=[10, 10, 20, 40], keypoints=[10, 50, 1, 20, 20, 2]),
    ]
    np.testing.assert_allclose(mean_pose(annotations), [[0.25, 0.5], [0.5, 0.25]])


def test_the_pose_is_put_into_a_box_whose_area_counts():
    annotation = dict(image_id=1, category_id=2, bbox=[10, 20, 40, 10])
    [result] = load_tool('mean_pose').predict(np.array([[0.25, 0.5]]), [annotation])
    assert result['keypoints'] == [20, 25, 1]
    assert result['bbox'] == annotation['bbox']  # of which COCO takes the area


@pytest.mark.parametrize(
    ('config', 'reason'),
    [
        ('animalpose/clamp_lite0-minilm_novel', 'takes some of the keypoints of its file'),
        ('union/clamp_lite0-minilm_demo-animalpose', 'has no one data set for train'),
    ],
)
def test_a_config_of_other_keypoints_than_its_file_has_is_refused(config, reason, monkeypatch):
    tool = load_tool('mean_pose')
    monkeypatch.setattr(tool, 'check_config', lambda cfg, splits: None)  # the data may not be here
    with pytest.raises(SystemExit, match=reason):
        tool.main([str(Path(__file__).parents[2] / f'configs/{config}.py')])
