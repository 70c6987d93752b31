"""Pictures of what a model sees: poses, score maps, and how alike keypoints and prompts are."""

from .figures import CROP_SIZE, overlay_score_map, plot_poses, plot_score_maps, plot_similarity, save_figure
from .hook import ScoreMapHook
from .poses import SIDE_COLOURS, crop_animal, draw_pose, keypoint_sides, labelled_keypoints
from .prompts import mean_similarity, view_prompts

__all__ = [
    'CROP_SIZE',
    'SIDE_COLOURS',
    'ScoreMapHook',
    'crop_animal',
    'draw_pose',
    'keypoint_sides',
    'labelled_keypoints',
    'mean_similarity',
    'overlay_score_map',
    'plot_poses',
    'plot_score_maps',
    'plot_similarity',
    'save_figure',
    'view_prompts',
]
