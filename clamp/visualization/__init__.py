"""Pictures of what a model sees: ``poses`` over images, ``figures`` of the paper, of ``prompts`` and score maps."""

from .poses import SIDE_COLOURS, crop_animal, draw_names, draw_pose, keypoint_sides, labelled_keypoints

__all__ = ['SIDE_COLOURS', 'crop_animal', 'draw_names', 'draw_pose', 'keypoint_sides', 'labelled_keypoints']
