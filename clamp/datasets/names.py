"""The words and the side in a keypoint's name, as laboratories write them: 'LF_Paw', 'eyeL', 'Lshoulder'."""

import re

SHORT = {'l': 'left', 'r': 'right', 'f': 'front', 'h': 'hind', 'b': 'back', 'of': ''}
OPPOSITE = {'left': 'right', 'right': 'left'}
ENDS = ('front', 'fore', 'hind', 'back', 'rear')
LEG = 'paw|foot|feet|hoof|leg|limb|toe|shoulder|elbow|wrist|hip|knee|hock|ankle'


def split_name(name: str) -> list[str]:
    """The words of a keypoint's name, in lower case: 'L_F_Paw' and 'LF_Paw' are l, f, paw; 'lefteye' is left, eye."""
    spaced = re.sub(r'(?<=[a-z])(?=[A-Z])|(?<=[A-Za-z])(?=\d)', ' ', name).lower()
    spaced = re.sub(r'\b(left|right)(?=[a-z])', r'\1 ', spaced.replace('_', ' '))
    spaced = re.sub(rf'\b([fhb])(?=({LEG})s?\b)', r'\1 ', spaced)  # fpaw
    spaced = re.sub(r'\b([lr])([fhb])\b|\b([fhb])([lr])\b', r'\1\3 \2\4', spaced)  # lf, fl
    return re.findall(r'[^\W_]+', spaced)


def words(name: str) -> tuple[str, ...]:
    """A keypoint's name as words: 'L_F_Paw', 'left_front_paw' and 'left front paw' are the same."""
    return tuple(filter(None, (SHORT.get(word, word) for word in split_name(name))))


def mirrored_words(name: str) -> tuple[str, ...]:
    """A keypoint's name as words, left and right swapped."""
    return tuple(OPPOSITE.get(word, word) for word in words(name))


def readable(name: str) -> str:
    """A keypoint's name as a person would say it: 'L_F_Paw' and 'PawFrontLeft' are 'left front paw'."""
    said = [SHORT.get(word) or word for word in split_name(name)]
    limb = re.search(LEG, ' '.join(said))
    return ' '.join(sorted(said, key=lambda word: 0 if word in OPPOSITE else 1 if limb and word in ENDS else 2))


def spell_out(names: list[str]) -> list[str]:
    """The names with their sides written out where an l or r stands for one: that is, where another name has the other.

    'Lshoulder' becomes ' left shoulder' if there is 'Rshoulder'; of 'LF', 'RF', 'LR', 'RR' the last is ' right rear'.
    """
    known, spelled = set(names), []
    for name in names:
        places = [i for i, letter in enumerate(name) if letter in 'LRlr' and _other_side(name, i) in known]
        if len(places) == 1:
            before, after = name[: places[0]], name[places[0] + 1 :]
            side = SHORT[name[places[0]].lower()]
            before, after = (re.sub(r'(?<![A-Za-z])R(?![A-Za-z])', 'rear', part) for part in (before, after))
            name = f'{before} {side} {after}'
        spelled.append(name)
    return spelled


def _other_side(name: str, place: int) -> str:
    other = dict(zip('LRlr', 'RLrl'))[name[place]]
    return f'{name[:place]}{other}{name[place + 1 :]}'
