"""Checks of a config's loaders and evaluators where several data sets are combined, and where one stands alone."""

import os.path as osp

from mmengine.config import Config
from mmpose.registry import METRICS

from .datasets.metainfo import annotation_path, dataset_metainfo, dataset_of, parts_of

BY_ANNOTATION = ('NamedCocoMetric', 'NamedKeypointMetric')  # metrics that look up the annotation of each animal


def check_parts(dataset: dict) -> None:
    """Check that the data sets of a combined one convert their keypoints to its own, and can be told apart.

    Raises:
        ValueError: If a conversion is missing or does not fit, or two data sets have one name.
    """
    if 'datasets' not in dataset:
        return
    number = dataset_metainfo(dataset)['num_keypoints']
    infos = [dataset_metainfo(part) for part in dataset['datasets']]
    names = [info['dataset_name'] for info in infos]
    if twice := [name for name in names if names.count(name) > 1]:
        raise ValueError(
            f'Two of the combined data sets are named {twice[0]!r}: give each its own dataset_name in its metainfo.'
        )
    for part, info in zip(dataset['datasets'], infos):
        steps = [step for step in part.get('pipeline', ()) if step['type'] == 'KeypointConverter']
        to = steps[-1]['num_keypoints'] if steps else info['num_keypoints']
        mappings = [pair for step in steps for pair in step['mapping']]
        places = [place for pair in mappings for place in (pair[0] if isinstance(pair[0], (list, tuple)) else pair[:1])]
        targets = [target for _, target in mappings]
        wrong = max(places, default=-1) >= info['num_keypoints'] or max(targets, default=-1) >= number
        if to != number or wrong:
            raise ValueError(
                f'The data set {info["dataset_name"]} has {info["num_keypoints"]} keypoints, and its pipeline makes '
                f'{to} of them, from the places {places} to {targets}; the data sets together have {number}. Let '
                'clamp.datasets.union.unite make the KeypointConverter.'
            )


def check_absent(cfg: Config) -> None:
    """Check that keypoints which a data set does not label are not taken for what its animals do not have.

    Raises:
        ValueError: If they are.
    """
    absent = cfg.model.get('data_preprocessor', {}).get('absent') or {}
    if absent.get('unlabelled') and 'datasets' in cfg.train_dataloader.dataset:
        raise ValueError(
            'model.data_preprocessor.absent.unlabelled takes unlabelled keypoints as not there, but each of the '
            'combined data sets leaves some unlabelled that its animals have. Set it to False.'
        )


def check_evaluator(cfg: Config, split: str) -> None:
    """Check that loader and evaluator read the same annotations: the metric counts every image of its own file.

    Raises:
        ValueError: If they do not, the loader leaves out a part of what the metric counts, or the best checkpoint goes
            by what is not measured.
    """
    evaluators, dataset = cfg.get(f'{split}_evaluator') or [], dataset_of(cfg, split)
    if not evaluators:
        return
    by_name = isinstance(evaluators, dict) and isinstance(evaluators.get('metrics'), dict)
    if by_name != ('datasets' in dataset):
        raise ValueError(
            f'{split}_dataloader is of {"combined data sets" if "datasets" in dataset else "one data set"}, but '
            f'{split}_evaluator is not: combined ones go with a ManyDatasetsEvaluator, and one with its metrics.'
        )
    if by_name:
        metrics = evaluators.metrics
        if wrong := [name for name, of_dataset in metrics.items() if not isinstance(of_dataset, (list, tuple))]:
            raise ValueError(f'{split}_evaluator.metrics.{wrong[0]} should be a list of metrics.')
        files = {dataset_metainfo(part)['dataset_name']: annotation_path(part) for part in parts_of(dataset)}
    else:
        metrics = {'': evaluators if isinstance(evaluators, list) else [evaluators]}
        files = {'': annotation_path(dataset)}
    if files.keys() != metrics.keys():
        raise ValueError(
            f'{split}_dataloader has the data sets {", ".join(files)}, but {split}_evaluator measures '
            f'{", ".join(metrics)}: both go by the dataset_name of the metainfo.'
        )
    for name, path in files.items():
        for metric in metrics[name]:
            if osp.normpath(metric.get('ann_file') or path) != osp.normpath(path):
                raise ValueError(
                    f'{split}_dataloader reads {path}, but {split}_evaluator reads {metric.ann_file}. AP would be '
                    'wrong: name the same file in both.'
                )
    every = [metric for of_dataset in metrics.values() for metric in of_dataset]
    if dataset.get('bbox_file') and any(metric.get('type') in BY_ANNOTATION for metric in every):
        raise ValueError(
            f'{split}_dataloader.dataset has a bbox_file, but {" and ".join(BY_ANNOTATION)} compare an animal with its '
            'own annotation, and of the boxes of a detector nobody knows which animals they are of. Take it out.'
        )
    if any(metric.get('ann_file') for metric in every):
        check_whole(cfg, split)
    if split == 'val':
        check_save_best(cfg, list(metrics) if by_name else [prefix_of(metric) for metric in every])


def check_whole(cfg: Config, split: str) -> None:
    """Check that a loader leaves no animal out, which COCO's metric would count as missed.

    Raises:
        ValueError: If it does.
    """
    loader, whole = cfg[f'{split}_dataloader'], dict(indices=None, sample_interval=1)
    cuts = [f'{split}_dataloader.{name}' for name in ('drop_last', 'num_batch_per_epoch') if loader.get(name)]
    for part in parts_of(dataset_of(cfg, split)):
        cuts += [name for name, value in whole.items() if part.get(name, value) != value]
    if cuts:
        raise ValueError(
            f'{cuts[0]} leaves animals out of the {split} that the metric counts as missed: AP would be wrong. Take a '
            'smaller annotation file: `tools/make_splits.py holdout` makes one.'
        )


def prefix_of(metric: dict) -> str | None:
    """Return the first part of the names of what a metric of a config measures; None if it has none."""
    return metric.get('prefix') or getattr(METRICS.get(metric['type']), 'default_prefix', None)


def check_save_best(cfg: Config, measured: list[str | None]) -> None:
    """Check that what the best checkpoint goes by is measured, as far as its first part tells.

    Raises:
        ValueError: If it is not: MMEngine would find that out after the first validation.
    """
    best = cfg.get('default_hooks', {}).get('checkpoint', {}).get('save_best')
    others = {getattr(each, 'default_prefix', None) for each in METRICS.module_dict.values()} - {None}
    for name in [best] if isinstance(best, str) else best or ():
        first = name.split('/')[0] if '/' in name else None
        if name != 'auto' and first not in measured and (None not in measured or first in others):
            known = ', '.join(f'{prefix}/...' for prefix in measured if prefix) or 'names without such a prefix'
            raise ValueError(
                f'default_hooks.checkpoint.save_best={name!r} is nothing that val_evaluator measures ({known}). Name '
                'one of these, or set it to None.'
            )
