"""Checks of a config before anything is built: what would otherwise fail late, unclearly, or not at all."""

import json
import os.path as osp
import tempfile
from pathlib import Path

from mmengine.config import Config

from .combined_checks import check_absent, check_evaluator, check_parts
from .datasets import checked_coco, coco
from .datasets.metainfo import annotation_path, converts_keypoints, dataset_metainfo, dataset_of, parts_of, put_in_order
from .datasets.split_sources import find_sources
from .model_checks import check_keypoint_number, check_sizes, check_targets
from .models.clip import check_weights
from .models.text_towers import check_prompts
from .pretrained import read_published_config
from .settings import check_variables, forget_workers, override

DATA_HELP = 'The README, section "Data", says where to get the data and where it belongs.'
SPLIT_HELP = (
    'tools/make_splits.py makes it: the first lines of the config name the command, docs/protocols.md the options.'
)


def check_work_dir(path: str) -> None:
    """Make the folder of a run's logs and checkpoints, unless it is there.

    Raises:
        ValueError: If it cannot be written.
    """
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=path).close()
    except OSError as error:
        raise ValueError(
            f'The work dir {path} cannot be written: {error.strerror}. Name another by --work-dir.'
        ) from error


def read_config(path: str, options: dict | None = None) -> Config:
    """Read a config and override settings of it, as ``--cfg-options`` of the tools asks.

    Args:
        path (str): A config of this project, or the ``config.json`` of a published model.
        options (dict, optional): What to override. Defaults to None.

    Raises:
        FileNotFoundError: If it is not there.
        ValueError: If a setting or an option would be without effect, see :mod:`clamp.settings`; or a published config
            could run code.
    """
    from . import register  # noqa: F401 (here, as it imports this module)

    cfg = read_published_config(path) if path.endswith('.json') else read_file(path)
    check_variables(cfg)
    override(cfg, options or {})
    forget_workers(cfg)
    return cfg


def read_file(path: str | Path) -> Config:
    """Read a config file as it is; of one that MMEngine wrote into a work dir, the keypoints in their order again.

    Raises:
        FileNotFoundError: If it is not there.
        ValueError: If it is no config in Python, or an error comes up in it.
    """
    try:
        cfg = Config.fromfile(path)
    except FileNotFoundError:
        raise
    except Exception as error:  # a config is code; and OSError is MMEngine's, of other endings
        reason = error if isinstance(error, (OSError, SyntaxError)) else f'{type(error).__name__}: {error}'
        raise ValueError(f'{path} cannot be read as a config (.py): {reason}') from error
    put_in_order(cfg)
    return cfg


def check_config(cfg: Config, splits: tuple[str, ...]) -> None:
    """Check the data, the keypoints, their names and the CLIP that a config asks for.

    Args:
        cfg (Config): A config of this project.
        splits (tuple[str, ...]): Which of ``'train'``, ``'val'``, ``'test'`` are going to be used. CLIP's weights are
            needed for ``'train'`` alone.

    Raises:
        FileNotFoundError: If annotations, images or CLIP's weights are not there.
        ValueError: If head and image tower do not fit, an annotation file is malformed, the number of keypoints
            differs between data set, head and names, a name makes too long a prompt, or loader and evaluator read
            different annotations.
    """
    for split in splits:
        whole = dataset_of(cfg, split)
        if whole and any('ann_file' in dataset for dataset in parts_of(whole)):
            check_keypoint_number(cfg.model, whole)
            check_parts(whole)
            for dataset in parts_of(whole):
                check_data(dataset, test=split != 'train', combined='datasets' in whole)
            check_evaluator(cfg, split)
    if 'train' in splits:
        check_targets(cfg)
        check_absent(cfg)
    check_sizes(cfg.model)
    learner = cfg.model.head.get('prompt_learner') or {}
    image_tower, text_tower = cfg.model.backbone.get('clip'), learner.get('text_encoder')
    if text_tower:
        check_prompts(text_tower, learner.keypoint_names, learner.get('num_context_tokens', 8))
    if 'train' in splits:
        check_weights(image_tower, text_tower)


def check_data(dataset: dict, test: bool = False, combined: bool = False) -> None:
    """Check an annotation file, that its images exist and are of the sizes it gives, and that there is something to do.

    Args:
        dataset (dict): A data set config.
        test (bool): Whether it is tested on. Defaults to False: it is trained on.
        combined (bool): Whether it is one of several. Then its metainfo is of its file, and its pipeline converts the
            keypoints to those of all. Of one alone the metainfo is of what its pipeline makes. Defaults to False.

    Raises:
        FileNotFoundError: If the annotation file or images are missing.
        ValueError: If something in the file cannot be used.
    """
    path = annotation_path(dataset)
    if not osp.isfile(path):
        help_ = SPLIT_HELP if '/splits/' in path else DATA_HELP
        raise FileNotFoundError(f'The annotation file {path} is not there (from {osp.abspath(".")}). {help_}')
    check_split(Path(path))
    takes_some = not combined and converts_keypoints(dataset)
    content = coco.load(path)
    coco.refuse(path, coco.inspect(content, None if takes_some else dataset_metainfo(dataset)['num_keypoints']))
    images = content['images']
    prefix = dataset.get('data_prefix', dict(img=''))
    if not isinstance(prefix, dict) or 'img' not in prefix:
        raise ValueError(
            f'data_prefix={prefix} of the data set of {path} has no `img`, the folder of its images: '
            "dict(img='') where file names begin at data_root."
        )
    folder = osp.join(dataset.get('data_root') or '', prefix['img'])
    missing = [image['file_name'] for image in images if not osp.isfile(osp.join(folder, image['file_name']))]
    if missing:
        raise FileNotFoundError(
            f'{len(missing)} of the {len(images)} images of {path} are not in {folder}, such as '
            f'{", ".join(missing[:3])}. {DATA_HELP}'
        )
    coco.refuse(path, checked_coco.fill_sizes(images, folder))
    coco.refuse(path, checked_coco.compare_sizes(images, folder))
    checked_coco.check_use(path, content, test)


def check_split(path: Path) -> None:
    """Check that a part that ``tools/make_splits.py`` made is of the annotation files that are beside it now.

    Raises:
        ValueError: If one of them has changed since, or the part's manifest is damaged.
    """
    manifest = path.with_suffix('.manifest.json')
    if not manifest.is_file():
        return
    try:
        sources = find_sources(json.loads(manifest.read_bytes()), [path.parent, path.parent.parent])
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f'{manifest} is damaged ({error!r}). Move it and {path} away. {SPLIT_HELP}') from error
    for source in sources:
        if source.path and source.digest != source.expected:
            raise ValueError(
                f'{path} was made of another {source.path} than there is now: what is trained on may be tested on. '
                f'Move it and its manifest away. {SPLIT_HELP}'
            )
