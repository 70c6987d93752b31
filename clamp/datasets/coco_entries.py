"""What images, categories and annotations of a COCO file should look like, each for itself, and what can be mended."""

import json
import re
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

CHUNK = 256  # entries that are validated at a time

Findings = dict[tuple[str, str], list[str]]  # ('error' or 'warning', what) -> cases
Whole = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Pixels = Annotated[float, Meta(ge=-1e6, le=1e6)]  # NaN is outside, too
Length = Annotated[float, Meta(ge=0, le=1e6)]
Text = Annotated[str, Meta(pattern=r'^[^\x00-\x1f\x7f]+\Z')]
Box = tuple[Pixels, Pixels, Length, Length]


class Image(Struct):
    """An image; its size is a matter of ``checked_coco.py``."""

    id: Whole
    file_name: Text


class BoxImage(Image):
    """An image of which the boxes alone are used, or a frame of the video of that name, from 0."""

    frame: Whole | None = None


class Category(Struct):
    """A species, or whatever the animals are told apart by."""

    id: Whole
    name: Text
    keypoints: list[Text] | None = None
    supercategory: str | None = None


class BoxAnnotation(Struct):
    """An annotation of which the box alone is used."""

    image_id: Whole
    bbox: Box
    category_id: Whole = 1


class Animal(Struct):
    """An annotation with keypoints."""

    id: Whole
    image_id: Whole
    category_id: Whole
    bbox: Box
    keypoints: list[Pixels]
    area: Annotated[float, Meta(ge=0, le=1e12)]
    iscrowd: Annotated[int, Meta(ge=0, le=1)] | bool
    species: str | None = None
    family: str | None = None


NOUNS = {Image: 'image', BoxImage: 'image', Category: 'category', BoxAnnotation: 'annotation', Animal: 'annotation'}
NAMES = 'a list of names, text without control characters'
WANTED = {
    **dict.fromkeys(('id', 'image_id', 'category_id', 'frame'), 'a whole number from 0'),
    **dict.fromkeys(('file_name', 'name'), 'text without control characters'),
    **dict.fromkeys(('species', 'family', 'supercategory'), 'text'),
    'bbox': 'four finite numbers, x, y, width, height in pixels, the last two not negative',
    'keypoints': 'finite numbers, x, y in pixels and visibility of each keypoint',
    'area': 'a finite number of square pixels, and above 0 where a keypoint is labelled',
    'iscrowd': '0 or 1',
}


def well_formed(entries: list, kind: type[Struct], findings: Findings) -> list[dict]:
    """Return the entries that are of a kind, mended in place; what is mended and what is left out goes to findings."""
    good = []
    for start in range(0, len(entries), CHUNK):
        chunk = entries[start : start + CHUNK]
        if not is_valid(chunk, list[kind]):  # one at a time, to tell what is wrong with each
            chunk = [entry for place, entry in enumerate(chunk, start) if _can_be_used(entry, place, kind, findings)]
        good += chunk
    return good


def is_valid(value: object, kind: object) -> bool:
    """Return whether a value is of a type."""
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError:
        return False
    return True


def as_text(value: object) -> str:
    """Return a value as JSON writes it, cut short if it is long."""
    text = json.dumps(value)
    return text if len(text) <= 50 else f'{text[:50]}...'


def _can_be_used(entry: object, place: int, kind: type[Struct], findings: Findings) -> bool:
    if not isinstance(entry, dict):
        findings['error', f'each {NOUNS[kind]} should be an object'].append(f'number {place} is {as_text(entry)}')
        return False
    name = f'{NOUNS[kind]} {as_text(entry["id"]) if "id" in entry else f"number {place}"}'
    for mended in _mend(entry, kind):
        findings['warning', mended].append(name)
    try:
        msgspec.convert(entry, kind)
    except msgspec.ValidationError as error:
        field, index = re.search(r'(?:\$\.|field `)(\w+)(?:`|\[(\d+)\])?', str(error)).groups()
        wanted = NAMES if (kind, field) == (Category, 'keypoints') else WANTED[field]
        spot, value = (f'{field}[{index}]', entry[field][int(index)]) if index else (field, entry.get(field))
        findings['error', f'`{field}` should be {wanted}'].append(
            f'{name}: {spot} is {as_text(value) if field in entry else "missing"}'
        )
        return False
    return True


def _mend(entry: dict, kind: type[Struct]) -> list[str]:
    """Make right what can be made right without guessing, and return what that was."""
    mended = []
    for field in ('id', 'image_id', 'category_id', 'iscrowd', 'area'):
        value = entry.get(field)
        if isinstance(value, str) and re.fullmatch(r'-?[0-9]{1,18}(\.[0-9]+)?', value):
            entry[field] = value = float(value) if '.' in value else int(value)
            mended.append(f'`{field}` is written as text: read as a number')
        if isinstance(value, float) and value.is_integer() and field != 'area':
            entry[field] = int(value)
            mended.append(f'`{field}` is written with a decimal point: read as a whole number')
    if kind is not Animal:
        return mended
    if entry.get('iscrowd') is None:
        entry['iscrowd'] = 0
        mended.append('`iscrowd` is missing: taken as 0')
    if entry.get('area') is None and is_valid(entry.get('bbox'), Box):
        entry['area'] = entry['bbox'][2] * entry['bbox'][3]
        mended.append("`area` is missing: the box's is taken, and AP depends on it")
    points = entry['keypoints'] if isinstance(entry['keypoints'], list) else []
    for i in range(0, len(points) - 2, 3):
        if points[i + 2] == 0 and not is_valid(points[i : i + 2], list[Pixels]):
            points[i : i + 2] = [0, 0]
            mended.append('unlabelled keypoints have coordinates that are no numbers: not read')
    return list(dict.fromkeys(mended))
