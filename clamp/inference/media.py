"""Images and videos as one stream of frames."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from PIL import Image

from ..images import read_image

if TYPE_CHECKING:
    from .sources import CocoBoxes

IMAGES = ('.jpg', '.jpeg', '.png', '.bmp', '.webp', '.tif', '.tiff', '.avif', '.heic', '.heif')
STREAMS = ('.mpg', '.mpeg', '.mts', '.m2ts', '.mkv', '.webm', '.wmv')  # they do not say how many frames they have
PAGED = ('.tif', '.tiff', '.webp')
VIDEOS = ('.mp4', '.avi', '.mov', '.m4v', '.3gp', *STREAMS)
OTHERS = ('.gif', '.jp2', '.dng', '.cr2', '.cr3', '.nef', '.arw', '.raf', '.orf', '.psd', '.svg', '.flv', '.ogv')


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

    @property
    def picture(self) -> str:
        """What its pictures are called: videos become .mp4, images that OpenCV reads and does not write .png."""
        suffix = self.path.suffix.lower()
        if self.is_video:
            return self.name if suffix == '.mp4' else f'{self.name}.mp4'
        return self.name if cv2.haveImageWriter(f'_{suffix}') else f'{self.name}.png'


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


def count_frames(sources: Sequence[Source]) -> int:
    """Return how many frames there are, as far as the videos say."""
    videos = [source.path for source in sources if source.is_video]
    return len(sources) - len(videos) + sum(_declared_frames(_open_video(path)) for path in videos if is_utf8(path))


def is_utf8(path: Path) -> bool:
    """Whether a file's name can be given to OpenCV, which crashes on others."""
    return not any('\ud800' <= character <= '\udfff' for character in str(path))


def read_frames(sources: Sequence[Source], skipped: list[str], boxes: 'CocoBoxes | None' = None) -> Iterator[Frame]:
    """Read one frame after the other.

    Args:
        sources (Sequence[Source]): The files.
        skipped (list[str]): What cannot be read is named here.
        boxes (CocoBoxes, optional): Gives the frames their boxes and ids.
    """
    image_id = 0
    for source in sources:
        seen = 0
        try:
            for number, rate, image in _read_video(source.path) if source.is_video else _read_still(source.path):
                frame = Frame(source, image, image_id, number, rate)
                if boxes is not None:
                    frame.image_id, frame.boxes, frame.category_ids = boxes.of(source.path, number)
                yield frame
                image_id += 1
                seen += 1
        except (OSError, ValueError) as error:
            text = str(error)
            skipped.append(text if str(source.path) in text else f'{source.path}: {text}')
        if seen and (pages := count_pages(source.path)) > 1:
            skipped.append(f'{source.path} has {pages} pages or frames: the first alone is read')
        if boxes is not None and (beyond := boxes.beyond(source.path, seen)):
            skipped.append(f'{source.path} has {seen} frames, but {boxes.path} has boxes of frame {beyond[0]}')


def _read_still(path: Path) -> Iterator[tuple[None, float, np.ndarray]]:
    yield None, 0.0, read_image(path)


def count_pages(path: Path) -> int:
    """Return how many images a file holds that may hold several, as its header says; 1 for others."""
    if path.suffix.lower() not in PAGED:
        return 1
    try:
        with Image.open(path) as image:
            return getattr(image, 'n_frames', 1)
    except (OSError, ValueError):  # what cannot be read is told by who reads it
        return 1


def _read_video(path: Path) -> Iterator[tuple[int, float, np.ndarray]]:
    video, number = _open_video(path), 0
    declared, rate = _declared_frames(video), _frame_rate(video.get(cv2.CAP_PROP_FPS))
    while (read := video.read())[0]:
        yield number, rate, cv2.cvtColor(read[1], cv2.COLOR_BGR2RGB)
        number += 1
    if not number:
        raise ValueError(f'{path} cannot be read as a video.')
    if number < declared and path.suffix.lower() not in STREAMS:
        raise ValueError(f'{path} ended after {number} of the {declared} frames that it declares: cut off, or trimmed.')


def _open_video(path: Path) -> cv2.VideoCapture:
    if not is_utf8(path):
        raise ValueError(f'{path} has a name that is no UTF-8, by which OpenCV opens no video: rename it.')
    return cv2.VideoCapture(os.path.abspath(path))  # FFmpeg takes what stands before a colon for a protocol


def frame_rate(path: Path) -> float:
    """Return the frames per second of a video; 25 where it says none."""
    return _frame_rate(_open_video(path).get(cv2.CAP_PROP_FPS))


def _frame_rate(rate: float) -> float:
    return rate if 0.01 <= rate <= 1e5 else 25.0  # NaN is not


def _declared_frames(video: cv2.VideoCapture) -> int:
    return max(0, int(video.get(cv2.CAP_PROP_FRAME_COUNT)))
