"""Photographs that are in two data sets: the same ones, encoded anew, mirrored, or cut out of each other.

Candidates are images whose perceptual hashes are near (whole images), or that share local features (crops); a
candidate counts if the one, laid over the other by the features' positions, correlates with it. Sizes are in pixels of
the images as they are read here, with ``SIDE`` at the longer side.
"""

import json
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import cv2
import imagehash
import numpy as np
from PIL import Image

from ..images import decode, map_images

SIDE = 384
FEATURES = 500  # of an image, at most
ZOOMS = (0.5, 1, 2)  # at which an image is looked for among others: the features of a crop are of a closer view
NEAR_HASH = 8  # of 64 bits
NEAR_FEATURE = 50  # of 256 bits
NEIGHBOURS = 4  # of a feature: a photograph may be in the other data set more than once
MATCHES = 8  # features that a candidate shares, and that must agree on how one image lies on the other
CORRELATION = 0.95
OVERLAP = 0.08  # the least part of one of the images that is in the other
WHOLE = 0.85  # what counts as all of an image: re-encoding and feature positions cost some of the border


class Described(NamedTuple):
    """What is kept of an image: its perceptual hash, and places (N, 2) and descriptors (N, 32) of its features."""

    hash: np.uint64
    places: np.ndarray
    descriptors: np.ndarray


class Shared(NamedTuple):
    """A pair: file names, how the image lies to the other ('same', 'part of it', 'holds it', 'overlaps it', with
    'mirrored, ' before), and their correlation where they overlap."""

    image: str
    other: str
    how: str
    correlation: float


def read_grey(path: str | os.PathLike) -> np.ndarray | None:
    """Return an image (H, W), uint8, as it is shown, ``SIDE`` pixels at its longer side; None if there is none."""
    if not os.path.isfile(path) or (image := decode(path, cv2.IMREAD_GRAYSCALE)) is None:
        return None
    scale = SIDE / max(image.shape)
    size = [max(8, round(side * scale)) for side in image.shape[::-1]]
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)


def perceptual_hash(image: Image.Image) -> int:
    """Return the 64 bits of an image's perceptual hash."""
    return int(np.packbits(imagehash.phash(image).hash.ravel()).view('>u8')[0])


def describe(grey: np.ndarray, zooms: Sequence[float] = (1,)) -> Described:
    """Describe an image (H, W), with the features that it has enlarged by each of some factors."""
    orb, places, descriptors = cv2.ORB_create(nfeatures=FEATURES, fastThreshold=10), [], []
    for zoom in zooms:
        points, found = orb.detectAndCompute(
            cv2.resize(grey, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_AREA), None
        )
        places += [np.divide(point.pt, zoom) for point in points]
        descriptors.append(np.empty((0, 32), np.uint8) if found is None else found)
    places = np.array(places, np.float32).reshape(-1, 2)
    return Described(np.uint64(perceptual_hash(Image.fromarray(grey))), places, np.concatenate(descriptors))


def find_shared(images: Mapping[str, Path], others: Mapping[str, Path]) -> tuple[list[Shared], list[str]]:
    """Find the photographs of one data set that are in another one.

    Args:
        images (Mapping[str, Path]): Files by the name that the data set has for them.
        others (Mapping[str, Path]): Likewise, of the other one. The same file in both is the same photograph.

    Returns:
        tuple[list[Shared], list[str]]: The pairs, and the names of images that cannot be read.
    """
    read = dict(zip(others, map_images(_describe_file, others.values(), desc='reading images')))
    grey_of = lru_cache(maxsize=256)(lambda name: read_grey(others[name]))  # frames of one scene are candidates of all
    there = {name: found for name, found in read.items() if found is not None}
    broken, shared = [name for name in others if name not in there], []
    index = Index(there)
    same_file = {others[name].resolve(): name for name in there}
    for name, path in images.items():
        grey = read_grey(path)
        if grey is None:
            broken.append(name)
            continue
        if other := same_file.get(path.resolve()):
            shared.append(Shared(name, other, 'same', 1.0))
        for mirrored in (False, True):
            image = np.ascontiguousarray(grey[:, ::-1]) if mirrored else grey
            for other, placements in index.candidates(describe(image, ZOOMS)).items():
                if path.resolve() != others[other].resolve():
                    shared += confirm(name, image, other, grey_of(other), placements, mirrored)
    best = {}
    for pair in sorted(shared, key=lambda pair: pair.correlation):  # symmetric pictures are their own mirror images
        best[pair.image, pair.other] = pair
    return sorted(best.values()), broken


def _describe_file(path: Path) -> Described | None:
    grey = read_grey(path)
    return None if grey is None else describe(grey)


class Index:
    """The images of a data set, to be asked for those that may be like another one.

    Args:
        images (Mapping[str, Described]): By name.
    """

    def __init__(self, images: Mapping[str, Described]):
        self.images, self.names = images, list(images)
        self.hashes = np.array([image.hash for image in images.values()], np.uint64)
        self.owner = np.repeat(np.arange(len(images)), [len(image.places) for image in images.values()])
        # FLANN's locality-sensitive hashing: tables of 20 of the 256 bits
        self.matcher = cv2.FlannBasedMatcher(dict(algorithm=6, table_number=8, key_size=20, multi_probe_level=0), {})
        if len(self.owner):
            self.matcher.add([np.concatenate([image.descriptors for image in images.values()])])
            self.matcher.train()

    def candidates(self, image: Described) -> dict[str, list[np.ndarray | None]]:
        """Return, by name, the images that may be like one, and where each would lie on it.

        A placement is a similarity transform (2, 3) from the other image to this one, None for the whole on the whole.
        """
        near = np.flatnonzero(np.bitwise_count(self.hashes ^ image.hash) <= NEAR_HASH)
        found = {self.names[i]: [None] for i in near}
        if not len(self.owner) or not len(image.places):
            return found
        matches = chain(*self.matcher.knnMatch(image.descriptors, k=NEIGHBOURS))
        pairs = {(m.queryIdx, self.owner[m.trainIdx]) for m in matches if m.distance <= NEAR_FEATURE}
        for number, count in Counter(owner for _, owner in pairs).items():
            if count >= MATCHES and (placement := self._place(image, number)) is not None:
                found.setdefault(self.names[number], []).append(placement)
        return found

    def _place(self, image: Described, number: int) -> np.ndarray | None:
        """Return how an image of the index lies on another one, if enough of their features agree on it."""
        other = self.images[self.names[number]]
        matches = cv2.BFMatcher(cv2.NORM_HAMMING, crossCheck=True).match(other.descriptors, image.descriptors)
        matches = [m for m in matches if m.distance <= NEAR_FEATURE]
        if len(matches) < MATCHES:
            return None
        start = other.places[[m.queryIdx for m in matches]]
        end = image.places[[m.trainIdx for m in matches]]
        cv2.setRNGSeed(0)
        placement, agree = cv2.estimateAffinePartial2D(start, end, method=cv2.RANSAC, ransacReprojThreshold=4)
        return placement if placement is not None and agree.sum() >= MATCHES else None


def confirm(
    name: str, image: np.ndarray, other: str, other_image: np.ndarray, placements: Iterable, mirrored: bool
) -> list[Shared]:
    """Return the pair, if the two images correlate where they overlap, in the best of the placements."""
    found = []
    for placement in placements:
        if placement is None:
            scale = np.array(image.shape[::-1]) / other_image.shape[::-1]
            placement = np.array([[scale[0], 0, 0], [0, scale[1], 0]])
        correlation, shares = compare(image, other_image, placement)
        if correlation >= CORRELATION and max(shares) >= OVERLAP:
            whole = tuple(share >= WHOLE for share in shares)
            how = {(True, True): 'same', (True, False): 'part of it', (False, True): 'holds it'}.get(
                whole, 'overlaps it'
            )
            found.append(Shared(name, other, 'mirrored, ' * mirrored + how, round(float(correlation), 3)))
    return sorted(found, key=lambda pair: -pair.correlation)[:1]


def compare(image: np.ndarray, other: np.ndarray, placement: np.ndarray) -> tuple[float, tuple[float, float]]:
    """Lay another image over one, and return their correlation there, and how much of each is in the other."""
    size = image.shape[::-1]
    laid = cv2.warpAffine(cv2.GaussianBlur(other, (0, 0), 2), placement, size, flags=cv2.INTER_LINEAR)
    inside = cv2.warpAffine(np.full_like(other, 255), placement, size, flags=cv2.INTER_NEAREST) > 0
    scale = np.sqrt(abs(np.linalg.det(placement[:, :2])))
    shares = inside.mean(), inside.sum() / max(other.size * scale**2, 1)
    here, there = cv2.GaussianBlur(image, (0, 0), 2)[inside].astype(float), laid[inside].astype(float)
    if len(here) < 64 or here.std() < 1 or there.std() < 1:
        return 0.0, shares
    return float(np.corrcoef(here, there)[0, 1]), shares


def write_list(path: Path, pairs: list[Shared], of: str, against: str) -> None:
    """Write pairs as JSON, for :func:`read_list` and for a person."""
    content = {'tool': 'tools/check_dataset.py', 'of': of, 'against': against, 'pairs': [p._asdict() for p in pairs]}
    path.write_text(json.dumps(content, indent=1) + '\n', encoding='utf-8')


def read_list(path: str | os.PathLike) -> list[str]:
    """Return the images of a list that :func:`write_list` wrote, each once.

    Raises:
        ValueError: If it is none.
    """
    try:
        content = json.loads(Path(path).read_bytes())
        return sorted({pair['image'] for pair in content['pairs']})
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise ValueError(f'{path} is no list of tools/check_dataset.py --against ({error!r})') from error
