import numpy as np

from clamp.datasets.mean_pose import mean_pose


def test_mean_pose_by_hand():
    annotations = [
        dict(bbox=[0, 0, 10, 10], keypoints=[5, 0, 2, 0, 0, 0]),
        dict(bbox=[10, 10, 20, 40], keypoints=[10, 50, 1, 20, 20, 2]),
    ]
    np.testing.assert_allclose(mean_pose(annotations), [[0.25, 0.5], [0.5, 0.25]])
