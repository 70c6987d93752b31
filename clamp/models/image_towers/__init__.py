"""The kinds of image towers, one class each: how a tower of open_clip gives an embedding for every position.

To add a kind, write a class with the five things that :class:`DenseTower` asks for, in a file of its own beside
``vit.py``, add it to ``IMAGE_TOWERS``, and compare its pooled output with open_clip's in
``tests/test_models/test_image_towers.py``.

Notation: B batch, (S_H, S_W) input, (H, W) its feature map, C channels of the tower, D CLIP's embedding size, P tokens
before those of the positions (a class token).
"""

from ..clip import clip_config, describe
from .base import DenseTower, resize_positions
from .resnet import DenseResNet
from .timm import DenseTimm
from .vit import DenseViT

IMAGE_TOWERS: tuple[type[DenseTower], ...] = (DenseTimm, DenseResNet, DenseViT)  # the first that takes it

__all__ = [
    'IMAGE_TOWERS',
    'DenseResNet',
    'DenseTimm',
    'DenseTower',
    'DenseViT',
    'image_tower_kind',
    'image_tower_layout',
    'resize_positions',
]


def image_tower_kind(clip: dict) -> type[DenseTower]:
    """Return the class for a CLIP's image tower.

    Args:
        clip (dict): As in :mod:`clamp.models.clip`.

    Raises:
        ValueError: If no kind takes it.
    """
    vision_cfg = clip_config(clip)['vision_cfg']
    for kind in IMAGE_TOWERS:
        if kind.takes(vision_cfg):
            return kind
    raise ValueError(
        f'The image tower of {describe(clip)} is of no kind known here: CoCa pools all positions into queries, and '
        'leaves no embedding of a position. Known are ViTs, ModifiedResNets and the towers of timm '
        '(clamp/models/image_towers).'
    )


def image_tower_layout(clip: dict) -> tuple[int, int]:
    """Return the stride and the channels of the feature map of a CLIP's image tower, without building it."""
    return image_tower_kind(clip).layout(clip_config(clip))
