import csv
import math
import os
from array import array
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Tracks:
    """The poses of a video, or of images, which count as one.

    Attributes:
        name (str): Of the video; ``'images'``.
        images (list[str]): Names of the T images; empty for a video.
        individuals (list[str]): Names of the I animals.
        keypoint_names (list[str]): The K names.
        points (np.ndarray): (T, I, K, 3): x, y in pixels of the image, (0, 0) being the centre of its first pixel, and
            the score; NaN where an animal is not seen.
    """

    name: str
    images: list[str]
    individuals: list[str]
    keypoint_names: list[str]
    points: np.ndarray


def read_tracks(path: str | Path, lengths: dict[str, int] | None = None) -> list[Tracks]:
    """Read what ``tools/predict.py`` wrote.

    Args:
        path (str | Path): Its ``predictions.csv``, of a run that was cut off too.
        lengths (dict[str, int], optional): Of videos, how many frames they have at least. Defaults to None: each ends
            with the last frame that shows an animal.

    Returns:
        list[Tracks]: A video each, and all images together.

    Raises:
        FileNotFoundError: If it is not there.
        ValueError: If it is not such a file, or the poses of a video are more than the memory holds.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f'The predictions {path} are not there (from {Path.cwd()}).')
    sources: dict[str, _Columns] = {}
    with open(path, newline='', encoding='utf-8') as file:
        reader = csv.DictReader(file)
        if missing := {'file', 'frame', 'animal', 'keypoint', 'x', 'y', 'score'} - set(reader.fieldnames or ()):
            raise ValueError(f'{path} is no predictions.csv: it has no column {", ".join(sorted(missing))}.')
        try:
            for row in reader:
                if row['score']:  # the last line may be cut off
                    sources.setdefault(row['file'] if row['frame'] else '', _Columns()).append(row)
        except (ValueError, TypeError) as error:
            raise ValueError(f'{path} cannot be read as predictions: {error}') from error
    return [columns.tracks(name, (lengths or {}).get(name, 0)) for name, columns in sources.items()]


@dataclass
class _Columns:
    """The rows of a video, or of all images, as numbers: 48 bytes each, for there are millions."""

    images: dict[str, int] = field(default_factory=dict)
    keypoints: dict[str, int] = field(default_factory=dict)
    places: array = field(default_factory=lambda: array('q'))  # frame, animal, keypoint
    values: array = field(default_factory=lambda: array('d'))  # x, y, score

    def append(self, row: dict) -> None:
        """Add a row. Raises a ValueError or a TypeError if it is no row of predictions."""
        frame = int(row['frame']) if row['frame'] else self.images.setdefault(row['file'], len(self.images))
        keypoint = self.keypoints.setdefault(row['keypoint'], len(self.keypoints))
        self.values.extend((float(row['x']), float(row['y']), float(row['score'])))
        self.places.extend((frame, int(row['animal']), keypoint))

    def tracks(self, name: str, length: int) -> Tracks:
        """Return the poses of a video of at least so many frames, or of images, whose name is empty."""
        frames, animals, keypoints = np.array(self.places).reshape(-1, 3).T
        individuals, animals = np.unique(animals, return_inverse=True)
        shape = max(length, frames.max() + 1), len(individuals), len(self.keypoints), 3
        if (needed := 8 * math.prod(shape)) > (there := os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES')):
            raise ValueError(
                f'{name or "The images"}: {shape[0]} frames of {shape[1]} animals are {needed / 1e9:.0f} GB, and this '
                f'machine has {there / 1e9:.0f} GB. Files of other programs have a place for each identity in each '
                'frame: cut the video into shorter ones.'
            )
        points = np.full(shape, np.nan)
        points[frames, animals, keypoints] = np.array(self.values).reshape(-1, 3)
        individuals = [f'animal{one}' for one in individuals]
        return Tracks(name or 'images', list(self.images), individuals, list(self.keypoints), points)
