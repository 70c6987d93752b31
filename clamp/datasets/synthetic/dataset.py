"""Writes the demo data: images and annotation files where AP-10K's are, complete or not at all."""

import json
import os
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import cv2
from tqdm import tqdm

from ...files import write_whole
from .body import KEYPOINT_NAMES
from .sample import SPLITS, generate_sample, image_id_of
from .species import SPECIES

SKELETON = (
    (1, 2), (1, 3), (2, 3), (3, 4), (4, 5), (4, 6), (6, 7), (7, 8), (4, 9), (9, 10), (10, 11), (5, 12), (12, 13),
    (13, 14), (5, 15), (15, 16), (16, 17),
)  # fmt: skip
DESCRIPTION = 'Drawn animals in the layout of AP-10K'
GENERATOR = 2  # to be raised whenever the same options give other pictures
MARKER = '.incomplete'


def generate_dataset(
    out: str | Path, num_train: int, num_val: int, seed: int = 0, force: bool = False, num_workers: int | None = None
) -> bool:
    """Write ``out/data/*.jpg`` and then ``out/annotations/ap10k-{train,val}-split1.json``.

    Args:
        force: Replace demo data made with other options, or make the same again.
        num_workers: Processes that draw, None for one per core; the files do not depend on it.

    Returns:
        False when ``out`` already held this data set and was left alone.

    Raises:
        FileExistsError: ``out`` holds something else, or demo data of other options and ``force`` is not given.
    """
    out, counts = Path(out), {'train': num_train, 'val': num_val}
    options = {'generator': GENERATOR, 'num_train': num_train, 'num_val': num_val, 'seed': seed}
    if not _claim(out, options, force):
        return False
    images, annotations = {split: [] for split in SPLITS}, {split: [] for split in SPLITS}
    jobs = [(split, index) for split, count in counts.items() for index in range(count)]
    made = _map(partial(_write_sample, out / 'data', seed), jobs, num_workers or os.cpu_count() or 1)
    interval = 0.1 if sys.stderr.isatty() else 10  # seconds: a log file needs few lines
    for (image, found), (split, _) in zip(tqdm(made, 'drawing', len(jobs), mininterval=interval), jobs):
        images[split].append(image)
        annotations[split] += found
    for split in SPLITS:
        coco = _coco(images[split], annotations[split], options)
        write_whole(_annotation_file(out, split), json.dumps(coco).encode())
    (out / MARKER).unlink()
    return True


def _map(function: Callable, jobs: list, num_workers: int) -> Iterator:
    """``map(function, jobs)`` over processes, in order."""
    if num_workers == 1:
        yield from map(function, jobs)
        return
    context = get_context('fork') if sys.platform == 'linux' else None  # a forked worker imports nothing again
    # each worker has a core to itself, so OpenCV gets no threads in it
    with ProcessPoolExecutor(num_workers, context, initializer=cv2.setNumThreads, initargs=(0,)) as pool:
        try:
            yield from pool.map(function, jobs, chunksize=8)
        finally:
            pool.shutdown(cancel_futures=True)


def _write_sample(folder: Path, seed: int, job: tuple[str, int]) -> tuple[dict, list]:
    """Draw and save one image: its entry in the annotation file, and its annotations."""
    image, annotations = generate_sample(seed, *job)
    image_id = image_id_of(*job)
    path = folder / f'{image_id:012d}.jpg'
    if not cv2.imwrite(str(path), image, [cv2.IMWRITE_JPEG_QUALITY, 70 + image_id % 26]):
        raise OSError(f'cannot write {path}')
    height, width = image.shape[:2]
    entry = {'license': 1, 'id': image_id, 'file_name': path.name, 'width': width, 'height': height, 'background': 1}
    return entry, annotations


def _annotation_file(out: Path, split: str) -> Path:
    return out / 'annotations' / f'ap10k-{split}-split1.json'


def _coco(images: list, annotations: list, options: dict) -> dict:
    """AP-10K's annotation file; its ``info`` records the options, so that a data set can be told from another."""
    info = {'description': DESCRIPTION, 'url': '', 'version': '1.0', 'year': 2026, 'contributor': 'CLAMP'}
    licenses = [{'id': 1, 'name': 'Apache License 2.0', 'url': 'https://www.apache.org/licenses/LICENSE-2.0'}]
    points = {'keypoints': KEYPOINT_NAMES, 'skeleton': SKELETON}
    categories = [
        {'id': spec.category_id, 'name': spec.name, 'supercategory': spec.family, **points}
        for spec in sorted(SPECIES, key=lambda spec: spec.category_id)
    ]
    return {
        'info': {**info, 'options': options},
        'licenses': licenses,
        'images': images,
        'annotations': annotations,
        'categories': categories,
    }


def _options_of(out: Path) -> dict | None:
    """The options a complete demo data set at ``out`` was made with, or None when there is none."""
    infos = []
    for split in SPLITS:
        try:
            info = json.loads(_annotation_file(out, split).read_text())['info']
        except (OSError, ValueError, KeyError):
            return None
        infos.append(info.get('options') if info.get('description') == DESCRIPTION else None)
    return infos[0] if infos[0] == infos[1] else None


def _claim(out: Path, options: dict, force: bool) -> bool:
    """Make ``out`` ready to be written to; False when it already holds this very data set.

    A marker file, there from before the first image until after the last annotation file, tells an interrupted run of
    ours, which may be started over, from somebody else's files, which may not be touched.
    """
    marker, found = out / MARKER, _options_of(out)
    interrupted = marker.exists()
    if found == options and not force and not interrupted:
        return False
    if out.exists() and not interrupted:
        if found is None and (not out.is_dir() or any(out.iterdir())):
            raise FileExistsError(f'{out} holds something other than the demo data; choose another folder')
        if found is not None and not force:
            raise FileExistsError(f'{out} holds demo data made with {found}, not {options}; add --force to replace it')
    for folder in ('annotations', 'data'):
        (out / folder).mkdir(parents=True, exist_ok=True)
    marker.write_text('An unfinished run; make the demo data again.\n')
    for split in SPLITS:
        _annotation_file(out, split).unlink(missing_ok=True)
    for image in (out / 'data').glob('[0-9]' * 12 + '.jpg'):
        image.unlink()
    return True
