"""The few-shot, zero-shot and low-data parts of a data set, as pure functions on a COCO dict.

Each builder takes COCO dicts (as ``json.load`` returns them) and returns ``(part, report)``: a COCO dict that stands on
its own, and what a reader should know about it. The sources are never changed. What is drawn depends on the seed and
the ids alone (:func:`draw_order`), and :func:`dump` fixes every byte of a file, so the same options give the same file
on any machine. ``docs/protocols.md`` says what the protocols are and why.
"""

import hashlib
import json
import os
from collections import Counter, defaultdict
from collections.abc import Iterable
from fractions import Fraction
from itertools import chain
from math import floor
from typing import NamedTuple

from .coco import check_unique, refuse

# Rises whenever the same options on the same source give another file; every manifest records it.
VERSION = 1


class Taxon(NamedTuple):
    """What an animal is; ``family`` is None where the file does not tell."""

    species: str
    family: str | None


def taxonomy(coco: dict) -> dict[int, Taxon]:
    """Species and family of every annotation, by annotation id.

    An annotation's own ``species`` and ``family`` count first (Animal-Pose, whose one category is 'animal'), then its
    category's ``name`` and ``supercategory`` (AP-10K).
    """
    categories = {category['id']: category for category in coco['categories']}
    taxa = {}
    for ann in coco['annotations']:
        if ann['category_id'] not in categories:
            raise ValueError(
                f'annotation {ann["id"]} has category_id {ann["category_id"]}, which is not in `categories`; '
                'restore the whole list'
            )
        category = categories[ann['category_id']]
        taxa[ann['id']] = Taxon(
            ann.get('species') or category['name'], ann.get('family') or category.get('supercategory')
        )
    return taxa


def species(coco: dict) -> dict[str, int]:
    """Number of annotations of each species, 0 for a category that no annotation has."""
    return _count(coco, 'species', 'name')


def families(coco: dict) -> dict[str, int]:
    """Number of annotations of each family, 0 for the family of a category that no annotation has.

    Raises:
        ValueError: If an annotation's family is not told, by itself or by its category's ``supercategory``.
    """
    unknown = sorted({taxon.species for taxon in taxonomy(coco).values() if taxon.family is None})
    if unknown:
        raise ValueError(
            f'no family is given for {", ".join(unknown)}: give the category a `supercategory`, or each of its '
            'annotations a `family`'
        )
    return _count(coco, 'family', 'supercategory')


def _count(coco: dict, rank: str, category_key: str) -> dict[str, int]:
    counts = Counter(getattr(taxon, rank) for taxon in taxonomy(coco).values())
    used = {ann['category_id'] for ann in coco['annotations']}
    counts.update({c[category_key]: 0 for c in coco['categories'] if c['id'] not in used and c.get(category_key)})
    return dict(sorted(counts.items()))


def is_trainable(ann: dict) -> bool:
    """Whether MMPose would train on this annotation: no crowd, a box with an area, a labelled keypoint."""
    width, height = ann.get('bbox', [0, 0, 0, 0])[2:]
    return not ann.get('iscrowd') and width > 0 and height > 0 and any(v > 0 for v in ann.get('keypoints', [])[2::3])


def draw_order(ids: Iterable[int | str], seed: int) -> list[int | str]:
    """The ids in the order in which they are drawn: by the SHA-256 of the text ``'<seed>:<id>'``.

    No random generator has a part in it, so it is the same everywhere, and a smaller draw is the start of a larger one.
    """
    return sorted(ids, key=lambda id_: hashlib.sha256(f'{seed}:{id_}'.encode()).digest())


def few_shot(coco: dict, *, shots: int, seed: int, unit: str = 'animal') -> tuple[dict, dict]:
    """``shots`` animals, or images, of each species.

    Only animals that can be trained on are drawn. Nothing else on their images stays: the file holds the drawn animals
    (``unit='animal'``), or all trainable animals of the species on the images drawn for it (``unit='image'``).

    Args:
        coco (dict): The source.
        shots (int): Number of animals or images per species. A species with fewer is used whole, and reported.
        seed (int): Which draw.
        unit (str): 'animal' or 'image'.
    """
    if shots < 1 or unit not in ('animal', 'image'):
        raise ValueError(f"got shots={shots}, unit='{unit}'; expected shots >= 1 and unit 'animal' or 'image'")
    taxa = taxonomy(coco)
    pools = {name: defaultdict(list) for name in species(coco)}  # species -> animal or image id -> annotation ids
    for ann in filter(is_trainable, coco['annotations']):
        pools[taxa[ann['id']].species][ann['id'] if unit == 'animal' else ann['image_id']].append(ann['id'])
    largest = max(pools, key=lambda name: len(pools[name]), default=None)
    if largest is None or len(pools[largest]) < shots:
        most = f'the most is {len(pools[largest])}, of {largest}' if largest else 'there is no species'
        raise ValueError(f'no species has {shots} {unit}s that can be trained on: {most}; lower the number of shots')
    chosen = {id_ for pool in pools.values() for unit_id in draw_order(pool, seed)[:shots] for id_ in pool[unit_id]}
    return subset(coco, chosen), {
        'species_with_fewer': {name: len(pool) for name, pool in pools.items() if 0 < len(pool) < shots},
        'species_with_none': [name for name, pool in pools.items() if not pool],
    }


def fraction(coco: dict, *, percent: float, seed: int) -> tuple[dict, dict]:
    """``percent`` of the images that hold something to train on, each with all its annotations.

    The number is rounded to the nearest image, halves up. With one seed, 5 percent contains 1 percent.
    """
    if not 0 < percent <= 100:
        raise ValueError(f'got percent={percent:g}, expected a number above 0 and up to 100')
    images = {ann['image_id'] for ann in coco['annotations'] if is_trainable(ann)}
    number = floor(Fraction(str(percent)) * len(images) / 100 + Fraction(1, 2))
    if number == 0:
        raise ValueError(f'{percent:g}% of {len(images)} images that can be trained on is none; raise the percentage')
    chosen = set(draw_order(images, seed)[:number])
    return subset(coco, {ann['id'] for ann in coco['annotations'] if ann['image_id'] in chosen}), {
        'images_drawn_from': len(images)
    }


def holdout(coco: dict, *, percent: float, seed: int, part: str) -> tuple[dict, dict]:
    """One of two parts without a common image: ``'val'`` is :func:`fraction`, ``'train'`` is all but that.

    For choosing settings on a part of the training data, so that the validation set is looked at once.
    """
    if part not in ('train', 'val'):
        raise ValueError(f"got part='{part}', expected 'train' or 'val'")
    val, report = fraction(coco, percent=percent, seed=seed)
    if part == 'val':
        return val, report
    held = {image['id'] for image in val['images']}
    train = subset(coco, {ann['id'] for ann in coco['annotations'] if ann['image_id'] not in held})
    if not any(map(is_trainable, train['annotations'])):
        raise ValueError(f'with {percent:g}% of the images held out, nothing is left to train on; lower the percentage')
    return train, report


def zero_shot_train(coco: dict, *, train_family: str, test_family: str) -> tuple[dict, dict]:
    """All animals of ``train_family``, but for the images that also show an animal of ``test_family``."""
    if train_family == test_family:
        raise ValueError(f'train and test family are both {train_family}: nothing would be unseen; name two families')
    check_family(coco, train_family)
    taxa = taxonomy(coco)
    shown = {ann['image_id'] for ann in coco['annotations'] if taxa[ann['id']].family == test_family}
    animals = [ann for ann in coco['annotations'] if taxa[ann['id']].family == train_family]
    dropped = sorted({ann['image_id'] for ann in animals} & shown)
    if len(dropped) == len({ann['image_id'] for ann in animals}):
        raise ValueError(f'every image of {train_family} also shows an animal of {test_family}: nothing to train on')
    chosen = {ann['id'] for ann in animals if ann['image_id'] not in shown}
    return subset(coco, chosen), {'images_dropped_for_test_family': dropped}


def zero_shot_test(*sources: dict, train_family: str, test_family: str) -> tuple[dict, dict]:
    """All animals of ``test_family`` in the sources, which are joined where there are several."""
    coco = join(*sources)
    if train_family == test_family:
        raise ValueError(f'train and test family are both {train_family}: nothing would be unseen; name two families')
    check_family(coco, test_family)
    taxa = taxonomy(coco)
    return subset(coco, {id_ for id_, taxon in taxa.items() if taxon.family == test_family}), {
        'test_from': 'val' if len(sources) == 1 else 'all'
    }


def join(*sources: dict) -> dict:
    """One COCO dict of several; they must share their categories, and no id and no file name."""
    joined = {
        **sources[-1],
        'images': list(chain.from_iterable(source['images'] for source in sources)),
        'annotations': list(chain.from_iterable(source['annotations'] for source in sources)),
    }
    if any(source['categories'] != joined['categories'] for source in sources):
        raise ValueError('the sources do not have the same `categories`; take files of one release of the data set')
    findings = defaultdict(list)
    for key, field in (('images', 'id'), ('images', 'file_name'), ('annotations', 'id')):
        check_unique(joined, key, field, findings)
    refuse('The joined file', findings)
    return joined


def check_family(coco: dict, family: str) -> None:
    """Raise a ValueError, which lists those there are, if no animal is of this family."""
    known = families(coco)
    if not known.get(family):
        there = ', '.join(f'{name} ({count})' for name, count in known.items() if count) or 'none'
        without = f'family {family} has no animals here' if family in known else f'unknown family {family}'
        raise ValueError(f'{without}; families with animals: {there}')


def check_disjoint(train: dict, test: dict) -> None:
    """Raise a ValueError if an image, by its file name, is in both."""
    names = ({os.path.normpath(image['file_name']) for image in part['images']} for part in (train, test))
    shared = sorted(set.intersection(*names))
    if shared:
        raise ValueError(
            f'{len(shared)} images would be in both the training and the test part, such as {shared[0]}: '
            'the two annotation files overlap; give disjoint ones'
        )


def keypoint_names(coco: dict) -> list[str]:
    """The names of the keypoints, which must be the same in all categories; empty if these do not tell."""
    names = coco['categories'][0].get('keypoints') or []
    if any((category.get('keypoints') or []) != names for category in coco['categories']):
        raise ValueError('the categories do not have the same `keypoints`')
    return names


def check_keypoints(coco: dict, chosen: list[str]) -> list[str]:
    """Return the names of a file's keypoints, some of which are chosen.

    Raises:
        ValueError: If a keypoint is chosen that there is not, or none is, or names and annotations do not fit.
    """
    names = keypoint_names(coco)
    unknown = [name for name in chosen if name not in names]
    if unknown or not chosen:
        raise ValueError(
            f'there is no keypoint {", ".join(unknown) or "to keep"}; there are {", ".join(names) or "none"}'
        )
    if twice := [name for name in names if names.count(name) > 1]:
        raise ValueError(f'its `categories` name {names.count(twice[0])} keypoints {twice[0]!r}: mend the names')
    if wrong := [ann for ann in coco['annotations'] if len(ann['keypoints']) != 3 * len(names)]:
        raise ValueError(
            f'its `categories` name {len(names)} keypoints, but annotation {wrong[0]["id"]} has '
            f'{len(wrong[0]["keypoints"]) / 3:g}: mend the names'
        )
    return names


def subset(coco: dict, annotation_ids: set[int]) -> dict:
    """The annotations with these ids and the images they are on, in the source's order; all else as it is."""
    annotations = [ann for ann in coco['annotations'] if ann['id'] in annotation_ids]
    image_ids = {ann['image_id'] for ann in annotations}
    images = [image for image in coco['images'] if image['id'] in image_ids]
    return {**coco, 'images': images, 'annotations': annotations}


def dump(content: dict, indent: int | None = None) -> bytes:
    """The bytes of a JSON file: ASCII, newline at the end; compact and sorted by key, or indented and in its order."""
    separators = (',', ':') if indent is None else (',', ': ')
    return (json.dumps(content, indent=indent, sort_keys=indent is None, separators=separators) + '\n').encode('ascii')


BUILDERS = {
    'fewshot': few_shot,
    'fraction': fraction,
    'holdout': holdout,
    'zeroshot-train': zero_shot_train,
    'zeroshot-test': zero_shot_test,
}
