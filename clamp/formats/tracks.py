import csv
from collections.abc import Sequence
from dataclasses import dataclass
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
        ValueError: If it is not such a file.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f'The predictions {path} are not there (from {Path.cwd()}).')
    sources: dict[str, list[dict]] = {}
    with open(path, newline='', encoding='utf-8') as file:
        reader = csv.DictReader(file)
        if missing := {'file', 'frame', 'animal', 'keypoint', 'x', 'y', 'score'} - set(reader.fieldnames or ()):
            raise ValueError(f'{path} is no predictions.csv: it has no column {", ".join(sorted(missing))}.')
        for row in reader:
            if row['score']:  # the last line may be cut off
                sources.setdefault(row['file'] if row['frame'] else '', []).append(row)
    try:
        return [_tracks(name, rows, (lengths or {}).get(name, 0)) for name, rows in sources.items()]
    except (ValueError, TypeError) as error:
        raise ValueError(f'{path} cannot be read as predictions: {error}') from error


def _tracks(name: str, rows: Sequence[dict], length: int) -> Tracks:
    images = [] if name else list(dict.fromkeys(row['file'] for row in rows))
    places = {image: place for place, image in enumerate(images)}
    frames = [int(row['frame']) if name else places[row['file']] for row in rows]
    individuals = sorted({row['animal'] for row in rows}, key=int)
    keypoints = list(dict.fromkeys(row['keypoint'] for row in rows))
    points = np.full((max(length, max(frames) + 1), len(individuals), len(keypoints), 3), np.nan)
    for frame, row in zip(frames, rows):
        place = frame, individuals.index(row['animal']), keypoints.index(row['keypoint'])
        points[place] = float(row['x']), float(row['y']), float(row['score'])
    return Tracks(name or 'images', images, [f'animal{one}' for one in individuals], keypoints, points)
