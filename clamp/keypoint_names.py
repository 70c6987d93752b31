"""What the name of a keypoint says by itself: its mirror image, by the words left and right."""

import re
from collections.abc import Sequence

MIRROR = {'left': 'right', 'right': 'left', 'Left': 'Right', 'Right': 'Left', 'LEFT': 'RIGHT', 'RIGHT': 'LEFT'}
SIDE = re.compile(rf'(?<![^\W_])({"|".join(MIRROR)})(?![^\W_])')  # a word of its own, as in left_eye


def mirrored(name: str) -> str:
    """Return the name that a keypoint has in the mirror image: ``'left hock'`` is ``'right hock'`` there."""
    return SIDE.sub(lambda word: MIRROR[word[0]], name)


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
