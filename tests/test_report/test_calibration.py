import numpy as np
import pytest

from clamp.report.calibration import BINS, calibrate


def test_calibration_by_hand():
    """20 labelled keypoints, two a bin, with the scores 0.00, 0.05, ..., of which the upper half are right."""
    scores = np.arange(20).reshape(10, 2) / 20
    right, labelled = scores >= 0.5, np.ones((10, 2), bool)
    weights = np.ones((1, 10), int)
    found = calibrate(scores, right, labelled, np.arange(10), weights)
    np.testing.assert_allclose(found.scores, 0.1 * np.arange(10) + 0.025)
    np.testing.assert_allclose(found.right, [[0] * 5 + [1] * 5])
    # the lower half is trusted too much, by 0.025 ... 0.425, the upper too little, by 0.475 ... 0.075
    assert found.error[0] == pytest.approx((0.225 * 5 + 0.275 * 5) / 10)
    assert found.auroc_right == 1
    assert np.isnan(found.auroc_labelled)


def test_images_are_resampled_and_unlabelled_keypoints_are_absent():
    scores = np.array([[0.9, 0.1], [0.8, 0.3]])
    right, labelled = np.array([[True, True], [False, True]]), np.array([[True, False], [True, False]])
    weights = np.array([[1, 1], [2, 0]])
    found = calibrate(scores, right, labelled, np.array([0, 1]), weights)
    assert found.right[0, [0, -1]].tolist() == [0, 1]
    assert np.isnan(found.right[1, 0])  # the second image is not drawn
    assert found.right[1, -1] == 1
    np.testing.assert_allclose(found.error, [(0.8 + 0.1) / 2, 0.1])
    assert found.auroc_labelled == 1
    assert len(found.edges) == BINS + 1


def test_nothing_labelled_is_nothing_said():
    none = np.zeros((2, 3), bool)
    found = calibrate(np.ones((2, 3)), none, none, np.array([0, 1]), np.ones((2, 2), int))
    assert np.isnan(found.error).all()
    assert np.isnan(found.auroc_right)


def test_bins_count_by_their_keypoints():
    """Ten bins of one keypoint each, all right: the error is 1 - score; drawn, the lower two count 3 and 7 times."""
    scores, ones = np.arange(1, 11)[:, None] / 10, np.ones((10, 1), bool)
    weights = np.ones((2, 10), int)
    weights[1] = [3, 7] + [0] * 8
    found = calibrate(scores, ones, ones, np.arange(10), weights)
    np.testing.assert_allclose(found.error, [0.45, (3 * 0.9 + 7 * 0.8) / 10])
