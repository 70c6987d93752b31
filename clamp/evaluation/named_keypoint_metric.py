from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
from mmengine.evaluator import BaseMetric
from mmpose.registry import METRICS
from scipy.stats import rankdata

from ..datasets.coco import read
from ..datasets.mean_pose import mean_pose
from ..datasets.splits import is_trainable
from .bootstrap import draw_weights, estimate


@METRICS.register_module()
class NamedKeypointMetric(BaseMetric):
    """PCK of the keypoints that were trained on (base) and of those that were not (novel), by name and by species.

    A keypoint is found if it is predicted within a threshold times the longer side of the animal's box, in pixels of
    the image. PCK is over all labelled keypoints of a group. Each value of a group has a 95% interval, by bootstrap
    over the images. For the groups also

    - AUROC: how often the score of a labelled keypoint is above that of an unlabelled one; it says how well the score
      tells present from absent as far as an unlabelled keypoint is not to be seen, a question of the data set;
    - three answers that need no words, if a reference is given, whose animals have labels of novel keypoints: the mean
      pose of these in the box; for a novel keypoint, what was predicted for the base keypoint that is nearest in the
      mean pose; and the point halfway between what was predicted for two base keypoints, those between which it lies
      best on the animals of the reference.

    Names: ``novel/PCK@0.1``, ``novel/PCK@0.1 low``, ``novel/PCK@0.1 high``, ``base/AUROC``, ``cat/novel/PCK@0.1`` by
    species (where annotations have none, by the number of the category), ``left eye/PCK@0.1`` by keypoint,
    ``novel/PCK@0.1 of the mean pose`` (``nearest``, ``midpoint``).

    Notation: N animals, K keypoints, T thresholds, R resamples.

    Args:
        keypoint_names (Sequence[str]): The K names that are asked for, in the data set's order.
        novel (Sequence[str]): Those of them that were not trained on. Defaults to none.
        thresholds (Sequence[float]): Defaults to (0.1, 0.2).
        resamples (int): R. Defaults to 1000.
        reference (dict, optional): Animals of which places are known: ``ann_file``, a COCO file, whose animals count
            unless their ids are those of tested ones, and ``places``, of each of the K names its place there. It knows
            where novel keypoints are, which the model does not. Defaults to None.
        **kwargs: Of :class:`mmengine.evaluator.BaseMetric`.

    Raises:
        FileNotFoundError: If the reference's file is not there.
        ValueError: If a novel name is not among the names, or the reference has not a place, or a label, for each.
    """

    def __init__(
        self,
        keypoint_names: Sequence[str],
        novel: Sequence[str] = (),
        thresholds: Sequence[float] = (0.1, 0.2),
        resamples: int = 1000,
        reference: dict | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.keypoint_names, self.thresholds = list(keypoint_names), np.array(thresholds)
        self.resamples, self.reference = resamples, reference
        if unknown := [name for name in novel if name not in self.keypoint_names]:
            raise ValueError(f'novel has {unknown[0]!r}, which is not among {", ".join(self.keypoint_names)}.')
        self.novel = np.array([name in novel for name in self.keypoint_names])
        if reference and len(reference['places']) != len(self.keypoint_names):
            raise ValueError(f'reference has {len(reference["places"])} places, for {len(self.keypoint_names)} names.')
        if reference and not Path(reference['ann_file']).is_file():  # said before the test, not after it
            raise FileNotFoundError(f'The annotation file {reference["ann_file"]} of the mean pose is not there.')
        if reference:
            self.known = [each for each in read(reference['ann_file'])['annotations'] if is_trainable(each)]
            mean = mean_pose(self._known_but(set()))[list(reference['places'])]
            if unlabelled := [name for name, place in zip(self.keypoint_names, mean) if np.isnan(place).any()]:
                raise ValueError(f'{reference["ann_file"]}, the reference, has no label of {", ".join(unlabelled)}.')

    def process(self, data_batch, data_samples: Sequence[dict]) -> None:
        """Keep what was predicted and what is true of each animal, in pixels of the image."""
        for sample in data_samples:
            truth, found, annotation = sample['gt_instances'], sample['pred_instances'], sample['raw_ann_info']
            self.results.append(
                dict(
                    id=sample['id'],
                    image=sample['img_id'],
                    box=np.array(annotation['bbox'], float),
                    species=annotation.get('species') or str(annotation['category_id']),
                    truth=np.asarray(truth['keypoints'][0], float),
                    labelled=np.asarray(truth['keypoints_visible'][0]).reshape(len(self.keypoint_names), -1)[:, 0] > 0,
                    found=np.asarray(found['keypoints'][0], float),
                    scores=np.asarray(found['keypoint_scores'][0], float),
                )
            )

    def compute_metrics(self, results: list[dict]) -> dict[str, float]:
        """Return the values in [0, 1] by name, of what is labelled at all."""
        animals = {key: np.stack([result[key] for result in results]) for key in results[0] if key != 'species'}
        species = np.array([result['species'] for result in results])
        labelled, scores = animals['labelled'], animals['scores']
        truth = animals['truth'], animals['box'][:, 2:], self.thresholds
        hits = find_hits(animals['found'], *truth)  # (N, K, T)
        image = np.unique(animals['image'], return_inverse=True)[1]  # (N,)
        weights = draw_weights(image.max() + 1, self.resamples)[:, image]  # (1 + R, N)
        groups = {name: group for name, group in (('novel', self.novel), ('base', ~self.novel)) if group.any()}
        values = {}
        for name, group in groups.items():
            values |= self._with_interval(name, hits[:, group], labelled[:, group], weights)
            values[f'{name}/AUROC'] = auroc(scores[:, group][labelled[:, group]], scores[:, group][~labelled[:, group]])
            for kind in sorted(set(species)):
                of = species == kind
                values |= self._pck(f'{kind}/{name}', hits[of][:, group], labelled[of][:, group])
        for place, name in enumerate(self.keypoint_names):
            values |= self._pck(name, hits[:, [place]], labelled[:, [place]])
        if self.reference:
            for what, places in self._without_words(animals).items():
                others = find_hits(places, *truth)
                for name, group in groups.items():
                    pck = self._pck(name, others[:, group], labelled[:, group])
                    values |= {f'{key} of the {what}': value for key, value in pck.items()}
        return {key: float(value) for key, value in values.items() if np.isfinite(value)}

    def _pck(self, name: str, hits: np.ndarray, labelled: np.ndarray) -> dict[str, float]:
        return {
            f'{name}/PCK@{threshold:g}': hits[..., t][labelled].mean() if labelled.any() else np.nan
            for t, threshold in enumerate(self.thresholds)
        }

    def _with_interval(
        self, name: str, hits: np.ndarray, labelled: np.ndarray, weights: np.ndarray
    ) -> dict[str, float]:
        counts = weights @ labelled.sum(1)  # (1 + R,)
        shares = weights @ (hits & labelled[..., None]).sum(1) / np.where(counts, counts, np.nan)[:, None]  # (1 + R, T)
        values = {}
        for t, threshold in enumerate(self.thresholds):
            pck, key = estimate(shares[:, t]), f'{name}/PCK@{threshold:g}'
            values |= {key: pck.value, f'{key} low': pck.low, f'{key} high': pck.high}
        return values

    def _without_words(self, animals: dict) -> dict[str, np.ndarray]:
        """Return the places (N, K, 2) in the mean pose, those of the nearest base keypoint, and midpoints of two."""
        others = self._known_but(set(animals['id'].tolist()))
        mean = mean_pose(others)[list(self.reference['places'])]  # (K, 2)
        box = animals['box'][:, None]  # (N, 1, 4)
        places = {'mean pose': box[..., :2] + mean * box[..., 2:]}
        if not self.novel.all():
            distance = np.linalg.norm(mean[:, None] - mean, axis=-1) + np.where(self.novel, np.inf, 0)  # (K, K)
            places['nearest'] = animals['found'][:, distance.argmin(1)]
        if (~self.novel).sum() > 1:
            ends = nearest_midpoints(others, self.reference['places'], self.novel)  # (K, 2)
            places['midpoint'] = animals['found'][:, ends].mean(2)
        return places

    def _known_but(self, tested: set[int]) -> list[dict]:
        """Return the reference's animals but those with some ids."""
        others = [annotation for annotation in self.known if annotation['id'] not in tested]
        if not others:
            ann_file = self.reference['ann_file']
            raise ValueError(f'{ann_file} has no animals but those tested: there is no mean pose of others.')
        return others


def find_hits(found: np.ndarray, true: np.ndarray, sizes: np.ndarray, thresholds: np.ndarray | float) -> np.ndarray:
    """Return which keypoints are within a threshold times the longer side of their animal's box of the true ones.

    Args:
        found (np.ndarray): (..., K, 2), (x, y) in pixels of the image.
        true (np.ndarray): (..., K, 2).
        sizes (np.ndarray): (..., 2), width and height of the boxes.
        thresholds (np.ndarray | float): (T,), or one.

    Returns:
        np.ndarray: (..., K, T), bool, or (..., K) for one threshold.
    """
    distance = np.linalg.norm(found - true, axis=-1) / np.max(sizes, axis=-1, keepdims=True)
    return np.less_equal.outer(distance, thresholds)


def nearest_midpoints(annotations: list[dict], places: Sequence[int], novel: np.ndarray) -> np.ndarray:
    """Return between which two base keypoints each keypoint lies best, (K, 2); a base keypoint between itself.

    Best is the smallest mean distance from the midpoint, in longer sides of the box, where all three are labelled.

    Args:
        annotations (list[dict]): COCO keypoint annotations.
        places (Sequence[int]): Of each of the K keypoints its place in them.
        novel (np.ndarray): (K,), bool.
    """
    keypoints = np.array([annotation['keypoints'] for annotation in annotations], float)
    keypoints = keypoints.reshape(len(annotations), -1, 3)[:, list(places)]  # (N, K, 3)
    longer = np.array([annotation['bbox'][2:] for annotation in annotations]).max(1)[:, None]  # (N, 1)
    labelled = keypoints[..., 2] > 0
    pairs = np.array(list(combinations(np.flatnonzero(~novel), 2)))  # (P, 2)
    middles, both = keypoints[:, pairs, :2].mean(2), labelled[:, pairs].all(2)  # (N, P, 2), (N, P)
    ends = np.arange(len(places))[:, None].repeat(2, axis=1)
    for place in np.flatnonzero(novel):
        distance = np.linalg.norm(middles - keypoints[:, [place], :2], axis=-1) / longer  # (N, P)
        counted = both & labelled[:, [place]]
        number = counted.sum(0)
        ends[place] = pairs[np.where(number, (distance * counted).sum(0) / number.clip(1), np.inf).argmin()]
    return ends


def auroc(present: np.ndarray, absent: np.ndarray) -> float:
    """Return how often a score of the first kind is above one of the second, ties by half; NaN if a kind has none."""
    if not len(present) or not len(absent):
        return np.nan
    ranks = rankdata(np.concatenate([present, absent]))[: len(present)]
    return (ranks.sum() - len(present) * (len(present) + 1) / 2) / (len(present) * len(absent))
