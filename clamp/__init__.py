"""CLAMP: prompt-based contrastive learning for animal pose estimation, as an extension of MMPose 1.x."""

from . import compat  # first: it makes MMPose importable on today's stack
from . import checkpoints, datasets, engine, evaluation, models, visualization

__version__ = '1.0.0'
__all__ = ['checkpoints', 'compat', 'datasets', 'engine', 'evaluation', 'models', 'visualization']
