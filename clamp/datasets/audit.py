"""The checks of a data set that ``tools/check_dataset.py`` shows: what is wrong, odd or worth knowing in a COCO file.

First comes what the reader (``coco.py``) mends and refuses, and with it every training and test; then what it lets
pass. Each check takes one part of a data set, or two, and returns its findings.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from ..images import image_size, map_images, to_rgb
from . import coco, splits
from .checked_coco import check_use, fill_sizes
from .names import OPPOSITE, mirrored_words, spell_out, words
from .shared_images import perceptual_hash

NEAR = 4  # perceptual hashes of 64 bits that differ in at most so many are called near-duplicates
# Level, check, message, and which animals it is said of. p: the (M, 2) labelled keypoints; b: the box x, y, w, h; s:
# the image's (w, h), all in pixels
RULES = (
    ('note', 'keypoints', 'no keypoint labelled: not trained on', lambda p, b, s: len(p) == 0),
    ('warning', 'keypoints', 'labelled point at (0, 0)', lambda p, b, s: (p == 0).all(axis=1).any()),
    ('warning', 'keypoints', 'labelled point outside the image', lambda p, b, s: ((p < 0) | (p > s)).any()),
    ('error', 'boxes', 'empty box', lambda p, b, s: (b[2:] <= 0).any()),
    ('warning', 'boxes', 'box at most 2 pixels wide or high', lambda p, b, s: 0 < b[2:].min() <= 2),
    ('error', 'boxes', 'box outside the image',
     lambda p, b, s: (b[:2] >= s).any() or (b[:2] + b[2:] <= 0).any()),
    ('warning', 'boxes', 'box over the edge of the image by more than a pixel',
     lambda p, b, s: (b[:2] < -1).any() or (b[:2] + b[2:] > s + 1).any()),
)  # fmt: skip


class Part(NamedTuple):
    """One loader's data: ``name`` is 'train', 'val' or 'test'."""

    name: str
    ann_file: Path
    img_root: Path
    coco: dict


@dataclass
class Finding:
    """What is to be said: ``level`` is 'error', 'warning' or 'note'; ``part`` a part's name or 'config'."""

    level: str
    check: str
    part: str
    message: str
    count: int
    examples: list[str]


def found(level: str, check: str, part: str, message: str, cases) -> list[Finding]:
    """One finding with its first cases as examples, or none where there are no cases."""
    cases = list(map(str, cases))
    return [Finding(level, check, part, message, len(cases), cases[:3])] if cases else []


def read_part(part: Part, num_keypoints: int) -> list[Finding]:
    """What the reader mends in a part, and what it refuses, which is taken out of the part."""
    findings = coco.inspect(part.coco, num_keypoints) | fill_sizes(part.coco['images'], part.img_root)
    try:
        check_use(part.ann_file, part.coco, test=part.name != 'train')
    except ValueError as error:
        findings['error', str(error)] = [part.ann_file.name]
    return [f for (level, what), cases in findings.items() for f in found(level, 'file', part.name, what, cases)]


def check_gaps(part: Part, every: list) -> list[Finding]:
    """Images without annotations, and ids that the list of categories skips; ``every`` has those that are refused."""
    images, categories = ({ann[f] for ann in every if _has_id(ann, f)} for f in ('image_id', 'category_id'))
    ids = {category['id'] for category in part.coco['categories']}
    gaps = [f'id {id_}' for id_ in range(1, min(max(ids, default=0), 10_000)) if id_ not in ids | categories]
    empty = {image['id'] for image in part.coco['images']} - images
    return found('warning', 'categories', part.name, 'lost category? `categories` skips an id', gaps) + found(
        'note', 'ids', part.name, 'image without annotations', sorted(empty)
    )


def _has_id(entry: object, field: str) -> bool:
    return isinstance(entry, dict) and isinstance(entry.get(field), int)


def check_annotations(part: Part) -> list[Finding]:
    """Every animal's keypoints and box, by ``RULES``."""
    sizes = {image['id']: np.array((image['width'], image['height'])) for image in part.coco['images']}
    cases, visibility = defaultdict(list), Counter()
    for ann in part.coco['annotations']:
        points, box = np.array(ann['keypoints'], float).reshape(-1, 3), np.array(ann['bbox'], float)
        visibility.update(points[:, 2])
        for level, check, message, applies in RULES:
            if applies(points[points[:, 2] > 0, :2], box, sizes[ann['image_id']]):
                cases[level, check, message].append(f'annotation {ann["id"]}')
    if visibility[1] and not visibility[2]:
        cases['warning', 'keypoints', 'visibility is 0 or 1 throughout; COCO has 0 or 2'] += [f'{visibility[1]} points']
    return [f for (level, check, message), ids in cases.items() for f in found(level, check, part.name, message, ids)]


def check_flip(swaps: dict[str, str], what: str, names: list[str]) -> list[Finding]:
    """Whether names swap left and right where a flip does: ``swaps`` maps each keypoint of the data set to its mirror
    image, ``names`` are the keypoints or the prompts in the same order. Names without a known side may swap too."""
    name_of, spelled = dict(zip(swaps, names)), dict(zip(swaps, spell_out(names)))
    wrong = []
    for keypoint, swap in swaps.items():
        name, other = spelled[keypoint], spelled.get(swap, swap)
        sides = set(words(name) + words(other)) & OPPOSITE.keys()
        if swaps.get(swap) != keypoint or (mirrored_words(name) != words(other) and (sides or name == other)):
            wrong.append(f'{name_of[keypoint]} -> {name_of.get(swap, swap)}')
    return found('error', 'left/right', 'config', f'{what} whose flip pair does not swap left and right', wrong)


def check_names(part: str, what: str, got: list[str], names: list[str]) -> list[Finding]:
    """Whether prompts or a category's keypoints are the data set's, ``names``, in its order."""
    if len(got) != len(names):
        return found('error', 'names', part, f'{what}: {len(got)} names, the data set has {len(names)}', got)
    words_of = dict(zip((*got, *names), map(words, (*spell_out(got), *spell_out(names)))))
    known = {frozenset(words_of[name]) for name in names}
    other = [(g, n) for g, n in zip(got, names) if frozenset(words_of[g]) != frozenset(words_of[n])]
    moved = [(g, n) for g, n in other if frozenset(words_of[g]) in known]
    swapped = all(tuple(OPPOSITE.get(word, word) for word in words_of[g]) == words_of[n] for g, n in moved)
    order = 'left and right swapped' if swapped else "not in the data set's order"
    return (
        found('error', 'names', part, f'{what}: {order}', (f'{g!r} for {n}' for g, n in moved))
        + found('error', 'names', part, f'{what}: name given twice', (g for g, n in Counter(got).items() if n > 1))
        + found(
            'note',
            'names',
            part,
            f'{what}: in other words',
            (f'{g!r} for {n}' for g, n in other if (g, n) not in moved),
        )
    )


def check_eyes(part: Part, names: list[str]) -> list[Finding]:
    """A face that shows both eyes is turned to the camera: nearly always its left eye is then at the right."""
    spelled = [set(words(name)) for name in spell_out(names)]
    eyes = [3 * index for side in OPPOSITE for index, name in enumerate(spelled) if name == {side, 'eye'}]
    points = [ann['keypoints'] for ann in part.coco['annotations']]
    at_right = [k[eyes[0]] > k[eyes[1]] for k in points if len(eyes) == 2 and k[eyes[0] + 2] > 0 and k[eyes[1] + 2] > 0]
    wrong = len(at_right) - sum(at_right)
    looks = len(at_right) >= 20 and wrong > len(at_right) / 2
    message = f'left and right look swapped: left eye not at the right in {wrong} of {len(at_right)} faces'
    return [Finding('error', 'left/right', part.name, message, wrong, [])] if looks else []


def inspect_image(path: Path, size: tuple[int, int]) -> tuple[str, int]:
    """What is wrong with an image ('' if nothing), and its perceptual hash."""
    if not path.is_file():
        return 'missing', 0
    try:
        with Image.open(path) as image:
            image.draft('L', (64, 64))  # a JPEG is decoded whole, but small
            hash_ = perceptual_hash(Image.fromarray(to_rgb(image)))  # as it is shown
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        return f'unreadable ({error})', 0
    wrong = '' if image_size(path) == size else 'of another size than the annotation file says'
    return wrong, hash_


def check_images(part: Part) -> tuple[list[Finding], dict[str, int]]:
    """Decodes every image; also returns the perceptual hash of each good one, by file name."""
    images = part.coco['images']
    paths = [part.img_root / image['file_name'] for image in images]
    sizes = [(image['width'], image['height']) for image in images]
    read = map_images(inspect_image, paths, sizes, desc='checking images')
    cases = defaultdict(list)
    for image, (wrong, _) in zip(images, read):
        cases[wrong].append(image['file_name'])
    hashes = {image['file_name']: hash_ for image, (wrong, hash_) in zip(images, read) if not wrong}
    findings = [f for wrong in cases if wrong for f in found('error', 'images', part.name, wrong, cases[wrong])]
    return findings, hashes


def check_shared(train: Part, other: Part, train_hashes: dict[str, int], hashes: dict[str, int]) -> list[Finding]:
    """Images of the training part that are in another part too, by name, id and perceptual hash."""
    ids = {image['id']: image['file_name'] for image in train.coco['images']}
    files, images = {(train.img_root / name).resolve() for name in ids.values()}, other.coco['images']
    by_name = [i['file_name'] for i in images if (other.img_root / i['file_name']).resolve() in files]
    names = set(by_name)
    by_id = [f'id {i["id"]}' for i in images if i['id'] in ids and i['file_name'] != ids[i['id']]]
    there, values = list(train_hashes), np.array(list(train_hashes.values()), dtype=np.uint64)
    near = [
        f'{name} = {there[index]}'
        for name, hash_ in hashes.items()
        for index in np.flatnonzero(np.bitwise_count(values ^ np.uint64(hash_)) <= NEAR)[:1]
        if name not in names
    ]
    return (
        found('error', 'shared', other.name, 'image is in train too, by name', by_name)
        + found('warning', 'shared', other.name, "another image's id in train", by_id)
        + found('warning', 'shared', other.name, 'looks like an image in train (perceptual hash)', near)
    )


def check_tables(train: Part, other: Part) -> list[Finding]:
    """Categories and species of the training part that another part lacks, or has besides."""
    tables = [{(c['id'], c['name']) for c in part.coco['categories']} for part in (train, other)]
    species = [{taxon.species for taxon in count_species(part)} for part in (train, other)]
    differ = (f'{id_} {name}' for id_, name in sorted(tables[0] ^ tables[1]))
    return (
        found('error', 'categories', other.name, 'lost category: not in both train and here', differ)
        + found('note', 'species', other.name, 'in train, not here', sorted(species[0] - species[1]))
        + found('note', 'species', other.name, 'here, not in train', sorted(species[1] - species[0]))
    )


def count_species(part: Part) -> Counter:
    """Annotations of each taxon."""
    return Counter(splits.taxonomy(part.coco).values())


def check(parts: list[Part], swaps: dict[str, str], prompts: list[str] | None, decode: bool) -> list[Finding]:
    """All checks, errors first.

    Args:
        parts (list[Part]): The loaders' data; if the first is 'train', the others are compared with it.
        swaps (dict[str, str]): The data set's keypoints in order, each with its mirror image: itself where it has none.
        prompts (list[str] | None): The keypoint names of the config, in the same order.
        decode (bool): Whether to open the images; without it, what two parts share is found by name and id alone.
    """
    names, hashes = list(swaps), {}
    findings = check_flip(swaps, 'keypoint', names)
    if prompts:
        findings += check_names('config', 'prompts', prompts, names)
        findings += check_flip(swaps, 'prompt', prompts) if len(prompts) == len(names) else []
    for part in parts:
        every = part.coco['annotations']
        findings += read_part(part, len(names))
        findings += check_gaps(part, every) + check_annotations(part) + check_eyes(part, names)
        for keypoints in {tuple(c['keypoints']) for c in part.coco['categories'] if c.get('keypoints')}:
            findings += check_names(part.name, 'category', list(keypoints), names)
        if decode:
            image_findings, hashes[part.name] = check_images(part)
            findings += image_findings
    for other in parts[1:] if parts[0].name == 'train' else []:
        findings += check_tables(parts[0], other)
        findings += check_shared(parts[0], other, hashes.get(parts[0].name, {}), hashes.get(other.name, {}))
    return sorted(findings, key=lambda finding: ('error', 'warning', 'note').index(finding.level))
