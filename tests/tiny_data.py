"""Data sets of a few drawn images."""

import json
from pathlib import Path

import numpy as np
from mmengine.config import Config
from mmpose.evaluation.metrics import CocoMetric
from mmpose.registry import DATASETS
from PIL import Image

from clamp.datasets import audit
from clamp.datasets.new_dataset import make_metainfo

COW = ['left_eye', 'right_eye', 'nose']
MOUSE = ['left_eye', 'right_eye', 'snout']
OTHER_MOUSE = [
    'tail_tip',
    'snout',
    'eyeR',
    'eyeL',
    'implant',
]  # three of which AP-10K has, the eyes the other way round


def make_coco(**annotation) -> dict:
    """The annotations of four images with a mouse each, of three keypoints, one of them unlabelled."""
    ann = dict(category_id=1, bbox=[1, 2, 10, 20], area=150, iscrowd=0, num_keypoints=2)
    ann |= dict(keypoints=[3, 4, 2, 0, 0, 0, 5, 6, 1]) | annotation
    return dict(
        images=[dict(id=i, file_name=f'{i}.png', width=32, height=24) for i in range(4)],
        annotations=[dict(id=10 + i, image_id=i, **json.loads(json.dumps(ann))) for i in range(4)],
        categories=[dict(id=1, name='mouse', keypoints=MOUSE)],
    )


def sparse_coco(**annotation) -> dict:
    """As :func:`make_coco`, without what can be left out, and with a skeleton."""
    ann = dict(category_id=1, bbox=[1, 2, 10, 20], keypoints=[3, 4, 2, 0, 0, 0, 5, 6, 1]) | annotation
    return dict(
        images=[dict(id=i, file_name=f'{i}.png', width=32, height=32) for i in range(4)],
        annotations=[dict(id=10 + i, image_id=i, **ann) for i in range(4)],
        categories=[dict(id=1, name='mouse', keypoints=MOUSE, skeleton=[[1, 3], [2, 3], [1, 2]])],
    )


def write(folder: Path, content: dict | bytes) -> Path:
    """Write annotations to ``ann.json``."""
    path = folder / 'ann.json'
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return path


def config(folder: Path) -> dict:
    """The config of MMPose's data set of :func:`write`'s file."""
    metainfo = make_metainfo('mice', MOUSE, [])
    return dict(
        type='BaseCocoStyleDataset',
        metainfo=metainfo,
        data_root=str(folder),
        ann_file='ann.json',
        data_prefix=dict(img=''),
        test_mode=True,
        pipeline=[],
    )


def average_precision(folder: Path) -> float:
    """AP of a model that puts every point of the data set that MMPose builds half a pixel off."""
    dataset = DATASETS.build(config(folder))
    metric = CocoMetric(ann_file=str(folder / 'ann.json'))
    metric.dataset_meta = dataset.metainfo
    for sample in map(dataset.get_data_info, range(len(dataset))):
        found = dict(keypoints=sample['keypoints'] + 0.5, keypoint_scores=np.ones((1, 3)))
        truth = dict(bbox_scores=np.ones(1), bbox_scales=np.ones((1, 2)))
        metric.process([], [sample | dict(pred_instances=found, gt_instances=truth)])
    return metric.evaluate(4)['coco/AP']


def mice(tmp_path: Path) -> Config:
    """A data set of one animal on each of two images, all labelled, at (10 k + 8, 6 k + 7) for the k-th keypoint."""
    coco = dict(categories=[dict(id=1, name='mouse', keypoints=OTHER_MOUSE)], images=[], annotations=[])
    for i in range(2):
        Image.new('RGB', (64, 48)).save(tmp_path / f'{i}.png')
        coco['images'].append(dict(id=i, file_name=f'{i}.png', width=64, height=48))
        points = [value for k in range(5) for value in (10 * k + 8, 6 * k + 7, 2)]
        coco['annotations'].append(
            dict(id=i, image_id=i, category_id=1, bbox=[2, 2, 60, 44], area=1500, iscrowd=0)
            | dict(keypoints=points, num_keypoints=5)
        )
    (tmp_path / 'mice.json').write_text(json.dumps(coco))
    dataset = dict(
        type='BaseCocoStyleDataset',
        metainfo=make_metainfo('mice', OTHER_MOUSE, []),
        data_root=str(tmp_path),
        ann_file='mice.json',
        test_mode=True,
        pipeline=[dict(type='LoadImage')],
    )
    return Config(dict(test_dataloader=dict(dataset=dataset)))


def make_part(name: str, start: int, root: Path) -> audit.Part:
    """Two images of 40x30 with a cow each, facing the camera."""
    root.mkdir(exist_ok=True)
    images, annotations = [], []
    for id_ in (start, start + 1):
        blocks = np.random.default_rng(id_).integers(0, 255, (6, 8), dtype=np.uint8)
        Image.fromarray(blocks).resize((40, 30)).save(root / f'{id_}.jpg')
        images.append({'id': id_, 'file_name': f'{id_}.jpg', 'width': 40, 'height': 30})
        ann = {'id': id_, 'image_id': id_, 'category_id': 1, 'bbox': [5, 5, 20, 20], 'area': 400, 'iscrowd': 0}
        annotations.append({**ann, 'num_keypoints': 2, 'keypoints': [20, 10, 2, 10, 10, 2, 0, 0, 0]})
    categories = [{'id': 1, 'name': 'cow', 'supercategory': 'Bovidae', 'keypoints': list(COW)}]
    coco = {'images': images, 'annotations': annotations, 'categories': categories}
    return audit.Part(name, root / f'{name}.json', root, coco)
