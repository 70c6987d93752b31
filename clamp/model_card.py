"""The README.md of a published model, as the Hugging Face hub shows it: what it is, of what, how good, what for."""

import json
from typing import TYPE_CHECKING, Any

import torch
from mmengine.config import Config

from . import __version__
from .datasets.metainfo import dataset_metainfo, parts_of
from .keypoint_names import names_of
from .onnx.estimator import ONNXHead

if TYPE_CHECKING:
    from .publish import Notes

PAPER = """\
, by the method of *CLAMP: Prompt-based Contrastive Learning for Connecting Language and Animal Pose* (CVPR 2023)"""
CARD = """\
---
{front}
---

# {name}

{description}{method}, input {size}, {k} keypoints.
It finds the keypoints of one animal in a box around it{paper}.
{picture}
## Use

```python
from clamp.inference import PosePredictor

predictor = PosePredictor.from_pretrained('path/to/this/folder')  # or its id on the hub
[[pose]] = predictor(['photo.jpg'], boxes=[[[10, 20, 290, 260]]])  # x, y, width, height; without: the whole image
pose.keypoints, pose.scores  # ({k}, 2) in pixels of the image; ({k},)
```

The repository's {tools} take this folder in the place of config and checkpoint:
`python tools/predict.py FOLDER photo.jpg`.

## Training data

{training}

## Results

{results}

## Keypoints

| | name | {prompt}mirror image |
|---|---|{prompt_rule}---|
{keypoints}

Skeleton: {skeleton}.

## Intended use and limits

Poses of animals of the kinds that it was trained on, in photographs and videos, for research. It needs a box around
each animal. It has an answer for every keypoint, seen or not: look at the scores, and check a sample of your own images
by eye before you count on it. It has not been made for decisions about single animals, nor for people.

## Licence

{licence}

## Origin

{origin}
"""


def model_card(
    cfg: Config, model: torch.nn.Module, notes: 'Notes', metrics: dict[str, float], picture: str, origin: dict[str, Any]
) -> str:
    """Return a model card.

    Args:
        cfg (Config): The config that the model was trained with.
        model (nn.Module): The model.
        notes (Notes): What its author says.
        metrics (dict[str, float]): Of its test; may be empty.
        picture (str): File in the folder; empty for none.
        origin (dict[str, Any]): Of the checkpoint: ``sha256`` and, if known, ``epoch``, ``iter``, ``seed``.
    """
    metainfo = dataset_metainfo(cfg.test_dataloader.dataset)
    prompts = names_of(cfg.model.head)
    size = cfg.model.head.decoder.input_size
    parts = [type(part).__name__ for part in (model, model.backbone, model.head)]
    weights = f'{sum(parameter.numel() for parameter in model.parameters()) / 1e6:.1f} M parameters'
    tools = '`tools/predict.py`, `test.py`, `report.py`, `demo_app.py` and `export_onnx.py`'
    if isinstance(model.head, ONNXHead):
        parts = [part['type'] for part in (cfg.model, cfg.model.backbone, cfg.model.head)]
        weights, tools = 'an ONNX graph', '`tools/predict.py`, `test.py` and `demo_app.py`'
    return CARD.format(
        front=front_matter(notes.licence),
        name=notes.name,
        description=f'{notes.description.strip()}\n\n' if notes.description else '',
        method='{} with {} and {}, {}'.format(*parts, weights),
        tools=tools,
        size='x'.join(map(str, size)),
        paper=PAPER if prompts else '',
        k=metainfo['num_keypoints'],
        picture=f'\n![an example]({picture})\n' if picture else '',
        training=training(cfg, origin),
        results=results(cfg, metrics),
        prompt='prompt | ' if prompts else '',
        prompt_rule='---|' if prompts else '',
        keypoints='\n'.join(keypoint_rows(metainfo, prompts)),
        skeleton=skeleton(metainfo),
        licence=notes.licence or 'Not stated. Ask whoever made this model, and mind the licence of its training data.',
        origin=f'clamp-pose {__version__}, PyTorch {torch.__version__}; the checkpoint, SHA-256: `{origin["sha256"]}`.',
    )


def front_matter(licence: str) -> str:
    """Return the lines that the hub reads. Strings of JSON are strings of YAML."""
    tags = ['animal-pose-estimation', 'pose-estimation', 'mmpose', 'clamp']
    lines = [
        f'license: {json.dumps(licence or "other")}',
        'pipeline_tag: keypoint-detection',
        'library_name: clamp-pose',
    ]
    return '\n'.join([*lines, 'tags:', *(f'- {tag}' for tag in tags)])


def training(cfg: Config, origin: dict[str, Any]) -> str:
    """Say of what and how long a model was trained."""
    parts = parts_of(cfg.get('train_dataloader', {}).get('dataset', {}))
    files = [f'`{part["ann_file"]}` ({part["type"]})' for part in parts if part.get('ann_file')]
    source = ' and '.join(files) or 'Its config does not say'
    known = ', '.join(f'{key} {origin[key]}' for key in ('epoch', 'iter', 'seed') if key in origin)
    return f'{source}{f"; {known}" if known else ""}.'


def results(cfg: Config, metrics: dict[str, float]) -> str:
    """Return the table of the metrics, or say that there are none."""
    if not metrics:
        return 'Not measured here: `python tools/test.py FOLDER --out metrics.json` measures them.'
    tested = cfg.test_dataloader.dataset.get('ann_file', 'the test data')
    rows = [f'| {key} | {value:.4g} |' for key, value in metrics.items()]
    return '\n'.join(
        [f'On `{tested}`, from [metrics.json](metrics.json):', '', '| metric | value |', '|---|---|', *rows]
    )


def keypoint_rows(metainfo: dict, prompts: list[str] | None) -> list[str]:
    """Return a row for each keypoint: number, name, prompt if there are prompts, and mirror image."""
    names = metainfo['keypoint_id2name']
    rows = []
    for index, other in enumerate(metainfo['flip_indices']):
        cells = [
            str(index),
            names[index],
            *([prompts[index]] if prompts else []),
            names[other] if other != index else '',
        ]
        rows.append('| ' + ' | '.join(cell.replace('|', r'\|') for cell in cells) + ' |')
    return rows


def skeleton(metainfo: dict) -> str:
    """Return the links of a skeleton, by names."""
    names = metainfo['keypoint_id2name']
    return ', '.join(f'{names[start]} – {names[end]}' for start, end in metainfo['skeleton_links']) or 'none'
