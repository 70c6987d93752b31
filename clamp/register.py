"""Makes MMPose importable on today's stack, and puts all classes of the package into its registries."""

from . import compat  # first: it makes MMPose importable on today's stack
from . import checkpoints, engine, models
from .datasets import augmentation, checked_coco, loading, packing, sampler, union
from .evaluation import many_datasets_evaluator, named_coco_metric, named_keypoint_metric
from .visualization import hook

__all__ = [
    'augmentation',
    'checked_coco',
    'checkpoints',
    'compat',
    'engine',
    'hook',
    'loading',
    'many_datasets_evaluator',
    'models',
    'named_coco_metric',
    'named_keypoint_metric',
    'packing',
    'sampler',
    'union',
]

checked_coco.guard_mmpose()
