import numpy as np
import pytest

from clamp.report.errors import (
    GOOD,
    JITTER,
    LEFT_RIGHT,
    MISS,
    SWAP,
    UNLABELLED,
    correct,
    diagnose,
    keypoint_similarity,
    object_similarity,
)

SIGMAS = np.array([0.05, 0.05, 0.1])  # left eye, right eye, nose
FLIP = [1, 0, 2]
# area 10,000: similarity exp(-d^2 / 200) at the eyes, so 0.5 at 11.8 pixels and 0.85 at 5.7
TRUE = np.array([[[0, 0], [100, 0], [50, 80]], [[300, 0], [400, 0], [350, 80]]], float)
AREAS = np.array([1e4, 1e4])


def kinds_of(predicted: np.ndarray, labelled: np.ndarray | None = None, image_ids=(7, 7)) -> np.ndarray:
    labelled = np.ones((2, 3), bool) if labelled is None else labelled
    return diagnose(predicted, TRUE, labelled, AREAS, np.array(image_ids), SIGMAS, FLIP)[0]


def test_similarity_by_hand():
    found = keypoint_similarity(TRUE + np.array([10, 0]), TRUE, AREAS, SIGMAS)
    np.testing.assert_allclose(found, [[np.exp(-0.5), np.exp(-0.5), np.exp(-0.125)]] * 2, rtol=1e-12)
    labelled = np.array([[True, False, True], [False, False, False]])
    np.testing.assert_allclose(object_similarity(found, labelled), [(np.exp(-0.5) + np.exp(-0.125)) / 2, np.nan])


@pytest.mark.parametrize(
    ('place', 'kind'),
    [
        ((5.6, 0), GOOD),
        ((5.8, 0), JITTER),
        ((11.7, 0), JITTER),
        ((11.9, 0), MISS),
        ((95, 0), LEFT_RIGHT),
        ((300, 3), SWAP),  # the left eye of the other
        ((400, 3), SWAP),  # its right eye
        ((50, 80), MISS),  # its own nose is no partner of an eye
    ],
)
def test_kinds_by_hand(place, kind):
    predicted = TRUE.copy()
    predicted[0, 0] = place
    assert kinds_of(predicted).tolist() == [[kind, GOOD, GOOD], [GOOD] * 3]


def test_other_images_and_unlabelled_places_are_no_places():
    predicted = TRUE.copy()
    predicted[0, 0] = (300, 0)
    assert kinds_of(predicted, image_ids=(7, 8))[0, 0] == MISS
    predicted[0, 0] = (100, 0)
    labelled = np.array([[True, False, True], [True, True, True]])
    assert kinds_of(predicted, labelled)[0].tolist() == [MISS, UNLABELLED, GOOD]


def test_two_animals_at_one_place_are_no_swap():
    both = np.stack([TRUE[0], TRUE[0]])
    kinds, _ = diagnose(both, both, np.ones((2, 3), bool), AREAS, np.array([7, 7]), SIGMAS, FLIP)
    assert (kinds == GOOD).all()


@pytest.mark.parametrize(('kind', 'similarity'), [(JITTER, 0.85), (LEFT_RIGHT, np.exp(-25 / 200)), (MISS, 0.5)])
def test_corrected_keypoints_are_as_near_as_the_paper_has_them(kind, similarity):
    predicted = TRUE.copy()
    predicted[0] = [[95, 0], [110, 0], [50, 200]]  # one of each: left-right, jitter, miss
    arguments = TRUE, np.ones((2, 3), bool), AREAS, np.array([7, 7]), SIGMAS, FLIP
    kinds, nearest = diagnose(predicted, *arguments)
    assert kinds[0].tolist() == [LEFT_RIGHT, JITTER, MISS]
    corrected = correct(predicted, TRUE, AREAS, SIGMAS, kinds, nearest, kind)
    found = keypoint_similarity(corrected, TRUE, AREAS, SIGMAS)
    assert found[kinds == kind] == pytest.approx(similarity)
    assert (corrected[kinds != kind] == predicted[kinds != kind]).all()


def test_animals_of_different_sizes():
    """5 pixels off are near for an animal of 10,000 pixels, far for one of 100."""
    true, sigmas = np.array([[[0.0, 0], [100, 0]], [[300, 0], [310, 0]]]), np.full(2, 0.05)
    predicted = true.copy()
    predicted[0, 0] = (300, 5)
    for areas, kind in (([1e4, 1e2], MISS), ([1e2, 1e4], SWAP)):
        kinds, *_ = diagnose(predicted, true, np.ones((2, 2), bool), np.array(areas), np.array([7, 7]), sigmas, [1, 0])
        assert kinds[0, 0] == kind
    areas = np.array([1e4, 1e2])
    moved = correct(true + 500, true, areas, sigmas, np.full((2, 2), MISS), np.zeros((2, 2)), MISS)
    np.testing.assert_allclose(keypoint_similarity(moved, true, areas, sigmas), 0.5)
