"""DeepLabCut's files: a table with a line for each frame and a header of three or, for several animals, four lines."""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import yaml

from ..images import image_size
from .tracks import Tracks

SCORER = 'CLAMP'
SINGLE = 'single'  # what DeepLabCut calls the owner of keypoints that are there once, such as the corners of a box


def columns(tracks: Tracks) -> list[tuple[str, ...]]:
    """Return the header of each of the I K 3 columns: scorer, individual if there are several, keypoint, coordinate."""
    several = len(tracks.individuals) > 1
    return [
        (SCORER, *([individual] if several else []), keypoint, coordinate)
        for individual in tracks.individuals
        for keypoint in tracks.keypoint_names
        for coordinate in ('x', 'y', 'likelihood')
    ]


def levels(tracks: Tracks) -> list[str]:
    """Return the names of the header's lines."""
    return ['scorer', *(['individuals'] if len(tracks.individuals) > 1 else []), 'bodyparts', 'coords']


def write_csv(tracks: Tracks, path: Path) -> None:
    """Write a CSV as DeepLabCut does; cells of animals that are not seen are empty."""
    rows = tracks.points.reshape(len(tracks.points), -1)
    with open(path, 'w', newline='', encoding='utf-8') as file:
        writer = csv.writer(file)
        writer.writerows([name, *line] for name, line in zip(levels(tracks), zip(*columns(tracks))))
        for index, row in enumerate(rows.tolist()):
            cells = ['' if np.isnan(value) else value for value in row]
            writer.writerow([tracks.images[index] if tracks.images else index, *cells])


def write_hdf5(tracks: Tracks, path: Path) -> None:
    """Write a HDF5 as DeepLabCut does, a table of pandas."""
    import pandas as pd

    header = pd.MultiIndex.from_tuples(columns(tracks), names=levels(tracks))
    table = pd.DataFrame(tracks.points.reshape(len(tracks.points), -1), tracks.images or None, header)
    table.to_hdf(path, key='df_with_missing', mode='w')


def read_project(path: str | Path) -> tuple[dict, Path]:
    """Read a project's labels, ``labeled-data/*/CollectedData_*.csv``.

    Args:
        path (str | Path): The project's folder, or its ``config.yaml``.

    Returns:
        tuple[dict, Path]: A COCO keypoint file, and the folder in which the names of its images begin. DeepLabCut has
        no boxes: they are around the keypoints, a tenth larger on each side.

    Raises:
        FileNotFoundError: If config, labels or images are not there.
        ValueError: If the config cannot be read, or labels have other keypoints than the config.
    """
    config = Path(path) / 'config.yaml' if Path(path).is_dir() else Path(path)
    if not config.is_file():
        raise FileNotFoundError(f'The DeepLabCut project {path} has no config.yaml (from {Path.cwd()}).')
    settings = _read_config(config)
    names = settings['names']
    tables = sorted(config.parent.glob('labeled-data/*/CollectedData_*.csv'))
    if not tables:
        raise FileNotFoundError(f'{config.parent} has no labels: no labeled-data/*/CollectedData_*.csv.')
    images, annotations = [], []
    for table in tables:
        for image, animals in _read_table(table, names):
            if not (config.parent / image).is_file():
                raise FileNotFoundError(f'The image {config.parent / image} of {table} is not there.')
            if (size := image_size(config.parent / image)) is None:
                raise ValueError(f'The image {config.parent / image} of {table} cannot be read.')
            width, height = size
            images.append(dict(id=len(images) + 1, file_name=image, width=width, height=height))
            for keypoints in animals:
                known = dict(id=len(annotations) + 1, image_id=len(images), category_id=1)
                annotations.append(known | annotation(keypoints, width, height))
    skeleton = [[names.index(one) + 1 for one in link] for link in settings['skeleton'] if {*link} <= {*names}]
    category = dict(id=1, name=str(settings.get('Task') or 'animal'), keypoints=names, skeleton=skeleton)
    return dict(images=images, annotations=annotations, categories=[category]), config.parent


def _read_config(path: Path) -> dict:
    try:
        settings = yaml.safe_load(path.read_text(encoding='utf-8'))
        key = 'multianimalbodyparts' if settings.get('multianimalproject') else 'bodyparts'
        if not isinstance(settings[key], list) or not settings[key]:
            raise ValueError(f'{key} should be a list of names')
        settings['names'] = [str(name) for name in settings[key]]
        settings['skeleton'] = [[str(one) for one in link] for link in settings.get('skeleton') or []]
    except (yaml.YAMLError, ValueError, KeyError, AttributeError, TypeError) as error:
        reason = f'there is no {error}' if isinstance(error, KeyError) else error
        raise ValueError(f'{path} is no config.yaml of a DeepLabCut project: {reason}') from error
    return settings


def _read_table(path: Path, names: Sequence[str]) -> list[tuple[str, list[np.ndarray]]]:
    """Return of each image its name and its animals' keypoints (K, 2), NaN where there is no label."""
    try:
        with open(path, newline='', encoding='utf-8') as file:
            rows = [row for row in csv.reader(file) if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f'{path} cannot be read as a table: {error}. Save it as CSV in UTF-8.') from error
    header = {row[0]: row for row in rows[:4]}
    if not {'bodyparts', 'coords'} <= header.keys():
        raise ValueError(f'{path} is no table of labels: its header has no bodyparts and coords.')
    parts, coordinates = header['bodyparts'], header['coords']
    owners = header.get('individuals', [''] * len(parts))
    heads = [
        (head, column)
        for column, head in enumerate(zip(owners, parts, coordinates))
        if head[2] in ('x', 'y') and head[0] != SINGLE
    ]
    places = dict(heads)
    if len(places) < len(heads):
        twice = next(head for head, column in heads if places[head] != column)
        raise ValueError(f'{path} has two columns {" ".join(filter(None, twice))}: take one out.')
    found = {part for _, part, _ in places}
    if found != set(names):
        extra, missing = sorted(found - set(names)), sorted(set(names) - found)
        raise ValueError(
            f'{path} has other keypoints than the config: {extra} in the labels alone, {missing} in the config alone.'
        )
    start = min(places.values())  # the image's name may take one column or three
    images = []
    for number, row in enumerate(rows[rows.index(coordinates) + 1 :], rows.index(coordinates) + 2):
        try:
            animals = [
                np.array([[float(row[places[owner, name, axis]] or 'nan') for axis in 'xy'] for name in names])
                for owner in dict.fromkeys(owner for owner, _, _ in places)
            ]
        except (ValueError, IndexError, KeyError) as error:
            raise ValueError(f'{path}, line {number} has not a number or nothing for each keypoint: {error}') from error
        name = '/'.join(part.replace('\\', '/') for part in row[:start] if part)
        images.append((name, [keypoints for keypoints in animals if np.isfinite(keypoints).all(1).any()]))
    return images


def annotation(keypoints: np.ndarray, width: int, height: int) -> dict:
    """Return keypoints, box and area as COCO has them; the box leaves a tenth of its longer side around them.

    Args:
        keypoints (np.ndarray): (K, 2), (x, y) in pixels, NaN where there is no label.
        width, height (int): Of the image, in pixels.
    """
    labelled = np.isfinite(keypoints).all(1)
    low, high = keypoints[labelled].min(0), keypoints[labelled].max(0)
    room = max(0.1 * (high - low).max(), 0.02 * max(width, height))  # one keypoint has a box too
    low, high = np.clip(low - room, 0, [width, height]), np.clip(high + room, 0, [width, height])
    rows = np.column_stack([np.where(labelled[:, None], keypoints, 0), 2 * labelled]).round(2)
    box = np.concatenate([low, high - low]).round(2).tolist()
    return dict(
        keypoints=rows.ravel().tolist(), num_keypoints=int(labelled.sum()), bbox=box, area=box[2] * box[3], iscrowd=0
    )
