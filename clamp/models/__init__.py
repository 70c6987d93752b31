"""The method, in the order of the data flow."""

from .data_preprocessor import HeatmapDataPreprocessor
from .topdown_heatmap_estimator import TopdownHeatmapEstimator
from .clip_backbone import CLIPBackbone
from .prompt_learner import PromptLearner
from .clamp_head import CLAMPHead
from .feature_contrastive_loss import FeatureContrastiveLoss

__all__ = [
    'HeatmapDataPreprocessor',
    'TopdownHeatmapEstimator',
    'CLIPBackbone',
    'PromptLearner',
    'CLAMPHead',
    'FeatureContrastiveLoss',
]
