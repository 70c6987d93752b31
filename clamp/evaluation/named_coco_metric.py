from collections.abc import Sequence

import numpy as np
from mmpose.datasets.datasets.utils import parse_pose_metainfo
from mmpose.evaluation.metrics import CocoMetric
from mmpose.registry import METRICS

from .named_keypoint_metric import find_hits

THRESHOLD = 0.1


@METRICS.register_module()
class NamedCocoMetric(CocoMetric):
    """AP, AR and PCK of the keypoints that a model and a data set both know, by name.

    MMPose's ``CocoMetric`` with ``pred_converter`` measures all of a data set's keypoints, and with ``gt_converter``
    counts an animal without any labelled one as missed. Here some can be measured alone, such as those that two data
    sets have in common: an animal without a labelled one of them counts nothing, as in COCO.

    PCK@0.1 is the share of the labelled keypoints that are predicted within 0.1 times the longer side of the animal's
    box, in pixels of the image.

    Args:
        ann_file (str): COCO keypoint file.
        metainfo (dict): Its data set's, as MMPose takes it, for the sigmas.
        annotated (Sequence[str]): The canonical names of its keypoints, in its order.
        predicted (Sequence[str]): The names that the model predicts, in its order.
        only (Sequence[str], optional): Those to measure. Defaults to None, all that are annotated.
        **kwargs: Of :class:`mmpose.evaluation.CocoMetric`.

    Raises:
        ValueError: If there are not as many names as keypoints, in metainfo or file, or a name that is to be measured
            is not annotated or not predicted.
    """

    def __init__(
        self,
        ann_file: str,
        metainfo: dict,
        annotated: Sequence[str],
        predicted: Sequence[str],
        only: Sequence[str] | None = None,
        **kwargs,
    ):
        only = list(annotated) if only is None else list(only)
        info = parse_pose_metainfo(dict(metainfo))
        if len(annotated) != info['num_keypoints']:
            raise ValueError(f'{ann_file} has {info["num_keypoints"]} keypoints, but {len(annotated)} names.')
        if not only:
            raise ValueError(f'`only` is empty: name the keypoints of {ann_file} to be measured, or leave it out.')
        for names, what in ((annotated, 'annotated in'), (predicted, 'predicted for')):
            if unknown := [name for name in only if name not in names]:
                raise ValueError(
                    f'{unknown[0]!r} is to be measured, but is not {what} {ann_file}: {", ".join(names)}. With `only`, '
                    'name those that are.'
                )
        super().__init__(ann_file=ann_file, **kwargs)
        places = [list(annotated).index(name) for name in only]
        self.predicted_places = [list(predicted).index(name) for name in only]
        self.num_predicted = len(predicted)
        for annotation in self.coco.anns.values():
            if len(annotation['keypoints']) != 3 * len(annotated):
                number = len(annotation['keypoints']) // 3
                raise ValueError(f'{ann_file} has {number} keypoints, but there are {len(annotated)} names for them.')
            points = np.reshape(annotation['keypoints'], (-1, 3))[places]
            annotation.update(keypoints=points.ravel().tolist(), num_keypoints=int((points[:, 2] > 0).sum()))
        self._dataset_meta = dict(
            dataset_name=info['dataset_name'], num_keypoints=len(only), sigmas=info['sigmas'][places]
        )

    @property
    def dataset_meta(self) -> dict:
        """What of the data set's metainfo is used: number and sigmas of the keypoints that are measured."""
        return self._dataset_meta

    @dataset_meta.setter
    def dataset_meta(self, dataset_meta: dict) -> None:
        """Leave it as it is: the loader's is the model's, of all its names."""

    def process(self, data_batch: Sequence[dict], data_samples: Sequence[dict]) -> None:
        """Keep, of each animal, what was predicted for the names that are measured."""
        before = len(self.results)
        super().process(data_batch, data_samples)
        for found, _ in self.results[before:]:
            if found['keypoints'].shape[1] != self.num_predicted:
                raise ValueError(
                    f'The model predicts {found["keypoints"].shape[1]} keypoints, but the metric of {self.ann_file} '
                    f'has {self.num_predicted} names for them.'
                )
            for key in ('keypoints', 'keypoint_scores'):
                found[key] = found[key][:, self.predicted_places]

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Return COCO's values, and ``PCK@0.1``, all in [0, 1]."""
        found = {pred['id']: pred['keypoints'][0] for pred, _ in results}  # before CocoMetric sorts out duplicates
        truth = {id_: np.reshape(self.coco.anns[id_]['keypoints'], (-1, 3)) for id_ in found}  # (K, 3) each
        hits = [
            find_hits(found[id_], true[:, :2], self.coco.anns[id_]['bbox'][2:], THRESHOLD)[true[:, 2] > 0]
            for id_, true in truth.items()
        ]
        pck = np.concatenate(hits) if hits else np.empty(0)
        values = super().compute_metrics(results)
        return values | ({f'PCK@{THRESHOLD:g}': float(pck.mean())} if len(pck) else {})
