"""What a predictor takes and gives: images, boxes of animals, poses. Nothing of torch or MMPose is in it."""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
import PIL.Image

from ..images import read_image, to_rgb

Image = np.ndarray | PIL.Image.Image | str | os.PathLike


@dataclass(frozen=True)
class Pose:
    """One animal of an image.

    Attributes:
        box (np.ndarray): (4,), the box asked for: x, y, width, height, in pixels of the image.
        keypoints (np.ndarray): (K, 2), (x, y) in pixels of the image, in the order of the predictor's
            ``keypoint_names``.
        scores (np.ndarray): (K,), the heatmaps' maxima.
    """

    box: np.ndarray
    keypoints: np.ndarray
    scores: np.ndarray

    @property
    def score(self) -> float:
        """Score of the animal as MMPose's CocoMetric computes it: the mean of the keypoints' scores above 0.2, or 0."""
        certain = self.scores[self.scores > 0.2]
        return float(certain.mean()) if len(certain) else 0.0


def animals(images: Sequence[Image], boxes: Sequence | None) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Yield of each animal of some images: the image's index, the pixels (H, W, 3), uint8, RGB, and the box (4,).

    Args:
        images (Sequence[np.ndarray | Image | str]): RGB images (H, W, 3), uint8, Pillow's images, or paths.
        boxes (Sequence[np.ndarray], optional): For each image its animals' boxes (N, 4). None, for an image or for
            all, takes the whole image as one box.

    Raises:
        FileNotFoundError, ValueError: If an image cannot be read, or an array or a box is malformed.
    """
    if boxes is not None and len(boxes) != len(images):
        raise ValueError(f'There are {len(images)} images, but boxes of {len(boxes)}: give one entry for each.')
    for index, image in enumerate(images):
        pixels = load_image(image)
        height, width = pixels.shape[:2]
        for box in check_boxes([[0, 0, width, height]] if boxes is None or boxes[index] is None else boxes[index]):
            yield index, pixels, box


def batched(items: Iterable, size: int) -> Iterator[list]:
    """Yield lists of ``size`` items, the last one of fewer.

    Raises:
        ValueError: If the size is below 1.
    """
    if size < 1:
        raise ValueError(f'batch_size is {size}, but should be 1 or more.')
    items = iter(items)
    while batch := list(islice(items, size)):
        yield batch


def check_list(images: Iterable[Image]) -> list[Image]:
    """Return the images as a list.

    Raises:
        ValueError: If it is one image: a path is a sequence too, and so is an array.
    """
    if isinstance(images, PIL.Image.Image | str | os.PathLike) or getattr(images, 'ndim', 4) == 3:
        raise ValueError('images should be a list: predictor([image]), and boxes=[[box]] for the box of one animal.')
    return list(images)


def load_image(image: Image) -> np.ndarray:
    """Return an array, an image of Pillow or that of a path as (H, W, 3), uint8, RGB.

    Raises:
        FileNotFoundError, ValueError: If it cannot be read, is no image, or is an array of another kind.
    """
    if isinstance(image, np.ndarray):
        return check_image(image)
    if isinstance(image, PIL.Image.Image):
        return to_rgb(image)
    if isinstance(image, str | os.PathLike):
        return read_image(image)
    raise ValueError(f"An image should be a path, an array or Pillow's, but is a {type(image).__name__}.")


def check_image(image: np.ndarray) -> np.ndarray:
    """Return the image.

    Raises:
        ValueError: If it is not (H, W, 3), uint8.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or not image.size:
        raise ValueError(f'An image should be (H, W, 3), uint8, RGB, but is {image.shape}, {image.dtype}.')
    return image


def check_boxes(boxes: Sequence) -> np.ndarray:
    """Return boxes as an array (N, 4).

    Raises:
        ValueError: If they are no (N, 4), or one is empty.
    """
    array = np.asarray(boxes, float)
    if array.size == 0:
        return array.reshape(0, 4)
    if array.ndim != 2 or array.shape[1] != 4 or not np.isfinite(array).all() or (array[:, 2:] <= 0).any():
        raise ValueError(f'Boxes should be (N, 4): x, y, width, height, both sizes positive, but are {boxes}.')
    return array


def clip_box(box: np.ndarray, width: int, height: int) -> np.ndarray:
    """Return the corners of a box within an image, (4,): x1, y1, x2, y2, as MMPose's data sets clip it.

    Args:
        box (np.ndarray): (4,): x, y, width, height, in pixels.
        width, height (int): Of the image.

    Raises:
        ValueError: If the box is outside the image.
    """
    corners = np.concatenate([box[:2], box[:2] + box[2:]]).clip(0, [width - 1, height - 1] * 2)
    if (corners[2:] <= corners[:2]).any():
        raise ValueError(
            f'The box {np.asarray(box).tolist()} (x, y, width, height) is outside the image of {width}x{height}.'
        )
    return corners
