"""Makes MMPose importable on today's stack, and puts all classes of the package into its registries."""

from . import compat  # first: it makes MMPose importable on today's stack
from . import checkpoints, engine, models
from .datasets import augmentation, door, loading, packing, sampler, union
from .evaluation import many_datasets_evaluator, named_coco_metric, named_keypoint_metric
from .visualization import hook

__all__ = [
    'augmentation',
    'checkpoints',
    'compat',
    'door',
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

door.guard_mmpose()
