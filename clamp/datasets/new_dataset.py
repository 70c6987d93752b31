"""A COCO keypoint file as a data set of this project: what ``tools/new_dataset.py`` works out and writes.

Metainfo is MMPose's: flip pairs from left and right in the names, the skeleton of the file, colours by side. COCO files
hold no sigmas (how far two people are apart in labelling a keypoint, as a fraction of the animal's size; AP is made of
them): those of keypoints of the same name in AP-10K, Animal-Pose or COCO are taken, and ``SIGMA`` for others.
"""

from collections import ChainMap
from collections.abc import Sequence

from mmpose.datasets.datasets.utils import parse_pose_metainfo

from ..files import check_printable
from .metainfo import known_metainfo
from .names import OPPOSITE, mirrored_words, spell_out, words

SIGMA = 0.05
KNOWN = ('ap10k', 'animalpose', 'coco')  # of MMPose
COLOURS = {'left': [0, 255, 0], 'right': [255, 128, 0], 'middle': [51, 153, 255]}  # RGB, MMPose's


def swaps_of(names: list[str], pairs: Sequence[tuple[str, str]] = ()) -> dict[str, str]:
    """Return the mirror image of each keypoint: itself where its name has no left or right.

    Args:
        names (list[str]): K keypoint names.
        pairs (Sequence[tuple[str, str]]): Names on the left and on the right, where the names do not tell.

    Raises:
        ValueError: If a left keypoint has no right one or the other way round, two have the same name, or a pair is of
            other names.
    """
    given = {name: other for left, right in pairs for name, other in ((left, right), (right, left))}
    if unknown := [name for name in given if name not in names]:
        raise ValueError(f'there is no keypoint {unknown[0]!r} for a pair; there are {", ".join(map(repr, names))}')
    if len(given) < 2 * len(pairs):
        raise ValueError('a keypoint is in two pairs, or is its own counterpart')
    spelled = {name: spoken for name, spoken in zip(names, spell_out(names)) if name not in given}
    by_words = {words(spoken): name for name, spoken in spelled.items()}
    if len(by_words) + len(given) < len(names):
        twice = [name for name in names if by_words.get(words(spelled.get(name, ''))) != name and name not in given]
        twice += [name for name in names if names.count(name) > 1]
        raise ValueError(f'two keypoints have the same name, {twice[0]!r}: give each a name of its own')
    alone = [name for name, spoken in spelled.items() if mirrored_words(spoken) not in by_words]
    if alone:
        raise ValueError(
            f'the keypoints {", ".join(map(repr, alone))} have a side, but no counterpart on the other: the two names '
            'must differ in left and right (l and r) alone. Rename them in the file, without a side where there is '
            'no counterpart, or give the pairs with --pair LEFT RIGHT'
        )
    return {name: given.get(name) or by_words[mirrored_words(spelled[name])] for name in names}


def sides_of(names: list[str], pairs: Sequence[tuple[str, str]] = ()) -> list[str]:
    """Return ``'left'``, ``'right'`` or ``'middle'`` for each of the names."""
    given = {name: side for pair in pairs for name, side in zip(pair, ('left', 'right'))}
    return [
        given.get(name) or next((word for word in words(spoken) if word in OPPOSITE), 'middle')
        for name, spoken in zip(names, spell_out(names))
    ]


def known_keypoints(names: list[str]) -> ChainMap:
    """Return sigma and part of the body ('upper', 'lower') of the keypoints that MMPose knows, by their words.

    Where data sets differ, the one that has the most of these names goes first.
    """
    known = []
    for dataset in KNOWN:
        info = parse_pose_metainfo(known_metainfo(dataset))
        parts = dict.fromkeys(info['upper_body_ids'], 'upper') | dict.fromkeys(info['lower_body_ids'], 'lower')
        known.append(
            {
                words(name): (round(float(info['sigmas'][i]), 4), parts.get(i, ''))
                for i, name in info['keypoint_id2name'].items()
            }
        )
    mine = {words(name) for name in names}
    return ChainMap(*sorted(known, key=lambda keypoints: -len(mine & keypoints.keys())))


def make_metainfo(
    dataset_name: str, names: list[str], skeleton: list[list[int]], pairs: Sequence[tuple[str, str]] = ()
) -> dict:
    """Return a metainfo as MMPose takes it.

    Args:
        dataset_name (str): The data set's name.
        names (list[str]): K keypoint names, as the annotation file has them.
        skeleton (list[list[int]]): Pairs of numbers from 0 to K - 1.
        pairs (Sequence[tuple[str, str]]): As for :func:`swaps_of`.

    Raises:
        ValueError: As :func:`swaps_of`, or if a name could do more than name a keypoint.
    """
    check_printable(*names)
    spelled = spell_out(names)
    swaps, sides, known = swaps_of(names, pairs), sides_of(names, pairs), known_keypoints(spelled)
    known = [known.get(words(spoken), (SIGMA, '')) for spoken in spelled]
    keypoints = {
        i: dict(
            name=name,
            id=i,
            color=COLOURS[side],
            type=known[i][1],
            swap=swaps[name] if swaps[name] != name else '',
        )
        for i, (name, side) in enumerate(zip(names, sides))
    }
    links = {}
    for i, (start, end) in enumerate(skeleton):
        side = {sides[start], sides[end]} - {'middle'}
        colour = COLOURS[side.pop() if len(side) == 1 else 'middle']
        links[i] = dict(link=(names[start], names[end]), id=i, color=colour)
    return dict(
        dataset_name=dataset_name,
        keypoint_info=keypoints,
        skeleton_info=links,
        joint_weights=[1.0] * len(names),
        sigmas=[sigma for sigma, _ in known],
    )
