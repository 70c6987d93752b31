"""Poses and score maps of any image: RGB arrays or paths in, plain numpy out.

::

    from clamp.inference import PosePredictor

    predictor = PosePredictor('configs/demo/clamp_tiny.py', 'work_dirs/demo/clamp_tiny/epoch_14.pth')
    [[pose]] = predictor(['dog.jpg'])
    pose.keypoints, pose.scores                                   # (K, 2) in pixels of the image, (K,)
    [[score_map]] = predictor.score_maps(['dog.jpg'], texts=['left ear tip', 'hoof'])
    score_map.values, score_map.peaks()                           # (2, H, W), cosine; (2, 2) in pixels of the image
"""

from .predictor import Pose, PosePredictor, check_boxes, check_image, clip_box
from .score_map import ScoreMap, cells_to_image

__all__ = ['Pose', 'PosePredictor', 'ScoreMap', 'cells_to_image', 'check_boxes', 'check_image', 'clip_box']
