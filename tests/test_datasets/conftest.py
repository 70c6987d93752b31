"""An annotation file of four images with a mouse each, of three keypoints, one of them unlabelled."""

import json

import numpy as np
import pytest
from mmpose.evaluation.metrics import CocoMetric
from mmpose.registry import DATASETS
from PIL import Image

from clamp.datasets import coco as reader
from clamp.datasets.new_dataset import make_metainfo

NAMES = ['left_eye', 'right_eye', 'snout']


def make_coco(**annotation) -> dict:
    ann = dict(category_id=1, bbox=[1, 2, 10, 20], area=150, iscrowd=0, num_keypoints=2)
    ann |= dict(keypoints=[3, 4, 2, 0, 0, 0, 5, 6, 1]) | annotation
    return dict(
        images=[dict(id=i, file_name=f'{i}.png', width=32, height=24) for i in range(4)],
        annotations=[dict(id=10 + i, image_id=i, **json.loads(json.dumps(ann))) for i in range(4)],
        categories=[dict(id=1, name='mouse', keypoints=NAMES)],
    )


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The images, and a fresh memory of what was told."""
    for i in range(4):
        Image.new('RGB', (32, 24)).save(tmp_path / f'{i}.png')
    monkeypatch.setattr(reader, '_told', set())
    return tmp_path


@pytest.fixture
def log(monkeypatch):
    lines = []
    monkeypatch.setattr(reader, 'print_log', lambda text, logger, level: lines.append(text))
    return lines


def write(folder, content):
    path = folder / 'ann.json'
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return path


def config(folder) -> dict:
    metainfo = make_metainfo('mice', NAMES, [])
    return dict(
        type='BaseCocoStyleDataset',
        metainfo=metainfo,
        data_root=str(folder),
        ann_file='ann.json',
        data_prefix=dict(img=''),
        test_mode=True,
        pipeline=[],
    )


def average_precision(folder) -> float:
    """AP of a model that puts every point of the data set that MMPose builds half a pixel off."""
    dataset = DATASETS.build(config(folder))
    metric = CocoMetric(ann_file=str(folder / 'ann.json'))
    metric.dataset_meta = dataset.metainfo
    for sample in map(dataset.get_data_info, range(len(dataset))):
        found = dict(keypoints=sample['keypoints'] + 0.5, keypoint_scores=np.ones((1, 3)))
        truth = dict(bbox_scores=np.ones(1), bbox_scales=np.ones((1, 2)))
        metric.process([], [sample | dict(pred_instances=found, gt_instances=truth)])
    return metric.evaluate(4)['coco/AP']
