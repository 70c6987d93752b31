"""The same keypoints in other words: what a person may write in the place of a model's own names."""

import re
from collections.abc import Mapping, Sequence
from copy import copy
from typing import Any

from mmengine.evaluator import Evaluator
from mmengine.structures import BaseDataElement, InstanceData

from ..keypoint_names import check_names, mirror_names

# by phrase, the longest first
SYNONYMS = {
    'ear base': 'root of the ear', 'tail base': 'root of the tail', 'tail root': 'base of the tail', 'eye': 'eyeball',
    'nose': 'snout', 'throat': 'front of the neck', 'withers': 'top of the shoulders', 'neck': 'nape',
    'shoulder': 'upper foreleg', 'hip': 'upper hind leg', 'elbow': 'upper leg joint', 'knee': 'middle leg joint',
    'paw': 'foot', 'front': 'fore', 'back': 'hind',
}  # fmt: skip
OTHER_WORDS = ('cloud', 'table', 'window', 'river', 'engine', 'paper', 'music', 'seven', 'yellow', 'yesterday')


def synonym(name: str) -> str:
    """Return a name in other words: 'left front paw' is 'left fore foot'."""
    phrases = '|'.join(sorted(SYNONYMS, key=len, reverse=True))
    return re.sub(rf'\b({phrases})\b', lambda phrase: SYNONYMS[phrase[0]], name)


def plural(name: str) -> str:
    """Return the plural: 'left eyes', 'tail bases', 'withers'."""
    return name if name.endswith('s') else f'{name}s'


def typo(name: str) -> str:
    """Return a name whose last word has two letters in its middle exchanged: 'left eey', 'front pwa', 'left kene'."""
    *first, last = name.split()
    unlike = [i for i in range(len(last) - 1) if last[i] != last[i + 1]]
    if len(last) > 2 and unlike:
        place = min(unlike, key=lambda i: abs(i - len(last) // 2))
        last = last[:place] + last[place : place + 2][::-1] + last[place + 2 :]
    return ' '.join([*first, last])


def other_words(names: Sequence[str]) -> dict[str, list[str]]:
    """Return ten lists that put one unrelated word in the place of all names."""
    return {word: [word] * len(names) for word in OTHER_WORDS}


def rewordings(names: Sequence[str]) -> dict[str, list[str]]:
    """Return, for each way of wording, what stands for each of the names; the first are the names themselves."""
    ways = {
        'as trained': str,
        'upper case': str.upper,
        'plural': plural,
        'typo': typo,
        'the ... of an animal': 'the {} of an animal'.format,
        'a photo of the ...': 'a photo of the {}'.format,
        'synonyms': synonym,
    }
    return {way: [reword(name) for name in check_names(names)] for way, reword in ways.items()}


class WordingEvaluator(Evaluator):
    """Evaluates what a model says to all words, as its answers to several lists of them.

    It is for heads whose answer to a word does not depend on the others asked for: one pass over the images then tests
    any number of wordings.

    Args:
        evaluators (Mapping[str, Evaluator]): One for each wording.
        wordings (Mapping[str, Sequence[str]]): The K words of each wording.
        flip_indices (Sequence[int]): The mirror image of each of the K keypoints.

    Attributes:
        words (list[str]): What the model is to be asked for: all of them, each once for every mirror image that it has.
        mirror_words (list[str]): These mirror images.
        results (dict[str, dict]): The metrics of each wording, after :meth:`evaluate`.
    """

    def __init__(
        self,
        evaluators: Mapping[str, Evaluator],
        wordings: Mapping[str, Sequence[str]],
        flip_indices: Sequence[int],
    ):
        super().__init__(metrics=[])
        self.evaluators, self.results = evaluators, {}
        pairs = {way: list(zip(words, mirror_names(words, flip_indices))) for way, words in wordings.items()}
        asked = list(dict.fromkeys(pair for each in pairs.values() for pair in each))
        self.words, self.mirror_words = map(list, zip(*asked))
        self.places = {way: [asked.index(pair) for pair in each] for way, each in pairs.items()}

    def process(self, data_samples: Sequence[BaseDataElement], data_batch: Any = None) -> None:
        """Give each wording's evaluator the keypoints that its words were answered with."""
        for way, evaluator in self.evaluators.items():
            evaluator.process([pick(sample, self.places[way]) for sample in data_samples], data_batch)

    def evaluate(self, size: int) -> dict[str, float]:
        """Fill ``results``, and return nothing for the log, in which they would be a line of thousands of numbers."""
        self.results = {way: evaluator.evaluate(size) for way, evaluator in self.evaluators.items()}
        return {}


def pick(sample: BaseDataElement, places: Sequence[int]) -> BaseDataElement:
    """Return a sample with the predictions of some of its keypoints, by their places."""
    found = {
        key: value[:, places] if key in ('keypoints', 'keypoint_scores', 'keypoints_visible') else value
        for key, value in sample.pred_instances.items()
    }
    picked = copy(sample)
    picked.pred_instances = InstanceData(**found)
    return picked
