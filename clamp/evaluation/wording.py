"""The same keypoints in other words: what a person may write in the place of a model's own names."""

import re
from collections.abc import Sequence

from ..keypoint_names import check_names

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
    """Return a name whose last word has its two middle letters exchanged: 'left eey', 'left front pwa'."""
    *first, last = name.split()
    middle = len(last) // 2
    if len(last) > 2:
        last = last[:middle] + last[middle : middle + 2][::-1] + last[middle + 2 :]
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
