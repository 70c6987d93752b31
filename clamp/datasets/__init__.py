from .augmentation import FastRandomBBoxTransform, FastRandomFlip
from .loading import LoadTrainImage
from .packing import PackKeypointInputs
from .sampler import SeededIndex, SeededSampler

__all__ = [
    'FastRandomBBoxTransform',
    'FastRandomFlip',
    'LoadTrainImage',
    'PackKeypointInputs',
    'SeededIndex',
    'SeededSampler',
]
