from collections.abc import Sequence
from itertools import combinations
from types import SimpleNamespace

import torch
from mmpose.registry import MODELS
from torch import Tensor

from ..keypoint_names import check_names
from .data_preprocessor import HeatmapDataPreprocessor

NOWHERE = -1e4  # pixels: far outside of any crop


@MODELS.register_module()
class OpenVocabularyDataPreprocessor(HeatmapDataPreprocessor):
    """Give a training batch targets of more names than its K keypoints, for :class:`OpenVocabularyHead`.

    - Auxiliary keypoints: the points halfway between two labelled keypoints of an animal.
    - Names of what is not there, whose target is a heatmap of zeros.

    All animals of a batch share one list of names, which is drawn anew for each step: the text encoder runs once a
    step. It is given to the head as ``metainfo['keypoint_names']``, the K names first. Everything follows from the K
    names, the keypoints and what the config says; draws are from torch's generator on the CPU, which
    :class:`clamp.engine.EpochSeedHook` seeds.

    Notation: B batch, K keypoints, P names of a step.

    Args:
        keypoint_names (Sequence[str]): The K names, in the order of the keypoints.
        auxiliary (dict, optional): Arguments of :class:`AuxiliaryKeypoints` besides the names. None leaves them out.
        absent (dict, optional): Arguments of :class:`AbsentNames`. None leaves them out: what is unlabelled or outside
            of the crop has no target.
        **kwargs: Of :class:`HeatmapDataPreprocessor`.

    Raises:
        ValueError: If a word for what is not there is a keypoint's name, and as the two classes say.
    """

    def __init__(
        self, keypoint_names: Sequence[str], auxiliary: dict | None = None, absent: dict | None = None, **kwargs
    ):
        super().__init__(**kwargs)
        self.keypoint_names = check_names(keypoint_names)
        self.auxiliary = None if auxiliary is None else AuxiliaryKeypoints(self.keypoint_names, **auxiliary)
        self.absent = None if absent is None else AbsentNames(**absent)
        if self.absent and (both := set(self.absent.words) & set(self.keypoint_names)):
            raise ValueError(f'absent.words has {", ".join(sorted(both))}, which the animals have: a keypoint_name.')

    def _draw_targets(self, keypoints: Tensor, weights: Tensor) -> list[SimpleNamespace]:
        names = self.keypoint_names
        if len(names) != weights.shape[1]:
            raise ValueError(f'There are {weights.shape[1]} keypoints, but {len(names)} names: {", ".join(names)}.')
        own = keypoints, weights
        if self.absent:
            keypoints, weights = self.absent.place(keypoints, weights)
        if self.auxiliary:
            texts, *between = self.auxiliary(*own)
            names, (keypoints, weights) = names + texts, concatenate((keypoints, weights), between)
        if self.absent:
            words, *nowhere = self.absent(weights)
            names, (keypoints, weights) = names + words, concatenate((keypoints, weights), nowhere)
        samples = super()._draw_targets(keypoints, weights)
        samples[0].metainfo['keypoint_names'] = names  # one metainfo, that of all samples
        for sample, asked in zip(samples, weights):
            if self.absent:  # what is outside of the crop is not there either
                sample.gt_instance_labels.keypoint_weights = asked[None]
        return samples


class AuxiliaryKeypoints:
    """Points halfway between two keypoints, with texts that are made of the two names alone.

    Args:
        names (Sequence[str]): The K names.
        pairs (str | Sequence[tuple[str, str]]): Pairs of names, or ``'all'`` pairs of the K. Defaults to ``'all'``.
        number (int, optional): How many of the pairs are drawn for each step. Defaults to None, all of them.
        template (str): Of the texts. Defaults to ``'between the {} and the {}'``.

    Raises:
        ValueError: If a pair is no pair of two of the K names, there is none or fewer than ``number``, or the template
            has not two places.
    """

    def __init__(
        self,
        names: Sequence[str],
        pairs: str | Sequence[tuple[str, str]] = 'all',
        number: int | None = None,
        template: str = 'between the {} and the {}',
    ):
        pairs = list(combinations(names, 2)) if pairs == 'all' else [tuple(pair) for pair in pairs]
        for pair in pairs:
            if len(pair) != 2 or pair[0] == pair[1] or not set(pair) <= set(names):
                raise ValueError(f"pairs has {pair}; expected 'all', or pairs of two of: {', '.join(names)}.")
        if not pairs or not 0 < (number or len(pairs)) <= len(pairs):
            raise ValueError(f'number={number} pairs cannot be drawn from {len(pairs)}.')
        if template.count('{}') != 2:
            raise ValueError(f'template={template!r} should have two places {{}}, for the two names.')
        self.number = number or len(pairs)
        self.places = torch.tensor([[names.index(name) for name in pair] for pair in pairs])  # (all pairs, 2)
        self.texts = [template.format(*pair) for pair in pairs]

    def __call__(self, keypoints: Tensor, weights: Tensor) -> tuple[list[str], Tensor, Tensor]:
        """Return the texts, the points (B, P, 2) and their weights (B, P): 0 unless both keypoints are labelled."""
        drawn = torch.randperm(len(self.texts))[: self.number].sort().values
        places = self.places[drawn].to(keypoints.device, non_blocking=True)  # (P, 2)
        return [self.texts[i] for i in drawn], keypoints[:, places].mean(2), weights[:, places].amin(2)


class AbsentNames:
    """Names that are asked for and not there.

    A labelled keypoint that the augmentation has put outside of the crop is certainly not in it. Whether an unlabelled
    one is not to be seen, or was only not labelled, is a question of the data set.

    Args:
        unlabelled (bool): Whether unlabelled keypoints count as not there. Defaults to False.
        words (Sequence[str]): Names of what no animal of the data set has. Defaults to none.
        number (int, optional): How many of the words are drawn for each step. Defaults to None, all of them.

    Raises:
        ValueError: If there are fewer words than ``number``.
    """

    def __init__(self, unlabelled: bool = False, words: Sequence[str] = (), number: int | None = None):
        if not 0 <= (number or 0) <= len(words):
            raise ValueError(f'number={number} words cannot be drawn from {len(words)}.')
        self.unlabelled, self.words = unlabelled, check_names(words) if words else []
        self.number = len(words) if number is None else number

    def place(self, keypoints: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        """Return keypoints and weights, those that count as not there outside of the crop, with weight 1."""
        if not self.unlabelled:
            return keypoints, weights
        return keypoints.masked_fill((weights == 0)[..., None], NOWHERE), torch.ones_like(weights)

    def __call__(self, weights: Tensor) -> tuple[list[str], Tensor, Tensor]:
        """Return the words of a step, and points outside of the crop (B, P, 2) with their weights, 1 (B, P)."""
        drawn = torch.randperm(len(self.words))[: self.number].tolist()
        ones = weights.new_ones(len(weights), len(drawn))
        return [self.words[i] for i in drawn], (NOWHERE * ones)[..., None].expand(-1, -1, 2), ones


def concatenate(*parts: tuple[Tensor, Tensor]) -> tuple[Tensor, ...]:
    """Join keypoints (B, P, 2) and weights (B, P) along their names."""
    return tuple(torch.cat(tensors, dim=1) for tensors in zip(*parts))
