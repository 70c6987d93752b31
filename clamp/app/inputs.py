from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from ..images import is_heic, open_image, read_image
from ..inference import check_boxes, clip_box

MIN_SIDE, MAX_PIXELS = 16, 50_000_000  # of an image that is taken
MAX_TEXTS, MAX_CHARACTERS = 100, 200


def read_upload(path: str | None) -> np.ndarray:
    """Return an image as (H, W, 3), uint8, RGB.

    Raises:
        ValueError: If there is none, it cannot be decoded, or its size is not taken.
    """
    if path is None:
        raise ValueError('There is no image yet: drop one, or take the example.')
    name = Path(path).name
    try:
        with open_image(path) as header:  # the size alone: a file of a few kB may hold gigabytes of pixels
            width, height = header.size
        fits = min(width, height) >= MIN_SIDE and width * height <= MAX_PIXELS
        image = read_image(path) if fits else None
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        if is_heic(path):
            raise ValueError(f'{name} is HEIC: save it as JPEG, or install pillow-heif.') from error
        raise ValueError(f'{name} cannot be read: it is broken, no image, or far too large.') from error
    if image is None:
        raise ValueError(
            f'{name} has {width}x{height} pixels. Each side should have at least {MIN_SIDE}, and all together at most '
            f'{MAX_PIXELS // 10**6} million.'
        )
    return image


def read_box(numbers: Sequence[float | None], image: np.ndarray) -> np.ndarray:
    """Return a box (1, 4): x, y, width, height, in pixels.

    Raises:
        ValueError: If a number is missing, or the box is empty or outside the image.
    """
    if None in numbers or min(numbers[2:]) <= 0:
        raise ValueError('The box is empty: x, y, width and height should be numbers, the last two above 0.')
    boxes = check_boxes([numbers])
    clip_box(boxes[0], *image.shape[1::-1])
    return boxes


def read_texts(text: str) -> list[str]:
    """Return the texts of some lines, each once.

    Raises:
        ValueError: If there is none, or there are too many, or one is too long.
    """
    texts = list(dict.fromkeys(filter(None, map(str.strip, text.splitlines()))))
    if not 1 <= len(texts) <= MAX_TEXTS:
        raise ValueError(f'There are {len(texts)} keypoint names. Write between 1 and {MAX_TEXTS}, one a line.')
    longest = max(texts, key=len)
    if len(longest) > MAX_CHARACTERS:
        raise ValueError(f'{longest[:40]}... has {len(longest)} characters. {MAX_CHARACTERS} are the most.')
    return texts
