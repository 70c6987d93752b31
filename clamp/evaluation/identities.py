"""How well the animals of a video keep their identities: switches (CLEAR MOT) and IDF1.

Bernardin and Stiefelhagen, *Evaluating Multiple Object Tracking Performance* (2008); Ristani et al., *Performance
Measures and a Data Set for Multi-Target, Multi-Camera Tracking* (ECCV workshops 2016).
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torchvision.ops import box_convert, box_iou

MIN_OVERLAP = 0.5  # IoU of boxes from which on a true animal and one that was found can be the same


@dataclass
class Seen:
    """The animals of a frame.

    Attributes:
        identities (list[int]): N.
        boxes (list): (N, 4): x, y, width, height, in pixels.
    """

    identities: list[int] = field(default_factory=list)
    boxes: list = field(default_factory=list)


def identity_scores(truth: Sequence[Seen], found: Sequence[Seen]) -> dict[str, float]:
    """Compare the identities that were found in a video with the true ones.

    Args:
        truth (Sequence[Seen]): Of its F frames.
        found (Sequence[Seen]): Of the same.

    Returns:
        dict: ``switches``, how often a true animal has another identity than when it was last found; ``IDF1`` in
        [0, 1], twice the boxes that agree, under the best one-to-one match of identities, by the number of all true
        and all found ones; ``animals`` and ``found``, how many these are; ``identities``, how many were found.
    """
    last: dict[int, int] = {}
    together: Counter[tuple[int, int]] = Counter()
    switches = 0
    for true, seen in zip(truth, found, strict=True):
        alike = overlap(true.boxes, seen.boxes)
        together.update((true.identities[i], seen.identities[j]) for i, j in np.argwhere(alike >= MIN_OVERLAP))
        # an animal stays with the identity that it has where that is possible, then the most overlap counts
        stays = [[last.get(one) == other for other in seen.identities] for one in true.identities]
        value = np.where(alike >= MIN_OVERLAP, alike + np.array(stays, float).reshape(alike.shape) * 2, 0)
        for i, j in zip(*linear_sum_assignment(value, maximize=True)):
            if value[i, j] > 0:
                one, other = true.identities[i], seen.identities[j]
                switches += last.get(one, other) != other
                last[one] = other
    animals, boxes = (sum(len(frame.identities) for frame in frames) for frames in (truth, found))
    identities = len({one for frame in found for one in frame.identities})
    idf1 = 2 * _best_match(together) / max(animals + boxes, 1)
    return dict(switches=switches, IDF1=idf1, animals=animals, found=boxes, identities=identities)


def overlap(boxes: Sequence, others: Sequence) -> np.ndarray:
    """Return the intersection over union (N, M) of boxes (N, 4) and (M, 4): x, y, width, height."""
    corners = (
        box_convert(torch.tensor(np.reshape(each, (-1, 4)), dtype=torch.float64), 'xywh', 'xyxy')
        for each in (boxes, others)
    )
    return box_iou(*corners).numpy()


def _best_match(together: Counter) -> int:
    """Return in how many boxes true and found identities agree, if each true one is matched to the best found one."""
    rows, columns = (sorted(set(side)) for side in zip(*together)) if together else ([], [])
    counts = np.array([[together[row, column] for column in columns] for row in rows]).reshape(len(rows), len(columns))
    return int(counts[linear_sum_assignment(counts, maximize=True)].sum())
