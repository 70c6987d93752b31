"""A model tested on the data set of another config, by the keypoints whose names both have."""

from mmengine.config import Config

from ..datasets.metainfo import annotation_path, converts_keypoints, raw_metainfo
from ..datasets.names import readable, spell_out
from ..datasets.union import common_names, converter_to
from ..datasets.vocabulary import canonical


def canonical_names(dataset: dict) -> list[str]:
    """Return the names of a data set config's keypoints, in its order: canonical ones, else its own words.

    Raises:
        ValueError: If two keypoints have one name, or there is no metainfo.
    """
    info = raw_metainfo(dataset)
    own = [point['name'] for point in info['keypoint_info'].values()]
    names = [canonical(spoken) or readable(spoken) for spoken in spell_out(own)]
    if twice := [name for name in names if names.count(name) > 1]:
        both = [point for point, name in zip(own, names) if name == twice[0]]
        raise ValueError(f'{info["dataset_name"]}: the keypoints {both[0]!r} and {both[1]!r} both mean {twice[0]!r}.')
    return names


def measure_on(cfg: Config, other: Config) -> list[str]:
    """Make a config test its model on the test data of another one, by the keypoints that both have.

    Input size, pipeline and model stay those of ``cfg``. AP, AR and PCK are those of :class:`NamedCocoMetric`.

    Args:
        cfg (Config): Of the model, changed in place.
        other (Config): Of the data set, of this model or of any other.

    Returns:
        list[str]: The names that are measured.

    Raises:
        ValueError: If no name is in both, ``other`` has no test data, combines several data sets, or takes some of its
            keypoints, or two keypoints have one name.
    """
    for each in (cfg, other):
        if not each.get('test_dataloader'):
            raise ValueError(f'{each.filename} has no test_dataloader: name a config with a model and a data set.')
    dataset, trained = other.test_dataloader.dataset, cfg.test_dataloader.dataset
    if 'datasets' in dataset:
        raise ValueError(f'{other.filename} combines data sets: name a config of one of them.')
    if converts_keypoints(dataset):
        raise ValueError(f'{other.filename} takes some of its keypoints: name the config that takes all of its file.')
    info, model_info = raw_metainfo(dataset), raw_metainfo(trained)
    names, model_names = canonical_names(dataset), canonical_names(trained)
    try:
        common = common_names(names, model_names)
    except ValueError as error:
        raise ValueError(f'{other.filename} has no keypoint that the model knows. {error}') from None
    cfg.test_dataloader.dataset = dict(
        type='CombinedDataset',
        metainfo=model_info,
        # without the boxes of a detector, whose numbers are not those of the annotations that PCK is of
        datasets=[dict(dataset, bbox_file=None, pipeline=[converter_to(names, model_names)])],
        pipeline=[step for step in trained.pipeline if step['type'] != 'KeypointConverter'],
        test_mode=True,
    )
    metric = dict(
        type='NamedCocoMetric',
        prefix='common',
        ann_file=annotation_path(dataset),
        metainfo=info,
        annotated=names,
        predicted=model_names,
        only=common,
    )
    cfg.test_evaluator = dict(type='ManyDatasetsEvaluator', metrics={info['dataset_name']: [metric]})
    return common
