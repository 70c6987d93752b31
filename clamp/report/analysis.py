"""Everything that the report says of a run, as arrays over bootstrap resamples: row 0 is the data set itself.

Two runs on the same test set are resampled alike, so that the difference of two arrays is a paired bootstrap.
"""

from dataclasses import dataclass

import numpy as np

from ..datasets.splits import taxonomy
from .average_precision import AREA_RANGES, match, scores, weighted_mean
from .calibration import Calibration, calibrate
from .collect import Run
from .errors import CLOSE, JITTER, KINDS, correct, diagnose, keypoint_similarity, object_similarity


@dataclass
class Truth:
    """The N animals of a test set with K keypoints.

    Args:
        annotation_ids (list[int]): N.
        image_ids (np.ndarray): (N,).
        images (np.ndarray): (N,), index of each animal's image among the sorted image ids of the file.
        files (list[str]): N names of image files.
        keypoints (np.ndarray): (N, K, 2), (x, y) in pixels of the image.
        labelled (np.ndarray): (N, K).
        areas (np.ndarray): (N,) in square pixels, as COCO counts them.
        species (np.ndarray): (N,) names.
        families (np.ndarray): (N,) names, ``'unknown'`` where the file does not tell.
    """

    annotation_ids: list[int]
    image_ids: np.ndarray
    images: np.ndarray
    files: list[str]
    keypoints: np.ndarray
    labelled: np.ndarray
    areas: np.ndarray
    species: np.ndarray
    families: np.ndarray

    @classmethod
    def of(cls, run: Run) -> 'Truth':
        """Read the animals of a run's loader from its annotation file."""
        annotations = [run.coco.anns[id_] for id_ in run.annotation_ids]
        keypoints = np.array([ann['keypoints'] for ann in annotations], float).reshape(len(annotations), -1, 3)
        boxes = np.array([ann['bbox'] for ann in annotations], float)
        areas = [ann['area'] for ann in annotations] if run.use_area else boxes[:, 2] * boxes[:, 3] * 0.53
        image_ids = np.array([ann['image_id'] for ann in annotations])
        taxa = taxonomy(run.coco.dataset)
        return cls(
            annotation_ids=run.annotation_ids,
            image_ids=image_ids,
            images=np.searchsorted(sorted(run.coco.imgs), image_ids),
            files=[run.coco.imgs[id_]['file_name'] for id_ in image_ids.tolist()],
            keypoints=keypoints[..., :2],
            labelled=keypoints[..., 2] > 0,
            areas=np.array(areas, float),
            species=np.array([taxa[id_].species for id_ in run.annotation_ids]),
            families=np.array([taxa[id_].family or 'unknown' for id_ in run.annotation_ids]),
        )


@dataclass
class Analysis:
    """What is said of a run. N animals, K keypoints, R resamples and the data set itself before them.

    Args:
        similarity (np.ndarray): (N, K) of prediction and truth, in [0, 1].
        oks (np.ndarray): (N,), of each animal and the prediction in its box, NaN without labelled keypoints.
        kinds (np.ndarray): (N, K), index into ``KINDS`` or ``UNLABELLED``.
        scores (dict[str, np.ndarray]): AP, AP50, AP75, AR, APM, ARM, APL, ARL, each (1 + R,).
        species (dict[str, dict]): AP, AP50, AP75 and AR of each species, (1 + R,).
        families (dict[str, dict]): The same of each family.
        keypoint_similarity (np.ndarray): Mean over the labelled ones, (1 + R, K).
        shares (np.ndarray): Of each kind among all labelled keypoints, (1 + R, len(KINDS)).
        gains (dict[str, float]): How much AP would rise without this kind of error.
        calibration (Calibration): What the scores are worth.
    """

    similarity: np.ndarray
    oks: np.ndarray
    kinds: np.ndarray
    scores: dict[str, np.ndarray]
    species: dict[str, dict[str, np.ndarray]]
    families: dict[str, dict[str, np.ndarray]]
    keypoint_similarity: np.ndarray
    shares: np.ndarray
    gains: dict[str, float]
    calibration: Calibration


def analyse(run: Run, truth: Truth, weights: np.ndarray) -> Analysis:
    """Analyse a run whose animals are in the order of the truth.

    Args:
        run (Run): What a test gave.
        truth (Truth): Its test set.
        weights (np.ndarray): (1 + R, I), how often each image counts (:func:`clamp.evaluation.bootstrap.draw_weights`).
    """
    sigmas = np.asarray(run.metainfo['sigmas'])
    similarity = keypoint_similarity(run.keypoints, truth.keypoints, truth.areas, sigmas)
    kinds, nearest = diagnose(
        run.keypoints,
        truth.keypoints,
        truth.labelled,
        truth.areas,
        truth.image_ids,
        sigmas,
        run.metainfo['flip_indices'],
    )
    overall = _overall(run, weights)
    taxa = taxonomy(run.coco.dataset)
    is_kind = np.stack([kinds == kind for kind in range(len(KINDS))], -1)  # (N, K, kinds)
    labelled = truth.labelled.sum(1)
    return Analysis(
        similarity=similarity,
        oks=object_similarity(similarity, truth.labelled),
        kinds=kinds,
        scores=overall,
        species=_by_group(run, weights, lambda id_: taxa[id_].species),
        families=_by_group(run, weights, lambda id_: taxa[id_].family or 'unknown'),
        keypoint_similarity=weighted_mean(similarity, truth.labelled, truth.images, weights),
        shares=(weights[:, truth.images] @ is_kind.sum(1)) / (weights[:, truth.images] @ labelled)[:, None],
        gains=_gains(run, truth, sigmas, kinds, nearest, overall['AP'][0]),
        calibration=calibrate(run.keypoint_scores, similarity >= CLOSE, truth.labelled, truth.images, weights),
    )


def _overall(run: Run, weights: np.ndarray) -> dict[str, np.ndarray]:
    matches = match(run.coco, run.detections, run.metainfo['sigmas'], run.use_area, areas=tuple(AREA_RANGES))
    result = scores(matches['all', 'all'], weights)
    for area in ('medium', 'large'):
        of_size = scores(matches['all', area], weights)
        result |= {f'AP{area[0].upper()}': of_size['AP'], f'AR{area[0].upper()}': of_size['AR']}
    return result


def _by_group(run: Run, weights: np.ndarray, group) -> dict[str, dict[str, np.ndarray]]:
    matches = match(run.coco, run.detections, run.metainfo['sigmas'], run.use_area, group)
    return {name: scores(categories, weights) for (name, _), categories in matches.items()}


def _gains(
    run: Run, truth: Truth, sigmas: np.ndarray, kinds: np.ndarray, nearest: np.ndarray, ap: float
) -> dict[str, float]:
    index = {id_: n for n, id_ in enumerate(truth.annotation_ids)}
    gains = {}
    for kind in range(JITTER, len(KINDS)):
        corrected = correct(run.keypoints, truth.keypoints, truth.areas, sigmas, kinds, nearest, kind)
        detections = [
            dict(item, keypoints=np.c_[corrected[index[item['annotation_id']]], item['keypoints'][:, 2]])
            for item in run.detections
        ]
        matches = match(run.coco, detections, sigmas, run.use_area)
        gains[KINDS[kind]] = float(scores(matches['all', 'all'], np.ones((1, len(run.coco.imgs)), int))['AP'][0] - ap)
    return gains


def same_animals(run: Run, other: Run) -> Run:
    """Bring the animals of ``other`` into the order of ``run``.

    Raises:
        ValueError: If they were not tested on the same animals and keypoints.
    """
    truths = [{id_: each.coco.anns[id_]['keypoints'] for id_ in each.annotation_ids} for each in (run, other)]
    if truths[0] != truths[1] or sorted(run.coco.imgs) != sorted(other.coco.imgs):
        raise ValueError(
            f'{run.name} and {other.name} were tested on different animals: {len(truths[0])} and {len(truths[1])}, '
            f'{len(truths[0].keys() & truths[1].keys())} with the same id. Only runs on one annotation file can be '
            'compared: let test_dataloader and test_evaluator of both configs name the same.'
        )
    if not np.allclose(run.metainfo['sigmas'], other.metainfo['sigmas']):
        raise ValueError(
            f'{run.name} and {other.name} were tested with different sigmas, by which OKS goes: give both configs the '
            'same metainfo.'
        )
    place = {id_: n for n, id_ in enumerate(other.annotation_ids)}
    order = [place[id_] for id_ in run.annotation_ids]
    return Run(
        **vars(other)
        | dict(
            annotation_ids=run.annotation_ids,
            keypoints=other.keypoints[order],
            keypoint_scores=other.keypoint_scores[order],
            regions=other.regions[order],
            crops=[other.crops[n] for n in order],
            maps=other.maps[order],
        )
    )
