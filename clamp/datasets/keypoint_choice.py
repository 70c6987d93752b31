"""Some of a data set's keypoints, in any order, as a data set config says it."""

from collections.abc import Sequence


def choose_keypoints(info: dict, names: Sequence[str], chosen: Sequence[str]) -> tuple[dict, dict]:
    """Return what a data set config needs for some of its keypoints: ``metainfo``, and a step of the pipelines.

    The step comes before any that flips: flip pairs are those of the new metainfo, in which a keypoint whose mirror
    image is not chosen stands for itself.

    Args:
        info (dict): MMPose's ``dataset_info``.
        names (Sequence[str]): The names of all its keypoints, in its order, as prompts say them.
        chosen (Sequence[str]): Some of these, in the order to be.

    Raises:
        ValueError: If there are not as many names as keypoints, or one is chosen that is not among them, or twice.
    """
    if len(names) != len(info['keypoint_info']):
        raise ValueError(f'There are {len(info["keypoint_info"])} keypoints, but {len(names)} names.')
    if wrong := [name for name in chosen if name not in names or list(chosen).count(name) > 1]:
        raise ValueError(f'{wrong[0]!r} is chosen twice, or is none of {", ".join(names)}.')
    places = [list(names).index(name) for name in chosen]
    points = [dict(info['keypoint_info'][place]) for place in places]
    there = {point['name'] for point in points}
    links = [link for link in info['skeleton_info'].values() if set(link['link']) <= there]
    metainfo = dict(
        dataset_name=f'{info["dataset_name"]}_{len(chosen)}',
        keypoint_info={
            new: point | dict(id=new, swap=point['swap'] if point['swap'] in there else '')
            for new, point in enumerate(points)
        },
        skeleton_info={new: dict(link, id=new) for new, link in enumerate(links)},
        joint_weights=[info['joint_weights'][place] for place in places],
        sigmas=[info['sigmas'][place] for place in places],
    )
    mapping = [(place, new) for new, place in enumerate(places)]
    return metainfo, dict(type='KeypointConverter', num_keypoints=len(chosen), mapping=mapping)
