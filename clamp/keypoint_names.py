"""Names of keypoints: which a head is asked for, how they are spelled, and what each is in the mirror image."""

import re
from collections.abc import Iterable, Sequence

MIRROR = {'left': 'right', 'Left': 'Right', 'LEFT': 'RIGHT', 'l': 'r', 'L': 'R'}
MIRROR |= {right: left for left, right in MIRROR.items()}
# left_eye, lefteye, leftmost toe; L_Eye, F_L_Paw; eyeL
SIDE = re.compile(r'(?<![^\W_])(?:left|right|Left|Right|LEFT|RIGHT|[lrLR](?![^\W_]))|(?<=[a-z])[LR](?![^\W_])')


def mirrored(name: str) -> str:
    """Return the name that a keypoint has in the mirror image: ``'left hock'`` is ``'right hock'`` there."""
    return SIDE.sub(lambda word: MIRROR[word[0]], name)


def mirror_names(names: Sequence[str], flip_indices: Sequence[int]) -> list[str]:
    """Return what each name is in the mirror image: its flip pair's, or if it has none, itself :func:`mirrored`."""
    return [mirrored(name) if i == flip_indices[i] else names[flip_indices[i]] for i, name in enumerate(names)]


def mirror_images(names: Sequence[str], own: Sequence[str], flip_indices: Sequence[int]) -> list[str]:
    """Return what any names are in the mirror image: those among a data set's ``own``, what its flip pairs say.

    Words do not tell the sides in every language, so that a data set's own names have its pairs, chosen or reordered.
    """
    pairs = dict(zip(own, mirror_names(own, flip_indices)))
    return [pairs.get(known) or mirrored(name) for name, known in zip(names, spell_as(own, names))]


def spell_as(known: Sequence[str], names: Iterable[str]) -> list[str]:
    """Return names, those that are known but for case and spaces as these are written: 'Left_Eye' is 'left eye'."""

    def plain(name: str) -> str:
        return ' '.join(name.lower().replace('_', ' ').split())

    spelling = {plain(name): name for name in known}
    return [name if name in known else spelling.get(plain(name), name) for name in names]


def names_of(head: dict) -> list[str] | None:
    """Return the names that the head of a config answers for, in the order of its heatmaps; None if it knows none."""
    names = head.get('test_names') or (head.get('prompt_learner') or {}).get('keypoint_names')
    return names and list(names)


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
