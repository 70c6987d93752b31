"""Makes MMPose importable on today's stack, and puts all classes of the package into its registries."""

from . import compat  # first: it makes MMPose importable on today's stack
from . import checkpoints, engine, models
from .datasets import augmentation, door, loading, packing, sampler
from .evaluation import named_keypoint_metric
from .visualization import hook

__all__ = [
    'augmentation',
    'checkpoints',
    'compat',
    'door',
    'engine',
    'hook',
    'loading',
    'models',
    'named_keypoint_metric',
    'packing',
    'sampler',
]

door.guard_mmpose()
