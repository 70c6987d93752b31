"""Write a trained model as one folder that others can use: see :mod:`clamp.pretrained` for what is in it."""

import hashlib
import json
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpose.registry import MODELS
from safetensors.torch import save_file
from torch import Tensor

from .checkpoints import load_weights
from .checks import check_config
from .datasets.metainfo import raw_metainfo
from .images import read_image
from .model_card import model_card
from .onnx.estimator import onnx_estimator
from .pretrained import (
    CARD,
    CONFIG,
    EXPORTED,
    KEPT,
    OUTPUTS,
    TEXT_MODEL,
    TEXT_MODEL_KEYS,
    WEIGHTS,
    check_data_alone,
    read_published_config,
)


@dataclass(frozen=True)
class Notes:
    """What the model card cannot know by itself.

    Args:
        name (str): What the model is called.
        description (str): What it is for, in a sentence or more; empty for none.
        licence (str): Of the weights, as the hub names it, such as ``'apache-2.0'``; empty if not yet decided.
        metrics (Path, optional): The metrics that ``tools/test.py --out`` wrote of this checkpoint.
        picture (Path, optional): A picture to show, such as one that ``tools/predict.py`` drew.
    """

    name: str
    description: str = ''
    licence: str = ''
    metrics: Path | None = None
    picture: Path | None = None


def publish(cfg: Config, checkpoint: str, folder: str | Path, notes: Notes, half: bool = False) -> None:
    """Write the folder, complete or not at all.

    Args:
        cfg (Config): The config that the checkpoint was trained with.
        checkpoint (str): Its path, or that of what ``tools/export_onnx.py`` made of it (.onnx).
        folder (str | Path): A new or an empty folder.
        notes (Notes): For the model card.
        half (bool): Whether weights are kept in half precision, half as large. Defaults to False.

    Raises:
        FileNotFoundError: If a file is not there.
        ValueError: If the folder holds something, config and checkpoint do not fit, the config cannot be written as
            plain data, or a weight is too large for half precision.
    """
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f'{folder} is there and not empty: name a new folder.')
    metrics = read_metrics(notes.metrics)
    if notes.picture:
        read_image(notes.picture)
    init_default_scope(cfg.get('default_scope', 'mmpose'))
    check_config(cfg, ())
    try:
        config = published_config(cfg)
        check_data_alone(config, 'the config')
    except ValueError as error:
        raise ValueError(f'Others could not load this model: {error} Pass your code and the checkpoint on.') from error
    exported = checkpoint.endswith('.onnx')
    if exported and half:
        raise ValueError('An exported model is published as it is: leave --half out. docs/onnx.md has fp16.')
    model = MODELS.build(onnx_estimator(cfg.model, checkpoint) if exported else cfg.model)
    meta = {} if exported else load_weights(model, checkpoint).get('meta', {})
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix='.publish-') as scratch:
        part = Path(scratch) / 'model'
        part.mkdir()
        if exported:
            shutil.copyfile(checkpoint, part / EXPORTED)
        else:
            save_file(published_weights(model, half), part / WEIGHTS, metadata=dict(format='pt'))
            (part / WEIGHTS).chmod(0o644)  # it would be for its owner alone
            copy_text_model(cfg, part / TEXT_MODEL)
        (part / CONFIG).write_text(dump(config), encoding='utf-8')
        read_published_config(str(part / CONFIG))  # as others will
        for source, name in ((notes.metrics, 'metrics.json'), (notes.picture, picture_name(notes))):
            if source:
                shutil.copyfile(source, part / name)
        card = model_card(cfg, model, notes, metrics, picture_name(notes), origin(checkpoint, meta))
        (part / CARD).write_text(card, encoding='utf-8')
        part.chmod(0o755)
        os.replace(part, folder)


def picture_name(notes: Notes) -> str:
    """Return what the picture is called in the folder; empty if there is none."""
    return f'example{notes.picture.suffix.lower()}' if notes.picture else ''


def published_weights(model: torch.nn.Module, half: bool) -> dict[str, Tensor]:
    """Return the weights of a model as they are written.

    Raises:
        ValueError: If one is not finite, or would not be in half precision.
    """
    weights = {}
    for name, tensor in model.state_dict().items():
        weights[name] = (tensor.half() if half and tensor.is_floating_point() else tensor).contiguous()
        if not weights[name].isfinite().all():
            reason = ' in half precision: publish it without --half' if tensor.isfinite().all() else ''
            raise ValueError(f'The weight {name} is not finite{reason}.')
    return weights


def published_config(cfg: Config) -> dict:
    """Return what a test needs of a config, with nothing in it that would be fetched or run."""
    kept = {key: cfg[key] for key in KEPT if key in cfg}
    config = _without_sources(Config(kept).to_dict())
    dataset = config['test_dataloader']['dataset']
    dataset['metainfo'] = raw_metainfo(cfg.test_dataloader.dataset)
    return config


def _without_sources(data: Any) -> Any:
    """Forget where weights to begin with come from, for the folder holds all, and where something is written."""
    if isinstance(data, dict):
        kept = {key: _without_sources(value) for key, value in data.items() if key not in ('init_cfg', *OUTPUTS)}
        placed = {key: TEXT_MODEL for key in TEXT_MODEL_KEYS if kept.get(key)}
        return kept | placed | ({'pretrained': None} if 'pretrained' in kept else {})
    return [_without_sources(value) for value in data] if isinstance(data, (list, tuple)) else data


def copy_text_model(cfg: Config, folder: Path) -> None:
    """Copy what a text model of Hugging Face is, and its tokenizer, without its weights, if the config has one."""
    text_encoder = (cfg.model.head.get('prompt_learner') or {}).get('text_encoder') or {}
    model, tokenizer = ((text_encoder.get('text_cfg') or {}).get(key) for key in TEXT_MODEL_KEYS)
    if model or tokenizer:
        from transformers import AutoConfig, AutoTokenizer

        if model:
            AutoConfig.from_pretrained(model).save_pretrained(folder)
        AutoTokenizer.from_pretrained(tokenizer or model).save_pretrained(folder)


def dump(config: dict) -> str:
    """Return a config as JSON.

    Raises:
        ValueError: If something in it is no plain data.
    """
    try:
        return json.dumps(config, indent=1, allow_nan=False, ensure_ascii=False)
    except (TypeError, ValueError) as error:
        raise ValueError(f'The config cannot be written as plain data: {error}') from error


def read_metrics(path: Path | None) -> dict[str, float]:
    """Return the numbers of a file of ``tools/test.py --out``; none without a file.

    Raises:
        FileNotFoundError: If it is not there.
        ValueError: If it holds no numbers.
    """
    if path is None:
        return {}
    if not path.is_file():
        raise FileNotFoundError(f'The metrics {path} are not there (from {Path.cwd()}).')
    try:
        found = json.loads(path.read_bytes())
        numbers = {key: float(value) for key, value in found.items() if isinstance(value, (int, float))}
        if not numbers:
            raise ValueError('there are no numbers in it')
    except (ValueError, AttributeError) as error:
        raise ValueError(f'{path} is not what tools/test.py --out writes: {error}') from error
    return numbers


def origin(checkpoint: str, meta: dict) -> dict[str, Any]:
    """Return what is known of a checkpoint: its SHA-256 and, where MMEngine says them, epoch, iteration and seed."""
    known = {key: meta[key] for key in ('epoch', 'iter', 'seed') if meta.get(key) is not None}
    return dict(sha256=hashlib.sha256(Path(checkpoint).read_bytes()).hexdigest(), **known)
