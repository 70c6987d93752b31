"""One vocabulary for the keypoints of all data sets: canonical names, synonyms, and which keypoint has which name.

A canonical name is what a prompt says. Paired keypoints have one for each side, 'left ...' and 'right ...', which are
each other's mirror images. Two keypoints share a name if data sets call them by the same words. Where that may be two
places of an animal, or two names one place, ``DIFFERENCES`` says so, and so does whoever brings data sets together.
"""

import difflib
from collections.abc import Sequence

from ..keypoint_names import mirrored
from .names import OPPOSITE, spell_out, words

SAME_WORDS = {
    'hind': 'back', 'rear': 'back', 'fore': 'front', 'foot': 'paw', 'feet': 'paw', 'hoof': 'paw',
    'forepaw': 'front paw', 'hindpaw': 'back paw', 'snout': 'nose', 'root': 'base', 'end': 'tip', 'mid': 'middle',
    'earbase': 'ear base', 'eartip': 'ear tip', 'tailbase': 'tail base', 'tailtip': 'tail tip', 'center': 'centre',
    'the': '',
}  # fmt: skip
# without a side: name, other phrases for it
MIDDLE = {
    'nose': ('nose tip',), 'mouth': ('lips',), 'chin': (), 'forehead': (), 'top of the head': ('crown', 'head top'),
    'throat': ('front of the neck',), 'neck': (), 'withers': ('wither', 'top of the shoulders'),
    'middle of the back': ('back middle', 'spine middle'), 'belly': ('stomach', 'abdomen'), 'centre of the body':
    ('body centre', 'centroid'), 'tail base': (), 'middle of the tail': ('tail middle',), 'tail tip': (),
}  # fmt: skip
PAIRED = {
    'eye': ('eyeball', 'eye centre'), 'ear': (), 'ear base': (), 'ear tip': (), 'mouth corner': (), 'whiskers':
    ('whisker pad',), 'shoulder': (), 'elbow': (), 'wrist': (), 'hip': (), 'knee': (), 'ankle': (),
    'front elbow': ('elbow front leg',), 'front knee': ('carpus', 'front leg knee'), 'front paw': ('front leg paw',),
    'back elbow': ('stifle', 'back leg elbow'), 'back knee': ('hock', 'tarsus', 'back leg knee'),
    'back paw': ('back leg paw',),
}  # fmt: skip
_AP10K = (
    'left eye', 'right eye', 'nose', 'neck', 'tail base',
    'left shoulder', 'left elbow', 'left front paw', 'right shoulder', 'right elbow', 'right front paw',
    'left hip', 'left knee', 'left back paw', 'right hip', 'right knee', 'right back paw',
)  # fmt: skip
_PERSON = (
    'nose', 'left eye', 'right eye', 'left ear', 'right ear', 'left shoulder', 'right shoulder', 'left elbow',
    'right elbow', 'left wrist', 'right wrist', 'left hip', 'right hip', 'left knee', 'right knee', 'left ankle',
    'right ankle',
)  # fmt: skip
# the names of a data set's keypoints, in its order, which is MMPose's where MMPose has it
KNOWN = {
    'ap10k': _AP10K,
    'apt36k': _AP10K,  # its authors took AP-10K's keypoints
    'demo': _AP10K,  # tools/make_demo_data.py
    'animalpose': (
        'left eye', 'right eye', 'left ear base', 'right ear base', 'nose', 'throat', 'tail base', 'withers',
        'left front elbow', 'right front elbow', 'left back elbow', 'right back elbow',
        'left front knee', 'right front knee', 'left back knee', 'right back knee',
        'left front paw', 'right front paw', 'left back paw', 'right back paw',
    ),
    'coco': _PERSON,
    'macaque': _PERSON,
}  # fmt: skip
# where data sets mean different places by one word, or may mean one place by different words; by the word, without side
DIFFERENCES = {
    'shoulder': "a person's is the shoulder joint; AP-10K's was found where the front leg leaves the body, at the "
    "anatomical elbow, which is Animal-Pose's front elbow (on hoofed animals and on a jaguar)",
    'elbow': "a person's is the elbow joint; AP-10K's was found at the middle joint of the front leg, the anatomical "
    "wrist, which is Animal-Pose's front knee (on hoofed animals and on a jaguar)",
    'hip': "a person's is the hip joint; AP-10K's was found at the anatomical knee (stifle), which is Animal-Pose's "
    'back elbow (on hoofed animals and on a jaguar)',
    'knee': "a person's is the knee joint; AP-10K's was found at the anatomical ankle (hock), which is Animal-Pose's "
    'back knee (on hoofed animals and on a jaguar)',
    'front knee': 'the anatomical wrist (carpus); a person has a wrist there',
    'back knee': 'the anatomical ankle (hock); a person has an ankle there',
    'ear': "a person's and a macaque's is the ear as a whole; Animal-Pose labels the ear base",
    'neck': "AP-10K's is on top of the neck; Animal-Pose labels the throat, below it, and the withers, behind it",
}  # fmt: skip


def _key(name: str) -> tuple[str, ...]:
    """The words of a name, with one word for those that mean the same, in an order of their own."""
    same = ' '.join(SAME_WORDS.get(word, word) for word in words(name)).split()
    return tuple(sorted(same))


def _index() -> dict[tuple[str, ...], str]:
    sided = [(f'{side} {name}', [f'{side} {phrase}' for phrase in (name, *more)])
             for side in OPPOSITE for name, more in PAIRED.items()]  # fmt: skip
    middle = [(name, [name, *more]) for name, more in MIDDLE.items()]
    index = {}
    for name, phrases in [*middle, *sided]:
        for phrase in phrases:
            if index.setdefault(_key(phrase), name) != name:
                raise ValueError(f'The vocabulary gives {phrase!r} to both {index[_key(phrase)]!r} and {name!r}.')
    return index


_INDEX = _index()
NAMES = tuple(dict.fromkeys(_INDEX.values()))


def canonical(name: str) -> str | None:
    """Return the canonical name of a keypoint by its words, 'left front paw' of 'LF_hoof'; None if it has none."""
    return _INDEX.get(_key(name))


def propose(names: Sequence[str]) -> list[str | None]:
    """Return the canonical name of each of a data set's keypoints, None where the words do not tell."""
    return [canonical(spoken) for spoken in spell_out(list(names))]


def near(name: str) -> list[str]:
    """Return up to three canonical names that are like a name: those with the most letters, or a word, in common."""
    spoken = ' '.join(words(name))
    close = difflib.get_close_matches(spoken, NAMES, n=3, cutoff=0.6)
    shared = sorted(NAMES, key=lambda other: -len(set(_key(other)) & set(_key(name))))
    return list(dict.fromkeys(close + [other for other in shared if set(_key(other)) & set(_key(name))]))[:3]


def differences(names: Sequence[str]) -> dict[str, str]:
    """Return, of some canonical names, what is to be known of their places: by the name without its side."""
    plain = dict.fromkeys(name.split(' ', 1)[-1] if mirrored(name) != name else name for name in names)
    return {name: DIFFERENCES[name] for name in plain if name in DIFFERENCES}
