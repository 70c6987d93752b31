"""What the name of a keypoint says by itself: its mirror image, by left and right, l and r."""

import re
from collections.abc import Sequence

MIRROR = {'left': 'right', 'Left': 'Right', 'LEFT': 'RIGHT', 'l': 'r', 'L': 'R'}
MIRROR |= {right: left for left, right in MIRROR.items()}
# left_eye, lefteye, leftmost toe; L_Eye, F_L_Paw; eyeL
SIDE = re.compile(r'(?<![^\W_])(?:left|right|Left|Right|LEFT|RIGHT|[lrLR](?![^\W_]))|(?<=[a-z])[LR](?![^\W_])')


def mirrored(name: str) -> str:
    """Return the name that a keypoint has in the mirror image: ``'left hock'`` is ``'right hock'`` there."""
    return SIDE.sub(lambda word: MIRROR[word[0]], name)


def mirror_names(names: Sequence[str], flip_indices: Sequence[int]) -> list[str]:
    """Return what each name is in the mirror image: its flip pair's, or if it has none, itself :func:`mirrored`."""
    return [mirrored(names[i]) if i == other else names[other] for i, other in enumerate(flip_indices)]


def check_names(names: Sequence[str]) -> list[str]:
    """Return names of keypoints to ask for as a list.

    Raises:
        ValueError: If it is no list of at least one name, or a name is empty.
    """
    if isinstance(names, str) or not len(names):
        raise ValueError(f'keypoint names {names!r} should be a list of at least one name.')
    if wrong := [name for name in names if not isinstance(name, str) or not name.strip()]:
        raise ValueError(f'{wrong[0]!r} is no name of a keypoint: each should be a text such as "left hock".')
    return list(names)
