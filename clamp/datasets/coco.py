"""The one reader of COCO annotation files. Every tool reads them through it, and so does MMPose (``checked_coco.py``).

What can be made right without guessing is made right and said once; for anything else the file is refused, with all
that is wrong in it. Coordinates of unlabelled keypoints are read by nobody: where they are no numbers, they become 0.
"""

import gc
import json
import logging
import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import numpy as np
from mmengine.logging import print_log

from .coco_entries import WANTED, Animal, BoxAnnotation, BoxImage, Category, Findings, Image, as_text, well_formed

DEPTH = 100  # of brackets; COCO has five, and a thousand are more than Python's own functions can copy
REFERENCES = {'images': 'image_id', 'categories': 'category_id'}


def load(path: str | os.PathLike, lists: tuple[str, ...] = ('images', 'annotations', 'categories')) -> dict:
    """Return what a JSON file holds, as ``json.load`` does, in less time.

    Raises:
        FileNotFoundError: If it is not there.
        ValueError: If it is no JSON, nested too deep, or not an object with these lists.
    """
    if not os.path.isfile(path):
        raise FileNotFoundError(f'The annotation file {path} is not there (from {Path.cwd()}).')
    raw = Path(path).read_bytes()
    if _is_deep(raw):
        raise ValueError(f'{path}: not a COCO annotation file: it is nested more than {DEPTH} deep.')
    try:
        with _without_collector():
            content = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):  # of NaN, a byte-order mark, an encoding, or truly no JSON
        try:
            content = json.loads(raw)
        except ValueError as error:
            raise ValueError(f'{path}: not a COCO annotation file: it is no JSON, or cut short ({error}).') from error
        if raw.startswith(b'\xef\xbb\xbf'):
            tell(path, {('warning', 'a byte-order mark is passed over'): ['at the beginning']})
    if isinstance(content, list):
        raise ValueError(f'{path}: not a COCO annotation file: it is a list, of results maybe, and names no images.')
    if absent := [key for key in lists if not isinstance(content, dict) or not isinstance(content.get(key), list)]:
        raise ValueError(f'{path}: not a COCO annotation file: there is no list `{"`, `".join(absent)}`.')
    return content


@contextmanager
def _without_collector() -> Iterator[None]:
    """Pause Python's search for cycles, of which JSON has none: it takes more time than reading does."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _is_deep(raw: bytes) -> bool:
    def depth(text: bytes) -> int:
        brackets = np.frombuffer(text.translate(None, bytes(set(range(256)) - set(b'[]{}'))), np.uint8)
        return np.cumsum(np.where((brackets == ord('[')) | (brackets == ord('{')), 1, -1)).max(initial=0)

    return depth(raw) > DEPTH and depth(re.sub(rb'"(?:[^"\\]|\\.)*"', b'', raw)) > DEPTH  # strings may hold brackets


def read(path: str | os.PathLike) -> dict:
    """Return a COCO keypoint file, mended, without the annotations that have no keypoints.

    Args:
        path (str): The file.

    Raises:
        FileNotFoundError: If it is not there.
        ValueError: If something in it cannot be used, with annotations, fields and values.
    """
    coco = load(path)
    findings = inspect(coco)
    refuse(path, findings)
    tell(path, findings)
    return coco


def read_boxes(path: str | os.PathLike) -> dict:
    """Return a COCO file of which the boxes alone are used: keypoints, categories and annotations' ids may be missing.

    Raises:
        FileNotFoundError: If it is not there.
        ValueError: If an image or a box cannot be used.
    """
    coco, findings = load(path, ('images', 'annotations')), defaultdict(list)
    _check_entries(coco, {'images': BoxImage, 'annotations': BoxAnnotation}, findings)
    refuse(path, findings)
    tell(path, findings)
    return coco


def refuse(path: str | os.PathLike, findings: Findings) -> None:
    """Raise a ValueError if there are errors, with all of them and the first cases of each."""
    errors = [f'{what} ({_shorten(cases)})' for (level, what), cases in findings.items() if level == 'error']
    if errors:
        raise ValueError(
            f'{path} cannot be used: {"; ".join(errors)}. Mend the file: tools/check_dataset.py lists what is wrong.'
        )


_told: set[tuple[str, str]] = set()


def tell(path: str | os.PathLike, findings: Findings) -> None:
    """Write what was mended into the log, once for each file."""
    for (level, what), cases in findings.items():
        if level == 'warning' and (key := (os.path.abspath(path), what)) not in _told:
            _told.add(key)
            print_log(f'{path}: {what} ({_shorten(cases)})', 'current', logging.WARNING)


def _shorten(cases: list[str]) -> str:
    return f'{len(cases)}: {", ".join(cases[:3])}{", ..." * (len(cases) > 3)}'


def inspect(coco: dict, num_keypoints: int | None = None) -> Findings:
    """Mend a COCO dict in place, take out of it what cannot be used, and return what was found.

    Args:
        coco (dict): As :func:`load` returns it.
        num_keypoints (int, optional): K. Without it, all annotations must have as many as most have.
    """
    findings, every = defaultdict(list), coco['annotations']
    animals = [ann for ann in every if not isinstance(ann, dict) or ann.get('keypoints') not in (None, [])]
    for key, entries in (('images', coco['images']), ('categories', coco['categories']), ('keypoints', animals)):
        if not entries:
            findings['error', f'there are no {key}'] = [f'of {len(every)} annotations']
    if animals and len(animals) < len(every):
        bare = [ann for ann in every if isinstance(ann, dict) and ann.get('keypoints') in (None, [])]
        cases = [f'annotation {as_text(ann.get("id"))}' for ann in bare]
        findings['warning', 'annotations without keypoints are left out'] = cases
    coco['annotations'] = animals
    _check_entries(coco, {'images': Image, 'categories': Category, 'annotations': Animal}, findings)
    _check_keypoints(coco, num_keypoints, findings)
    return findings


def _check_entries(coco: dict, kinds: dict, findings: Findings) -> None:
    """Check every entry, and that annotations name images and categories that there are."""
    every = {key: coco[key] for key in kinds}
    for key, kind in kinds.items():
        coco[key] = well_formed(coco[key], kind, findings)
        if kind is not BoxAnnotation:
            check_unique(coco, key, 'id', findings)
    check_unique(coco, 'images', 'file_name', findings, 'frame' if kinds['images'] is BoxImage else '')
    fields = {REFERENCES[key]: key for key in kinds if key in REFERENCES}
    ids = {field: {entry['id'] for entry in coco[key]} for field, key in fields.items()}
    for field, key in fields.items():
        # what is wrong with an entry is said already, and not again of its annotations
        said = {entry['id'] for entry in every[key] if isinstance(entry, dict) and type(entry.get('id')) is int}
        known = ids[field] | said
        for ann in coco['annotations']:
            if ann.get(field, 1) not in known:
                case = f'annotation {ann.get("id", "")}: {field} is {ann[field]}'
                findings['error', f'`{field}` should be the id of one of `{key}`'].append(case)
    coco['annotations'] = [ann for ann in coco['annotations'] if all(ann.get(field, 1) in ids[field] for field in ids)]


def check_unique(coco: dict, key: str, field: str, findings: Findings, beside: str = '') -> None:
    """Find the entries that share an id or a file name, unless another field tells them apart; keep the first."""

    def value_of(entry: dict) -> tuple:
        value = entry[field]
        return os.path.normpath(value) if field == 'file_name' else value, entry.get(beside)

    by_value = {value_of(entry): entry for entry in reversed(coco[key])}
    if len(by_value) < len(coco[key]):
        counts = Counter(map(value_of, coco[key]))
        cases = [f'{as_text(value)} is that of {n}' for (value, _), n in counts.items() if n > 1]
        findings['error', f'`{field}` of `{key}` should be unique'] += cases
        coco[key] = list(by_value.values())[::-1]


def _check_keypoints(coco: dict, num_keypoints: int | None, findings: Findings) -> None:
    """Check number, visibility and count of the keypoints, and the areas, which AP needs where one is labelled."""
    every, coco['annotations'] = coco['annotations'], []
    lengths = Counter(len(ann['keypoints']) for ann in every)
    number = num_keypoints or max(1, max(lengths, key=lengths.get, default=0) // 3)
    right = [ann for ann in every if len(ann['keypoints']) == 3 * number]
    if len(right) < len(every):
        wrong = [ann for ann in every if len(ann['keypoints']) != 3 * number]
        cases = [f'annotation {ann["id"]}: {len(ann["keypoints"])} numbers' for ann in wrong]
        findings['error', f'`keypoints` should be {number} times x, y, visibility'] = cases
    visibility = np.array([ann['keypoints'][2::3] for ann in right], float).reshape(-1, number)  # (N, K)
    allowed = ((visibility == 0) | (visibility == 1) | (visibility == 2)).all(1).tolist()
    for ann, labelled, is_allowed in zip(right, (visibility > 0).sum(1).tolist(), allowed):
        if not is_allowed:
            wrong = next(v for v in ann['keypoints'][2::3] if v not in (0, 1, 2))
            findings['error', 'the visibility of a keypoint should be 0, 1 or 2'].append(
                f'annotation {ann["id"]}: {wrong}'
            )
        elif labelled and not ann['area'] and not ann['iscrowd'] and all(ann['bbox'][2:]):
            findings['error', f'`area` should be {WANTED["area"]}'].append(f'annotation {ann["id"]}: area is 0')
        else:
            coco['annotations'].append(ann)
        if ann.get('num_keypoints') != labelled:
            how = 'missing' if ann.get('num_keypoints') is None else 'not the number of labelled ones'
            findings['warning', f'`num_keypoints` is {how}: counted'].append(f'annotation {ann["id"]}: {labelled}')
            ann['num_keypoints'] = labelled


def keypoints_of(coco: dict) -> tuple[list[str], list[list[int]]]:
    """Return the K keypoint names of a file's categories, and its skeleton as pairs of names' numbers from 0.

    Raises:
        ValueError: If there are none, or the categories do not have the same.
    """
    categories = [category for category in coco['categories'] if category.get('keypoints')]
    if not categories:
        raise ValueError('none of its `categories` has `keypoints`, the list of their names')
    first = categories[0]
    for category in categories[1:]:
        if category['keypoints'] != first['keypoints']:
            raise ValueError(
                f'the categories {first["name"]} and {category["name"]} have different `keypoints`; make a file of '
                'each, or one list that holds the keypoints of both'
            )
    try:
        links = msgspec.convert(first.get('skeleton') or [], list[tuple[int, int]])
    except msgspec.ValidationError as error:
        raise ValueError(f'the `skeleton` of {first["name"]} should be pairs of whole numbers: {error}') from error
    skeleton = [[start - 1, end - 1] for start, end in links]  # COCO counts from 1
    if not {point for link in skeleton for point in link} <= set(range(len(first['keypoints']))):
        raise ValueError(
            f'the `skeleton` of {first["name"]} has numbers outside 1..{len(first["keypoints"])}; COCO counts from 1'
        )
    return first['keypoints'], skeleton
