import numpy as np

from .splits import is_trainable


def mean_pose(annotations: list[dict]) -> np.ndarray:
    """Return the mean place of each keypoint in its box, (K, 2), (x, y) as fractions of the box; NaN without a label.

    Args:
        annotations (list[dict]): COCO keypoint annotations, of which those to train on count, and labelled keypoints.
    """
    annotations = [annotation for annotation in annotations if is_trainable(annotation)]
    keypoints = np.array([annotation['keypoints'] for annotation in annotations], float)
    keypoints = keypoints.reshape(len(annotations), -1, 3)  # (N, K, 3)
    boxes = np.array([annotation['bbox'] for annotation in annotations], float)[:, None]  # (N, 1, 4)
    fractions = (keypoints[..., :2] - boxes[..., :2]) / boxes[..., 2:]
    labelled = keypoints[..., 2:] > 0
    counts = labelled.sum(0)
    return (fractions * labelled).sum(0) / np.where(counts, counts, np.nan)
