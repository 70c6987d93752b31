"""COCO's AP and AR of groups of animals, with bootstrap confidence intervals.

xtcocotools matches detections and animals once. AP of a resample is then counted from these matches with a weight for
each image, the number of times it was drawn, which gives exactly the AP of a data set with these images (but for
detections of one image with the same score, whose order is arbitrary).
"""

import contextlib
import io
from collections import defaultdict
from collections.abc import Callable, Hashable
from dataclasses import dataclass

import numpy as np
from xtcocotools.coco import COCO
from xtcocotools.cocoeval import COCOeval, Params

THRESHOLDS = Params('keypoints').iouThrs  # T = 10, OKS from 0.5 to 0.95
RECALLS = Params('keypoints').recThrs  # 101, from 0 to 1
AREA_RANGES = dict(zip(Params('keypoints').areaRngLbl, Params('keypoints').areaRng))


@dataclass
class Matches:
    """What AP of one category is counted from. T thresholds, D detections from the highest score down, G animals.

    Args:
        images (np.ndarray): (D,), index of each detection's image.
        hits (np.ndarray): (T, D), true for a detection that is matched.
        counted (np.ndarray): (T, D), false for a detection that COCO leaves out, being of another size or of a crowd.
        true_images (np.ndarray): (G,), index of the image of each animal that is to be found.
    """

    images: np.ndarray
    hits: np.ndarray
    counted: np.ndarray
    true_images: np.ndarray


def match(
    coco: COCO,
    detections: list[dict],
    sigmas: np.ndarray,
    use_area: bool = True,
    group: Callable[[int], Hashable] = lambda annotation_id: 'all',
    areas: tuple[str, ...] = ('all',),
) -> dict[tuple[Hashable, str], list[Matches]]:
    """Match detections and animals as COCO does, each group of animals for itself.

    A group's AP is what an annotation file of its animals alone would give: over its categories, a mean.

    Args:
        coco (COCO): The truth.
        detections (list[dict]): ``annotation_id`` (the animal in whose box it was made), ``image_id``, ``bbox``
            (x, y, w, h), ``keypoints`` (K, 3) with (x, y), both in pixels of the image, and ``score``.
        sigmas (np.ndarray): (K,).
        use_area (bool): As in MMPose's ``CocoMetric``. Defaults to True.
        group (Callable): From annotation id to group. Defaults to one group of all.
        areas (tuple[str, ...]): Some of ``'all'``, ``'medium'`` (32^2 to 96^2 pixels) and ``'large'``.

    Returns:
        dict: From (group, area) to the matches of each of its categories. Image indices count the sorted
        image ids of the file.
    """
    cells = {id_: (group(id_), ann['category_id']) for id_, ann in coco.anns.items()}
    categories = {cell: index for index, cell in enumerate(dict.fromkeys(cells.values()), 1)}
    truth = COCO()
    truth.dataset = dict(
        images=coco.dataset['images'],
        categories=[dict(id=index, name=str(cell)) for cell, index in categories.items()],
        annotations=[dict(ann, category_id=categories[cells[id_]]) for id_, ann in coco.anns.items()],
    )
    results = [
        dict(
            image_id=detection['image_id'],
            category_id=categories[cells[detection['annotation_id']]],
            bbox=np.asarray(detection['bbox'], float).tolist(),  # its area is the detection's
            keypoints=np.asarray(detection['keypoints'], float).ravel().tolist(),
            score=float(detection['score']),
        )
        for detection in detections
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(results), 'keypoints', np.asarray(sigmas), use_area)
        evaluation.params.areaRng, evaluation.params.areaRngLbl = [AREA_RANGES[area] for area in areas], list(areas)
        evaluation.evaluate()
    return _matches(evaluation, {index: cell[0] for cell, index in categories.items()})


def _matches(evaluation: COCOeval, groups: dict[int, Hashable]) -> dict[tuple[Hashable, str], list[Matches]]:
    image_index = {id_: index for index, id_ in enumerate(evaluation.params.imgIds)}
    per_image = iter(evaluation.evalImgs)  # by category, area, image
    matches = defaultdict(list)
    for category in evaluation.params.catIds:
        for area in evaluation.params.areaRngLbl:
            found = [image for image in (next(per_image) for _ in image_index) if image is not None]
            images = [np.full(len(image['dtIds']), image_index[image['image_id']]) for image in found]
            true_images = [
                np.repeat(image_index[image['image_id']], np.count_nonzero(image['gtIgnore'] == 0)) for image in found
            ]
            order = np.argsort(-np.concatenate([image['dtScores'] for image in found]), kind='mergesort')
            hits = np.concatenate([image['dtMatches'] for image in found], axis=1)[:, order] >= 0
            ignored = np.concatenate([image['dtIgnore'] for image in found], axis=1)[:, order].astype(bool)
            matches[groups[category], area].append(
                Matches(np.concatenate(images)[order], hits, ~ignored, np.concatenate(true_images))
            )
    return dict(matches)


def precision_recall(matches: Matches, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """AP (101 recalls) and the highest recall of one category, at each threshold, in each resample.

    Args:
        matches (Matches): Of D detections.
        weights (np.ndarray): (R, I), how often each image counts.

    Returns:
        tuple[np.ndarray]: AP and recall, (R, T) in [0, 1], NaN where a resample has none of the animals.
    """
    animals = weights[:, matches.true_images].sum(1, keepdims=True).astype(float)  # (R, 1)
    animals[animals == 0] = np.nan
    precision = np.zeros((len(weights), len(THRESHOLDS))) + 0 * animals
    recall = precision.copy()
    if not len(matches.images):
        return precision, recall
    drawn = weights[:, matches.images]  # (R, D)
    for t, (hits, counted) in enumerate(zip(matches.hits, matches.counted)):
        found, wrong = np.cumsum(drawn * (hits & counted), 1), np.cumsum(drawn * (~hits & counted), 1)
        recalls = found / animals
        envelope = np.maximum.accumulate((found / (found + wrong + np.spacing(1)))[:, ::-1], 1)[:, ::-1]
        reached = np.searchsorted(RECALLS, recalls, side='right')  # how many of the 101 recalls are reached by here
        precision[:, t] = (np.diff(reached, axis=1, prepend=0) * envelope).sum(1) / len(RECALLS) + 0 * animals[:, 0]
        recall[:, t] = recalls[:, -1]
    return precision, recall


def scores(categories: list[Matches], weights: np.ndarray) -> dict[str, np.ndarray]:
    """AP, AP50, AP75 and AR, each (R,): means over the categories that have animals, NaN without any."""
    curves = [precision_recall(matches, weights) for matches in categories]
    total = np.sum([~np.isnan(precision[:, :1]) for precision, _ in curves], axis=0).astype(float)  # (R, 1)
    total[total == 0] = np.nan
    precision = np.nansum([precision for precision, _ in curves], axis=0) / total  # (R, T)
    recall = np.nansum([recall for _, recall in curves], axis=0) / total
    at = {round(float(threshold), 2): index for index, threshold in enumerate(THRESHOLDS)}
    return dict(AP=precision.mean(1), AP50=precision[:, at[0.5]], AP75=precision[:, at[0.75]], AR=recall.mean(1))


def weighted_mean(values: np.ndarray, counted: np.ndarray, images: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mean of values in each resample.

    Args:
        values (np.ndarray): (N, ...) of N animals.
        counted (np.ndarray): (N, ...), false for what does not count, such as an unlabelled keypoint.
        images (np.ndarray): (N,), index of each animal's image.
        weights (np.ndarray): (R, I).

    Returns:
        np.ndarray: (R, ...), NaN where nothing counts.
    """
    drawn = weights[:, images].astype(float)  # (R, N)
    with np.errstate(invalid='ignore'):
        return np.tensordot(drawn, np.where(counted, values, 0), 1) / np.tensordot(drawn, counted.astype(float), 1)
