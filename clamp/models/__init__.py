"""The method, in the order of the data flow."""

from .. import compat as compat  # first: it makes MMPose's models importable
from .data_preprocessor import HeatmapDataPreprocessor
from .open_vocabulary_data_preprocessor import OpenVocabularyDataPreprocessor
from .topdown_heatmap_estimator import OpenVocabularyEstimator, TopdownHeatmapEstimator
from .clip_backbone import CLIPBackbone
from .prompt_learner import PromptLearner
from .clamp_head import CLAMPHead
from .open_vocabulary_head import AskedCLAMPHead, OpenVocabularyHead
from .feature_contrastive_loss import FeatureContrastiveLoss

__all__ = [
    'HeatmapDataPreprocessor',
    'OpenVocabularyDataPreprocessor',
    'TopdownHeatmapEstimator',
    'OpenVocabularyEstimator',
    'CLIPBackbone',
    'PromptLearner',
    'CLAMPHead',
    'AskedCLAMPHead',
    'OpenVocabularyHead',
    'FeatureContrastiveLoss',
]
