"""What is wrong with a wrong keypoint (Ronchi and Perona, "Benchmarking and Error Diagnosis in Multi-Instance Pose
Estimation", ICCV 2017, Section 3.1).

Notation: N animals, K keypoints. Coordinates are (x, y) in pixels of the image, areas in square pixels.
"""

import numpy as np

KINDS = ('good', 'jitter', 'left-right', 'swap', 'miss')
GOOD, JITTER, LEFT_RIGHT, SWAP, MISS = range(len(KINDS))
UNLABELLED = -1
CLOSE, EXACT = 0.5, 0.85  # similarity from which a prediction is near a keypoint, and from which it is good


def keypoint_similarity(predicted: np.ndarray, true: np.ndarray, areas: np.ndarray, sigmas: np.ndarray) -> np.ndarray:
    """Similarity exp(-d^2 / (2 s^2 k^2)) of keypoints, with s^2 the area and k = 2 sigma: the term that OKS averages.

    Args:
        predicted (np.ndarray): (..., K, 2).
        true (np.ndarray): (..., K, 2).
        areas (np.ndarray): (...), of the true animals.
        sigmas (np.ndarray): (K,), the data set's.

    Returns:
        np.ndarray: (..., K) in [0, 1].
    """
    squared = ((predicted - true) ** 2).sum(-1)
    return np.exp(-squared / (2 * sigmas) ** 2 / (np.asarray(areas)[..., None] + np.spacing(1)) / 2)


def object_similarity(similarity: np.ndarray, labelled: np.ndarray) -> np.ndarray:
    """OKS, the mean similarity (N, K) of the labelled keypoints (N, K): (N,), NaN for an animal without any."""
    with np.errstate(invalid='ignore'):
        return (similarity * labelled).sum(1) / labelled.sum(1)


def diagnose(
    predicted: np.ndarray,
    true: np.ndarray,
    labelled: np.ndarray,
    areas: np.ndarray,
    image_ids: np.ndarray,
    sigmas: np.ndarray,
    flip_indices: list[int],
) -> tuple[np.ndarray, np.ndarray]:
    """Tell the kind of error of each labelled keypoint.

    Each prediction is compared with four places, and belongs to the nearest: its own true place, that of its left-right
    partner, and both of these of every other animal of the image. Nearest is its own place: good from a similarity
    of 0.85, jitter from 0.5; the partner's: left-right (the paper's inversion); another animal's: swap. Below 0.5
    to all of them it is a miss. Row n of ``predicted`` is the prediction for animal n.

    Args:
        predicted (np.ndarray): (N, K, 2).
        true (np.ndarray): (N, K, 2).
        labelled (np.ndarray): (N, K), true where there is a true place.
        areas (np.ndarray): (N,).
        image_ids (np.ndarray): (N,).
        sigmas (np.ndarray): (K,).
        flip_indices (list[int]): The left-right partner of each keypoint, itself if it has none.

    Returns:
        tuple[np.ndarray]: Index into ``KINDS`` or ``UNLABELLED``, and the similarity to the nearest place, both (N, K).
    """
    kinds = np.full(labelled.shape, UNLABELLED)
    nearest = np.zeros(labelled.shape)
    for image in np.unique(image_ids):
        members = np.flatnonzero(image_ids == image)
        places = np.stack([true[members], true[members][:, flip_indices]])  # (2, A, K, 2): own, partner
        known = np.stack([labelled[members], labelled[members][:, flip_indices]])  # (2, A, K)
        for row, animal in enumerate(members):
            similarity = keypoint_similarity(predicted[animal], places, areas[members], sigmas) * known  # (2, A, K)
            first = np.r_[row, np.delete(np.arange(len(members)), row)]  # a tie goes to its own animal
            similarity = similarity[:, first].transpose(1, 0, 2).reshape(-1, len(sigmas))  # (2 A, K), own, partner, ...
            best, nearest[animal] = similarity.argmax(0), similarity.max(0)
            kinds[animal] = np.select(
                [nearest[animal] < CLOSE, best > 1, best == 1, nearest[animal] < EXACT],
                [MISS, SWAP, LEFT_RIGHT, JITTER],
                GOOD,
            )
    kinds[~labelled] = UNLABELLED
    return kinds, nearest


def correct(
    predicted: np.ndarray,
    true: np.ndarray,
    areas: np.ndarray,
    sigmas: np.ndarray,
    kinds: np.ndarray,
    nearest: np.ndarray,
    kind: int,
) -> np.ndarray:
    """Move the keypoints of one kind of error as near to their true places as the paper's "corrected" ones.

    A jitter comes to a similarity of 0.85, a miss to 0.5, and a left-right or swap becomes as near to its own place
    as it is now to the wrong one.

    Args:
        predicted (np.ndarray): (N, K, 2).
        true (np.ndarray): (N, K, 2).
        areas (np.ndarray): (N,).
        sigmas (np.ndarray): (K,).
        kinds (np.ndarray): (N, K), as :func:`diagnose` returns them.
        nearest (np.ndarray): (N, K), as :func:`diagnose` returns them.
        kind (int): Index into ``KINDS``.

    Returns:
        np.ndarray: (N, K, 2).
    """
    wanted = {JITTER: EXACT, MISS: CLOSE}.get(kind, nearest.clip(CLOSE, 1))
    distance = np.sqrt(-2 * np.log(wanted) * areas[:, None]) * 2 * sigmas  # (N, K), keypoint_similarity solved for d
    moved = true.copy()
    moved[..., 0] += distance
    return np.where((kinds == kind)[..., None], moved, predicted)
