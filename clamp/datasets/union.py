"""Several data sets as one: the union of their keypoints by name, and MMPose's combined data set with seeded draws."""

import logging
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from mmengine.logging import print_log
from mmpose.datasets import CombinedDataset
from mmpose.registry import DATASETS

from ..keypoint_names import check_names, mirrored
from .keypoint_choice import describe_names
from .metainfo import dataset_metainfo
from .new_dataset import COLOURS
from .vocabulary import NAMES, canonical, differences, near


@DATASETS.register_module()
class SeededCombinedDataset(CombinedDataset):
    """MMPose's ``CombinedDataset`` for :class:`SeededSampler`: which animal is drawn follows from the index's seed.

    With ``sample_ratio_factor``, MMPose draws an animal of a part of a data set for each index, from numpy's generator
    as its worker has left it. Here that is seeded first, by the run's seed, the epoch and the index: a training that
    was cut off and resumed, or has another number of workers, sees the same animals. MMPose's ``MultiSourceSampler``
    starts its sequence anew where a training goes on.

    Args:
        **kwargs: Of :class:`mmpose.datasets.CombinedDataset`.
    """

    def get_data_info(self, idx: int) -> dict:
        """Return the animal of an index, as the pipeline of its data set leaves it, with the union's flip pairs."""
        if (seed := getattr(idx, 'seed', None)) is not None:
            np.random.seed(seed)  # noqa: NPY002  the generator of MMPose's transforms
        return super().get_data_info(idx)


def unite(
    metainfos: Mapping[str, dict], names: Mapping[str, Sequence[str]], new_names: Sequence[str] = ()
) -> tuple[list[str], dict, dict[str, dict]]:
    """Return what the config of a training on several data sets needs.

    Args:
        metainfos (Mapping[str, dict]): MMPose's raw metainfo of each data set, by a name for it.
        names (Mapping[str, Sequence[str]]): The canonical names of its keypoints, in its order.
        new_names (Sequence[str]): Names that the vocabulary lacks and that are meant. Defaults to none.

    Returns:
        tuple[list[str], dict, dict[str, dict]]: The K names of the union, in the order in which they first appear; its
        metainfo; and for each data set the ``KeypointConverter`` that ends its pipeline. Sigmas in the metainfo are
        those of the first data set that has the name; each data set is measured with its own.

    Raises:
        ValueError: If a metainfo is malformed, a name is in no vocabulary, two keypoints of a data set have one name, a
            name's mirror image is missing or another than the data set's flip pair, or two data sets put one name in
            different halves of the body.
    """
    new_names = check_names(new_names) if new_names else []
    for name in new_names:
        if known := canonical(name):
            raise ValueError(f'{name!r} in new_names is in the vocabulary, as {known!r}: use that.')
    points: dict[str, dict] = {}
    if lacking := [dataset for dataset in metainfos if dataset not in names]:
        raise ValueError(f'{lacking[0]} has no names: propose(its keypoints) finds them.')
    for dataset, metainfo in metainfos.items():
        dataset_metainfo(dict(metainfo=metainfo, type=dataset))  # checks it
        infos = list(metainfo['keypoint_info'].values())
        check_names_of(dataset, infos, names[dataset], new_names)
        half_of = {info['name']: info.get('type', '') for info in infos}
        for info, name, sigma in zip(infos, names[dataset], metainfo['sigmas']):
            half = half_of[info['name']]
            if half_of.get(info.get('swap') or info['name']) != half:
                half = ''  # as MMPose has AP-10K's front paws: the left one upper, the right one lower
            _add_point(points, dataset, name, half, float(sigma))
    shared = [name for name in points if sum(name in names[dataset] for dataset in metainfos) > 1]
    for name, note in differences(shared).items():
        print_log(f'{name}, which more than one of {", ".join(metainfos)} have: {note}', 'current', logging.WARNING)
    united = list(points)
    mappings = {
        dataset: [[place, united.index(name)] for place, name in enumerate(names[dataset])] for dataset in metainfos
    }
    converters = {
        dataset: dict(type='KeypointConverter', num_keypoints=len(united), mapping=mapping)
        for dataset, mapping in mappings.items()
    }
    return united, _metainfo(points, metainfos, names), converters


def check_names_of(dataset: str, infos: list[dict], names: Sequence[str], new_names: Sequence[str] = ()) -> None:
    """Check the canonical names of a data set's keypoints.

    Args:
        dataset (str): Its name, for the message.
        infos (list[dict]): Its keypoints, each with ``name`` and ``swap``, in its order.
        names (Sequence[str]): Their canonical names.
        new_names (Sequence[str]): Names that the vocabulary lacks and that are meant.

    Raises:
        ValueError: As :func:`unite`.
    """
    if len(infos) != len(names):
        raise ValueError(f'{dataset} has {len(infos)} keypoints, but {len(names)} names: {", ".join(map(str, names))}.')
    name_of = {info['name']: name for info, name in zip(infos, names)}
    for keypoint, name in name_of.items():
        if name is None or name not in (*NAMES, *new_names):
            known = canonical(name or keypoint)
            other = [known] if known else near(name or keypoint)
            what = f'{name!r}, the name of its {keypoint!r},' if name else f'its {keypoint!r}'
            hint = f' Near: {", ".join(other)}.' if other else ''
            raise ValueError(
                f'{dataset}: {what} is in no vocabulary.{hint} Give the canonical name, or, if there is none, list a '
                'name of your own in new_names.'
            )
    for keypoint, name in name_of.items():
        if twice := [other for other in name_of if other != keypoint and name_of[other] == name]:
            raise ValueError(f'{dataset} gives the name {name!r} to two keypoints, {keypoint!r} and {twice[0]!r}.')
    for info, name in zip(infos, names):
        swap = info.get('swap') or info['name']
        if name_of.get(swap) != mirrored(name):
            is_named = f'is named {name_of[swap]!r}' if swap in name_of else 'is none of its keypoints'
            is_own = swap == info['name']
            raise ValueError(
                f'{dataset}: {info["name"]!r} is named {name!r}, so its mirror image should be {mirrored(name)!r}, but '
                + ('it is its own mirror image.' if is_own else f'that is {swap!r}, which {is_named}.')
            )


def _add_point(points: dict[str, dict], dataset: str, name: str, half: str, sigma: float) -> None:
    """Put a keypoint into the union, or check that it is the one that is there."""
    point = points.setdefault(name, dict(name=name, type=half, sigma=sigma, dataset=dataset))
    if half and point['type'] and half != point['type']:
        raise ValueError(
            f'Two data sets give the name {name!r} to two keypoints: it is of the {point["type"]} body in '
            f'{point["dataset"]}, and of the {half} body in {dataset}.'
        )
    point['type'] = point['type'] or half


def _metainfo(points: dict[str, dict], metainfos: Mapping[str, dict], names: Mapping[str, Sequence[str]]) -> dict:
    links = {}
    for dataset, metainfo in metainfos.items():
        name_of = {
            info['name']: name for info, name in zip(metainfo['keypoint_info'].values(), names[dataset], strict=True)
        }
        for link in metainfo['skeleton_info'].values():
            ends = tuple(name_of[end] for end in link['link'])
            links.setdefault(frozenset(ends), dict(link=ends, color=list(link.get('color', COLOURS['middle']))))
    info = describe_names(list(points))
    for keypoint, point in zip(info['keypoint_info'].values(), points.values()):
        keypoint['type'] = point['type']
    return info | dict(
        dataset_name='union',
        skeleton_info={place: dict(link, id=place) for place, link in enumerate(links.values())},
        sigmas=[point['sigma'] for point in points.values()],
    )


def converter_to(names: Sequence[str], model_names: Sequence[str]) -> dict:
    """Return the ``KeypointConverter`` that puts a data set's keypoints, by their names, at the places of a model's.

    For testing a model on a data set that has other keypoints: those that are not the model's are left out, and those
    that the data set lacks are unlabelled.

    Raises:
        ValueError: If they have no name in common.
    """
    common = common_names(names, model_names)
    mapping = [[list(names).index(name), list(model_names).index(name)] for name in common]
    return dict(type='KeypointConverter', num_keypoints=len(model_names), mapping=mapping)


def ask_less(
    names: Sequence[str], annotated: Sequence[str], datasets: Iterable[dict], metrics: Mapping[str, Sequence[dict]]
) -> tuple[list[dict], dict[str, list[dict]]]:
    """Return what of the test of several data sets is for a model that knows fewer names.

    Args:
        names (Sequence[str]): The model's.
        annotated (Sequence[str]): Those of the data sets' keypoints, in their order.
        datasets (Iterable[dict]): The configs of the data sets.
        metrics (Mapping[str, Sequence[dict]]): By data set, the configs of its ``NamedCocoMetric``, each with ``only``.

    Returns:
        tuple[list[dict], dict[str, list[dict]]]: The data sets with the model's keypoints, and the metrics of which
        it knows all names.
    """
    converter = converter_to(annotated, names)
    known = {
        name: [dict(each, predicted=list(names)) for each in of_dataset if set(each['only']) <= set(names)]
        for name, of_dataset in metrics.items()
    }
    return [dict(dataset, pipeline=[converter]) for dataset in datasets], known


def common_names(names: Sequence[str], others: Sequence[str]) -> list[str]:
    """Return the names that are in both lists, in the order of the first.

    Raises:
        ValueError: If there is none.
    """
    common = [name for name in names if name and name in others]  # None: in no vocabulary
    if not common:
        raise ValueError(f'No name is in both: {", ".join(map(str, names))}; and {", ".join(map(str, others))}.')
    return common
