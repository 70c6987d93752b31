"""Descriptions of keypoints that are not a whole data set's: some of its own, or any names."""

from collections.abc import Sequence

from ..keypoint_names import check_names, mirrored
from .new_dataset import COLOURS, sides_of


def choose_keypoints(info: dict, names: Sequence[str], chosen: Sequence[str]) -> tuple[dict, dict]:
    """Return what a data set config needs for some of its keypoints: ``metainfo``, and a step of the pipelines.

    The step comes before any that flips: flip pairs are those of the new metainfo.

    Args:
        info (dict): MMPose's ``dataset_info``.
        names (Sequence[str]): The names of all its keypoints, in its order, as prompts say them.
        chosen (Sequence[str]): Some of these, in the order to be.

    Raises:
        ValueError: If there are not as many names as keypoints, or one is chosen that is not among them, twice, or
            without its mirror image: where an image is mirrored, a left eye is a right one.
    """
    if len(names) != len(info['keypoint_info']):
        raise ValueError(f'There are {len(info["keypoint_info"])} keypoints, but {len(names)} names.')
    if wrong := [name for name in chosen if name not in names or list(chosen).count(name) > 1]:
        raise ValueError(f'{wrong[0]!r} is chosen twice, or is none of {", ".join(names)}.')
    places = [list(names).index(name) for name in chosen]
    points = [dict(info['keypoint_info'][place]) for place in places]
    there = {point['name'] for point in points}
    if alone := [name for name, point in zip(chosen, points) if not {point.get('swap') or point['name']} <= there]:
        raise ValueError(
            f'{alone[0]!r} is chosen without its mirror image, which a mirrored image makes of it: choose both.'
        )
    links = [link for link in info['skeleton_info'].values() if set(link['link']) <= there]
    metainfo = dict(
        dataset_name=f'{info["dataset_name"]}_{len(chosen)}',
        keypoint_info={new: point | dict(id=new) for new, point in enumerate(points)},
        skeleton_info={new: dict(link, id=new) for new, link in enumerate(links)},
        joint_weights=[info['joint_weights'][place] for place in places],
        sigmas=[info['sigmas'][place] for place in places],
    )
    mapping = [(place, new) for new, place in enumerate(places)]
    return metainfo, dict(type='KeypointConverter', num_keypoints=len(chosen), mapping=mapping)


def describe_names(names: Sequence[str], mirror_names: Sequence[str] | None = None) -> dict:
    """Return a ``metainfo`` of any names: flip pairs, colours by the words left and right, no skeleton.

    Nothing is known of how exactly such keypoints can be labelled: all have one sigma, 0.05, in the middle of those of
    animal data sets.

    Args:
        names (Sequence[str]): K names; one may stand there more than once.
        mirror_names (Sequence[str], optional): What each is in the mirror image. Defaults to None, what the words left
            and right say.

    Raises:
        ValueError: As :func:`clamp.keypoint_names.check_names`.
    """
    names = check_names(names)
    mirror_names = mirror_names or map(mirrored, names)
    points = {
        place: dict(
            name=name, id=place, color=COLOURS[side], type='', swap=other if other in names and other != name else ''
        )
        for place, (name, side, other) in enumerate(zip(names, sides_of(names), mirror_names))
    }
    return dict(
        dataset_name='names',
        keypoint_info=points,
        skeleton_info={},
        joint_weights=[1.0] * len(names),
        sigmas=[0.05] * len(names),
    )
