"""Image files as arrays, turned as their EXIF entry says, and their sizes."""

import contextlib
import os
from collections.abc import Callable, Iterable

import cv2
import numpy as np
from PIL import Image, ImageOps
from tqdm.contrib.concurrent import thread_map

Image.MAX_IMAGE_PIXELS = 2**29  # Pillow refuses twice as many, as OpenCV does: an orthophoto is no attack
ORIENTATION = 0x0112  # of EXIF; from 5 on, the image lies on its side


def decode(path: str | os.PathLike, flags: int = cv2.IMREAD_COLOR) -> np.ndarray | None:
    """Return an image as OpenCV decodes it, uint8, (H, W, 3) BGR or as ``flags`` say; None if it cannot or will not.

    Raises:
        OSError: If the file cannot be opened.
    """
    content = np.fromfile(path, np.uint8)  # cv2.imread crashes on a name that is no UTF-8
    try:
        return cv2.imdecode(content, flags) if content.size else None
    except cv2.error:  # a size that a damaged header claims
        return None


def read_image(path: str | os.PathLike) -> np.ndarray:
    """Return an image as (H, W, 3), uint8, RGB, turned as its EXIF entry says.

    Raises:
        FileNotFoundError: If it is not there.
        ValueError: If it cannot be decoded.
    """
    if not os.path.isfile(path):
        raise FileNotFoundError(f'The image {os.fspath(path)} is not there (from {os.path.abspath(".")}).')
    if (image := decode(path)) is not None:
        return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
    if not is_heic(path):
        raise ValueError(f'{os.fspath(path)} cannot be read as an image.')
    with open_image(path) as heic:
        return to_rgb(heic)


def open_image(path: str | os.PathLike) -> Image.Image:
    """Open an image by Pillow, which does not decode it yet; HEIC too, where pillow-heif is installed.

    Raises:
        ValueError: If it is HEIC, and pillow-heif is not installed or does not read it.
        OSError: If it is no image, as Pillow says it.
    """
    with contextlib.suppress(ImportError):
        from pillow_heif import register_heif_opener

        register_heif_opener()
    try:
        return Image.open(path)
    except OSError as error:
        if is_heic(path):
            raise ValueError(f'{os.fspath(path)} is HEIC: pip install pillow-heif, or save it as JPEG.') from error
        raise


def is_heic(path: str | os.PathLike) -> bool:
    """Whether a file begins as HEIC images do, whatever its name ends in."""
    with open(path, 'rb') as file:
        return file.read(12)[4:] in (b'ftypheic', b'ftypheix', b'ftyphevc', b'ftypmif1', b'ftypmsf1')


def to_rgb(image: Image.Image) -> np.ndarray:
    """Return an image of Pillow as (H, W, 3), uint8, RGB, turned as its EXIF entry says; of 16 bits the upper 8.

    Raises:
        ValueError: If its values are 32 bits wide, of which nobody knows what is white.
    """
    image = ImageOps.exif_transpose(image)
    if image.mode in ('I', 'F'):
        raise ValueError(f'An image of Pillow has the mode {image.mode}, 32 bits a pixel: scale it to 0..255, uint8.')
    if image.mode.startswith('I;16'):  # which Pillow would cut off at 255
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    return np.array(image.convert('RGB'))


def image_size(path: str | os.PathLike) -> tuple[int, int] | None:
    """Return an image's width and height in pixels as OpenCV, and so MMPose, loads it; None if it cannot be read."""
    try:
        with Image.open(path) as image:
            lies = image.getexif().get(ORIENTATION, 1) >= 5
            # a TIFF's size is that of the turned image already, and an AVIF is not turned
            return image.size[::-1] if lies and image.format not in ('TIFF', 'AVIF') else image.size
    except Exception:  # of any kind, as broken files are
        return None


def map_images(function: Callable, *arguments: Iterable, desc: str) -> list:
    """Return what a function returns for each of many images, on up to eight threads, with a bar on a terminal."""
    threads = min(8, os.cpu_count() or 1)
    return thread_map(function, *arguments, max_workers=threads, desc=desc, disable=None, leave=False)
