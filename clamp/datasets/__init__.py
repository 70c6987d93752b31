from .augmentation import FastRandomBBoxTransform, FastTopdownAffine
from .door import guard_mmpose
from .loading import LoadTrainImage
from .packing import PackKeypointInputs
from .sampler import SeededIndex, SeededSampler

__all__ = [
    'FastRandomBBoxTransform',
    'FastTopdownAffine',
    'LoadTrainImage',
    'PackKeypointInputs',
    'SeededIndex',
    'SeededSampler',
]

guard_mmpose()
