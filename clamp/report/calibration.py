"""What a keypoint's score is worth: does it say how likely the place is right, and that the keypoint is there?"""

from dataclasses import dataclass

import numpy as np

from ..evaluation.named_keypoint_metric import auroc

BINS = 10


@dataclass
class Calibration:
    """How scores go with being right. A labelled keypoint is right if its similarity is at least ``CLOSE``.

    Args:
        edges (np.ndarray): (BINS + 1,), scores between the bins; each bin has as many labelled keypoints as another.
        scores (np.ndarray): (BINS,), mean score of a bin; NaN where equal scores leave a bin without keypoints.
        right (np.ndarray): (1 + R, BINS), share of a bin's keypoints that are right, for the data set and R resamples.
        error (np.ndarray): (1 + R,), the expected calibration error: mean distance of score and share over the bins.
        auroc_right (float): How often a right keypoint's score is above a wrong one's; NaN if there are not both.
        auroc_labelled (float): How often a labelled keypoint's score is above an unlabelled one's; likewise.
    """

    edges: np.ndarray
    scores: np.ndarray
    right: np.ndarray
    error: np.ndarray
    auroc_right: float
    auroc_labelled: float


def calibrate(
    scores: np.ndarray, right: np.ndarray, labelled: np.ndarray, images: np.ndarray, weights: np.ndarray
) -> Calibration:
    """Compare scores with what was found.

    Args:
        scores (np.ndarray): (N, K).
        right (np.ndarray): (N, K), whether the place is right; what it says of unlabelled keypoints is not read.
        labelled (np.ndarray): (N, K).
        images (np.ndarray): (N,), index of each animal's image.
        weights (np.ndarray): (1 + R, I), how often each image counts.
    """
    edges = np.quantile(scores[labelled], np.linspace(0, 1, BINS + 1)) if labelled.any() else np.full(BINS + 1, np.nan)
    bins = np.searchsorted(edges[1:-1], scores, side='right')  # (N, K) in 0..BINS - 1
    in_bin = (bins[..., None] == np.arange(BINS)) & labelled[..., None]  # (N, K, BINS)
    drawn = weights[:, images].astype(float)  # (1 + R, N)
    counts = drawn @ in_bin.sum(1)  # (1 + R, BINS)
    with np.errstate(invalid='ignore'):
        shares = drawn @ (in_bin & right[..., None]).sum(1) / counts
        means = drawn @ np.where(in_bin, scores[..., None], 0).sum(1) / counts
        error = np.nansum(counts * np.abs(means - shares), 1) / counts.sum(1)
    return Calibration(
        edges=edges,
        scores=means[0],
        right=shares,
        error=error,
        auroc_right=auroc(scores[labelled & right], scores[labelled & ~right]),
        auroc_labelled=auroc(scores[labelled], scores[~labelled]),
    )
