"""Poses and score maps of any image: RGB arrays or paths in, plain numpy out.

::

    from clamp.inference import PosePredictor

    predictor = PosePredictor('configs/demo/clamp_tiny.py', 'work_dirs/demo/clamp_tiny/epoch_14.pth')
    [[pose]] = predictor(['dog.jpg'])
    pose.keypoints, pose.scores                                   # (K, 2) in pixels of the image, (K,)
    [[score_map]] = predictor.score_maps(['dog.jpg'], texts=['left ear tip', 'hoof'])
    score_map.values, score_map.peaks()                           # (2, H, W), cosine; (2, 2) in pixels of the image
"""

from typing import Any

from .pose import Pose, check_boxes, check_image, clip_box
from .score_map import ScoreMap, cells_to_image

__all__ = ['Pose', 'PosePredictor', 'ScoreMap', 'cells_to_image', 'check_boxes', 'check_image', 'clip_box']


def __getattr__(name: str) -> Any:
    """Import the predictor when it is asked for: it needs torch and MMPose, and the rest needs neither."""
    if name != 'PosePredictor':
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    from .predictor import PosePredictor

    return PosePredictor
