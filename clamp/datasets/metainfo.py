"""What a data set config says: its keypoints, its file, and the data sets that it combines."""

import copy
import functools
import os.path as osp
from pathlib import Path
from typing import Any

import mmpose
from mmengine.config import Config
from mmpose.datasets.datasets.utils import parse_pose_metainfo
from mmpose.registry import DATASETS


def raw_metainfo(dataset: dict) -> dict:
    """Return the metainfo of a data set config as MMPose takes it, out of the file that it may name.

    Args:
        dataset (dict): With ``metainfo``, or a ``type`` that has one.

    Raises:
        ValueError: If it has none.
    """
    info = dict(dataset.get('metainfo') or getattr(DATASETS.get(dataset['type']), 'METAINFO', None) or {})
    if path := info.get('from_file'):
        in_mmpose = Path(mmpose.__file__).parent / '.mim' / 'configs/_base_/datasets' / Path(path).name
        # MMPose's own is meant by its path there or by its name alone, and not by a file of that name elsewhere
        named = Path(path).parent.parts[-3:] in ((), ('configs', '_base_', 'datasets'))
        files = [file for file in (Path(path), in_mmpose)[: 1 + named] if file.is_file()]
        info = next(filter(None, (_read_file(file, file.stat().st_mtime_ns) for file in files)), None)
        if info is None:
            raise ValueError(f'{path}: no file here or in MMPose that defines `dataset_info`')
        info = copy.deepcopy(info)
    if not info:
        raise ValueError(f'{dataset.get("type")} is no data set of MMPose, and there is no `metainfo`')
    return info


@functools.lru_cache
def _read_file(path: Path, changed: int) -> dict | None:
    """Return what a file defines as ``dataset_info``. It is read again when it has changed, not when a base has."""
    return Config.fromfile(path).to_dict().get('dataset_info')


def put_in_order(config: Any) -> None:
    """Put the keypoints and links of every metainfo in a config, which are known by number, in the numbers' order.

    MMEngine writes the entries of a dict sorted as text, 0, 1, 10, 11, 2, and MMPose takes the order of the entries for
    that of the keypoints: read back, ``flip_indices`` of eleven keypoints or more would exchange the wrong ones.

    Args:
        config (Config | dict | list): Changed in place.
    """
    if isinstance(config, (list, tuple)):
        for value in config:
            put_in_order(value)
    elif isinstance(config, (Config, dict)):
        for key, value in config.items():
            is_info = key in ('keypoint_info', 'skeleton_info') and isinstance(value, dict)
            if is_info and all(str(number).isdecimal() for number in value):
                entries = dict(sorted(value.items(), key=lambda entry: int(entry[0])))
                value.clear()
                value.update(entries)
            else:
                put_in_order(value)


def known_metainfo(name: str) -> dict:
    """Return MMPose's metainfo of ``'ap10k'``, ``'animalpose'``, ``'coco'`` and others, as :func:`raw_metainfo`."""
    return raw_metainfo(dict(metainfo=dict(from_file=f'configs/_base_/datasets/{name}.py')))


def dataset_metainfo(dataset: dict) -> dict:
    """Return MMPose's parsed description of a data set config's keypoints: names, flip indices, sigmas, colours.

    Raises:
        ValueError: If it has none, or it is malformed.
    """
    info = raw_metainfo(dataset)
    name = info.get('dataset_name')
    try:
        parsed = parse_pose_metainfo(info)
    except (AssertionError, AttributeError, KeyError, TypeError) as error:
        raise ValueError(
            f'The metainfo of the data set {name!r} cannot be used ({error!r}): dataset_name, keypoint_info, '
            'skeleton_info, joint_weights and sigmas are needed, and swaps and links should name its keypoints.'
        ) from error
    if (ids := list(parsed['keypoint_id2name'])) != list(range(len(ids))):
        raise ValueError(
            f'The keypoint_info of the data set {name!r} has its keypoints as {", ".join(map(str, ids))}: number them '
            'from 0, in that order. MMPose takes the order of the entries for that of the keypoints.'
        )
    for key in ('sigmas', 'joint_weights'):
        if len(info[key]) != parsed['num_keypoints']:
            raise ValueError(
                f'The metainfo of the data set {name!r} has {parsed["num_keypoints"]} keypoints, but {len(info[key])} '
                f'{key}: give one for each.'
            )
    return parsed


def annotation_path(dataset: dict) -> str:
    """Return the path of a data set config's annotation file.

    Raises:
        ValueError: If it combines several data sets.
    """
    if 'datasets' in dataset:
        raise ValueError('The config combines several data sets: name a config of one of them.')
    return osp.join(dataset.get('data_root') or '', dataset['ann_file'])


def dataset_of(cfg: Config, split: str) -> dict:
    """Return the innermost data set config of the loader of ``'train'``, ``'val'`` or ``'test'``; empty without one."""
    dataset = (cfg.get(f'{split}_dataloader') or {}).get('dataset', {})
    while 'dataset' in dataset:
        dataset = dataset['dataset']
    return dataset


def converts_keypoints(dataset: dict) -> bool:
    """Whether a data set config's pipeline makes other keypoints of those of its file."""
    return any(step['type'] == 'KeypointConverter' for step in dataset.get('pipeline', ()))


def parts_of(dataset: dict) -> list[dict]:
    """Return the configs of the data sets that a data set config combines; itself if it combines none."""
    return list(dataset['datasets']) if 'datasets' in dataset else [dataset]
