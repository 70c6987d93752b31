"""Images and videos as one stream of frames, and boxes for them from a COCO file."""

import glob
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from ..datasets.coco import read_boxes

IMAGES = ('.jpg', '.jpeg', '.png', '.bmp', '.webp', '.tif', '.tiff')
VIDEOS = ('.mp4', '.avi', '.mov', '.mkv', '.webm', '.m4v')


@dataclass(frozen=True)
class Source:
    """An image file or a video file.

    Attributes:
        path (Path): The file.
        name (str): What it is called in the results: its path within the folder that was given, else the file's name.
    """

    path: Path
    name: str

    @property
    def is_video(self) -> bool:
        return self.path.suffix.lower() in VIDEOS


@dataclass
class Frame:
    """An image, or a frame of a video.

    Attributes:
        source (Source): Where it is from.
        image (np.ndarray): (H, W, 3), uint8, RGB.
        image_id (int): In COCO's sense: the COCO file's, else the frames are counted from 0.
        number (int, optional): Of the frame in its video, from 0. None for an image.
        rate (float): Of the video, in frames per second.
        boxes (np.ndarray, optional): (N, 4), x, y, width, height, in pixels. None as long as nobody has said.
        category_ids (list[int]): Of the N animals, where a COCO file says.
    """

    source: Source
    image: np.ndarray
    image_id: int
    number: int | None = None
    rate: float = 0.0
    boxes: np.ndarray | None = None
    category_ids: list[int] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.source.name if self.number is None else f'{self.source.name}, frame {self.number}'


class CocoBoxes:
    """The boxes of a COCO annotation file, found by the path of an image.

    Args:
        path (str): The file.

    Raises:
        FileNotFoundError: If it is not there.
        ValueError: If an image or a box of it cannot be used.
    """

    def __init__(self, path: str):
        self.path = path
        coco = read_boxes(path)
        by_id: dict[int, list] = {image['id']: [] for image in coco['images']}
        for annotation in coco['annotations']:
            by_id[annotation['image_id']].append((annotation['bbox'], annotation.get('category_id', 1)))
        self.by_name = {image['file_name']: (image['id'], by_id[image['id']]) for image in coco['images']}

    def __contains__(self, path: Path) -> bool:
        return self._key(path) is not None

    def __getitem__(self, path: Path) -> tuple[int, list, list[int]]:
        """Return the image's id, its boxes (N, 4) and their N categories."""
        image_id, animals = self.by_name[self._key(path)]
        return image_id, [box for box, _ in animals], [category for _, category in animals]

    def _key(self, path: Path) -> str | None:
        parts = path.absolute().parts  # the file_name of a COCO file may begin at any folder
        return next((key for i in range(len(parts)) if (key := '/'.join(parts[i:])) in self.by_name), None)


def read_image(path: str | os.PathLike) -> np.ndarray:
    """Return an image as (H, W, 3), uint8, RGB, turned as its EXIF entry says.

    Raises:
        FileNotFoundError: If it is not there.
        ValueError: If it cannot be decoded.
    """
    if not os.path.isfile(path):
        raise FileNotFoundError(f'The image {os.fspath(path)} is not there (from {os.path.abspath(".")}).')
    content = np.fromfile(path, np.uint8)
    image = cv2.imdecode(content, cv2.IMREAD_COLOR) if content.size else None
    if image is None:
        raise ValueError(f'{os.fspath(path)} cannot be read as an image.')
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def find_sources(inputs: Sequence[str], boxes: CocoBoxes | None = None) -> list[Source]:
    """Return the images and videos that are meant, in the order of their names within each input.

    Args:
        inputs (Sequence[str]): Files, folders (with the folders in them) and patterns such as ``'photos/*.jpg'``.
        boxes (CocoBoxes, optional): If given, images that it does not name are left out.

    Raises:
        FileNotFoundError: If nothing is there.
        ValueError: If a file is neither image nor video by its suffix, or two have the same name.
    """
    sources: dict[str, Source] = {}
    for text in inputs:
        base = Path(text)
        if base.is_dir():
            found = [(path, path.relative_to(base)) for path in sorted(base.rglob('*')) if path.is_file()]
            found = [pair for pair in found if pair[0].suffix.lower() in IMAGES + VIDEOS]
        else:
            paths = [base] if base.is_file() else map(Path, sorted(glob.glob(text, recursive=True)))
            found = [(path, Path(path.name)) for path in paths if path.is_file()]
        if not found:
            raise FileNotFoundError(f'There is no image and no video at {text} (from {os.path.abspath(".")}).')
        for path, name in found:
            if path.suffix.lower() not in IMAGES + VIDEOS:
                raise ValueError(f'{path} is neither an image ({" ".join(IMAGES)}) nor a video ({" ".join(VIDEOS)}).')
            if sources.setdefault(str(name), Source(path, str(name))).path != path:
                raise ValueError(f'Two inputs would both be called {name}: {sources[str(name)].path}, {path}.')
    if boxes is None:
        return list(sources.values())
    named = [source for source in sources.values() if source.path in boxes]
    if not named:
        raise ValueError(f'{boxes.path} has boxes of none of the {len(sources)} inputs, such as {next(iter(sources))}.')
    return named


def count_frames(sources: Sequence[Source]) -> int:
    """Return how many frames there are, as far as the videos say."""
    return sum(_declared_frames(cv2.VideoCapture(str(source.path))) if source.is_video else 1 for source in sources)


def read_frames(sources: Sequence[Source], skipped: list[str], boxes: CocoBoxes | None = None) -> Iterator[Frame]:
    """Read one frame after the other.

    Args:
        sources (Sequence[Source]): The files.
        skipped (list[str]): What cannot be read is named here.
        boxes (CocoBoxes, optional): Gives the frames their boxes and ids.
    """
    image_id = 0
    for source in sources:
        try:
            for number, rate, image in _read_video(source.path) if source.is_video else _read_still(source.path):
                frame = Frame(source, image, image_id, number, rate)
                if boxes is not None:
                    frame.image_id, frame.boxes, frame.category_ids = boxes[source.path]
                yield frame
                image_id += 1
        except (FileNotFoundError, ValueError) as error:
            skipped.append(str(error))


def _read_still(path: Path) -> Iterator[tuple[None, float, np.ndarray]]:
    yield None, 0.0, read_image(path)


def _read_video(path: Path) -> Iterator[tuple[int, float, np.ndarray]]:
    video = cv2.VideoCapture(str(path))
    declared, rate, number = _declared_frames(video), video.get(cv2.CAP_PROP_FPS) or 25.0, 0
    while (read := video.read())[0]:
        yield number, rate, cv2.cvtColor(read[1], cv2.COLOR_BGR2RGB)
        number += 1
    if number < declared or not number:
        raise ValueError(f'{path} cannot be read to its end: {number} of {declared} frames.')


def _declared_frames(video: cv2.VideoCapture) -> int:
    return max(0, int(video.get(cv2.CAP_PROP_FRAME_COUNT)))
