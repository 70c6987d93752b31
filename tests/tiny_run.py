"""A tested run of two animals, as the report collects it."""

import contextlib
import io

import numpy as np
from xtcocotools.coco import COCO

from clamp.report.collect import Run


def report_run(use_area: bool = True) -> Run:
    """A cat whose keypoints are right, on image 5, and a dog whose left and right are exchanged, on image 3."""
    animal = dict(iscrowd=0, num_keypoints=2)
    coco = COCO()
    coco.dataset = dict(
        images=[dict(id=5, file_name='5.jpg'), dict(id=3, file_name='3.jpg')],
        categories=[
            dict(id=1, name='cat', supercategory='Felidae'),
            dict(id=2, name='dog', supercategory='Canidae'),
        ],
        annotations=[
            dict(id=7, image_id=5, category_id=1, bbox=[0, 0, 100, 100], area=1e4, keypoints=[0, 0, 2, 100, 0, 2])
            | animal,
            dict(id=9, image_id=3, category_id=2, bbox=[0, 0, 50, 100], area=4e3, keypoints=[0, 0, 2, 50, 0, 2])
            | animal,
        ],
    )
    with contextlib.redirect_stdout(io.StringIO()):
        coco.createIndex()
    keypoints = np.array([[[0.0, 0], [100, 0]], [[50, 0], [0, 0]]])
    scores = np.array([[0.9, 0.8], [0.7, 0.6]])
    detections = [
        dict(
            annotation_id=id_,
            image_id=image,
            bbox=coco.anns[id_]['bbox'],
            keypoints=np.column_stack([points, values]),
            score=values.mean(),
        )
        for id_, image, points, values in zip((7, 9), (5, 3), keypoints, scores)
    ]
    return Run(
        name='a',
        source='',
        metrics={},
        coco=coco,
        metainfo=dict(sigmas=[0.05, 0.05], flip_indices=[1, 0]),
        use_area=use_area,
        detections=detections,
        annotation_ids=[7, 9],
        keypoints=keypoints,
        keypoint_scores=scores,
        regions=np.zeros((2, 2, 2)),
        crops=[b''] * 2,
        maps=np.zeros((2, 2, 1, 1)),
        map_name='',
    )
