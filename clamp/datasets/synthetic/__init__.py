"""The demo data: procedurally drawn animals in AP-10K's own layout, so that every config runs before any download.

An animal of one of ten ``species`` is a posed ``body`` of round cones, ``render``-ed with its ``coat`` and put into a
``scene``; that makes a ``sample``, and many of them a ``dataset``.
"""

from .body import KEYPOINT_NAMES
from .dataset import generate_dataset
from .render import draw_animal, view_matrix
from .sample import MIN_KEYPOINTS, generate_sample, image_id_of
from .species import SPECIES, Species
from .video import generate_video, write_video

__all__ = [
    'KEYPOINT_NAMES',
    'MIN_KEYPOINTS',
    'SPECIES',
    'Species',
    'draw_animal',
    'generate_dataset',
    'generate_sample',
    'generate_video',
    'image_id_of',
    'view_matrix',
    'write_video',
]
