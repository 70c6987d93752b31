"""Prepared crops: how far training can see around an animal and how closely, and its annotation in such a crop.

``tools/build_crops.py`` cuts them. Everything here is in pixels of the image, (x, y), whole numbers at pixel centres.
"""

from dataclasses import dataclass
from typing import NamedTuple

import cv2
import mmpose.datasets.transforms as mmpose_transforms
import numpy as np
from mmpose.registry import TRANSFORMS

# Transforms that leave geometry alone, or whose reach is known
KNOWN = ('LoadImage', 'GetBBoxCenterScale', 'RandomFlip', 'RandomHalfBody', 'RandomBBoxTransform', 'TopdownAffine')


class Crop(NamedTuple):
    """A part of an image: ``left``, ``top`` in its pixels, ``width``, ``height`` in the crop's, and crop pixels per
    image pixel, at most 1."""

    left: int
    top: int
    width: int
    height: int
    scale: float

    def cut(self, image: np.ndarray) -> np.ndarray:
        """Cut the crop from an image (H, W, 3): a plain copy at scale 1, else bilinear, black outside, as MMPose's
        ``TopdownAffine``."""
        if self.scale == 1:
            return image[self.top : self.top + self.height, self.left : self.left + self.width]
        to_crop = np.array([[self.scale, 0, -self.scale * self.left], [0, self.scale, -self.scale * self.top]])
        return cv2.warpAffine(image, to_crop, (self.width, self.height), flags=cv2.INTER_LINEAR)


@dataclass
class Augmentation:
    """What a train pipeline does to an animal's box until ``TopdownAffine`` cuts it out.

    Args:
        input_size (tuple[int, int]): (W, H) of the network input.
        padding (float): Of ``GetBBoxCenterScale``.
        half_body (RandomHalfBody, optional): The transform.
        shift_factor (float): The largest shift, as a part of the padded box.
        scale_factor (tuple[float, float]): The closest and the widest view, as factors of the padded box.
        rotate_factor (float): The largest rotation, in degrees.
        flip (bool): Whether images are mirrored, in which the halves of a body have the mirrored keypoints.
    """

    input_size: tuple[int, int]
    padding: float = 1.25
    half_body: mmpose_transforms.RandomHalfBody | None = None
    shift_factor: float = 0.0
    scale_factor: tuple[float, float] = (1.0, 1.0)
    rotate_factor: float = 0.0
    flip: bool = False

    @classmethod
    def from_pipeline(cls, pipeline: list[dict]) -> 'Augmentation':
        """Read it off the configs of a train pipeline.

        Raises:
            ValueError: If a transform before ``TopdownAffine`` may move the box in ways that are not known here.
        """
        options = {}
        for transform in map(TRANSFORMS.build, pipeline):
            names = [base.__name__ for base in type(transform).__mro__]  # our own transforms are MMPose's subclasses
            if not set(names) & set(KNOWN):
                raise ValueError(
                    f'How far {names[0]} lets training see is not known; known are {", ".join(KNOWN)} and what comes '
                    'after TopdownAffine. Put it behind TopdownAffine, or train on the images as they are.'
                )
            if 'GetBBoxCenterScale' in names:
                options['padding'] = transform.padding
            elif 'RandomFlip' in names:
                options['flip'] = True
            elif 'RandomHalfBody' in names:
                options['half_body'] = transform
            elif 'RandomBBoxTransform' in names:
                smallest, largest = transform.scale_factor
                if transform.scale_prob < 1:
                    smallest, largest = min(smallest, 1.0), max(largest, 1.0)
                options['shift_factor'], options['rotate_factor'] = transform.shift_factor, transform.rotate_factor
                options['scale_factor'] = (smallest, largest)
            elif 'TopdownAffine' in names:
                return cls(input_size=tuple(transform.input_size), **options)
        raise ValueError('The train pipeline has no TopdownAffine: crops are for top-down models.')

    def boxes(self, sample: dict) -> list[tuple[np.ndarray, np.ndarray]]:
        """The centres (2,) and padded sizes (2,) of the boxes that one animal can have before they are moved.

        Args:
            sample (dict): MMPose's, with ``bbox`` (1, 4) x1, y1, x2, y2, ``keypoints`` (1, K, 2) and
                ``keypoints_visible`` (1, K), and, for half bodies, ``upper_body_ids``, ``lower_body_ids`` and
                ``flip_indices``.
        """
        low, high = sample['bbox'][0].reshape(2, 2).astype(np.float64)
        boxes = [((low + high) / 2, (high - low) * self.padding)]
        visible, half = sample['keypoints_visible'][0], self.half_body
        if half and visible.sum() >= half.min_total_keypoints:
            for part, minimum in (('upper', half.min_upper_keypoints), ('lower', half.min_lower_keypoints)):
                halves = {frozenset(sample[f'{part}_body_ids'])}
                if self.flip:  # AP-10K's upper body has the left front paw alone
                    halves.add(frozenset(sample['flip_indices'][i] for i in sample[f'{part}_body_ids']))
                for ids in ([i for i in sorted(each) if visible[i] > 0] for each in halves):
                    if len(ids) >= minimum:
                        boxes.append(half._get_half_body_bbox(sample['keypoints'][0], ids))
        return boxes

    def crop(self, sample: dict, image_size: tuple[int, int]) -> Crop:
        """The crop that holds all that training can see of an animal, with the pixels of its closest view.

        Args:
            sample (dict): As for :meth:`boxes`.
            image_size (tuple[int, int]): (W, H).
        """
        size, widest = np.array(self.input_size), self.scale_factor[1]
        angle = np.minimum(np.deg2rad(self.rotate_factor), np.arctan2(size[::-1], size))  # at which it reaches furthest
        corner = (size * np.cos(angle) + size[::-1] * np.sin(angle)) / 2  # of the turned network input, in its pixels
        low, high = sample['bbox'][0].reshape(2, 2)  # the box itself stays whole: the loader clips it to its image
        finest = np.inf
        for centre, scale in self.boxes(sample):
            step = np.max(scale / size)  # image pixels per network pixel, before the box is scaled
            reach = widest * step * corner + self.shift_factor * scale
            low, high = np.minimum(low, centre - reach), np.maximum(high, centre + reach)
            finest = min(finest, self.scale_factor[0] * step)
        last = np.array(image_size) - 1
        left, top = np.clip(np.floor(low).astype(int) - 1, 0, last).tolist()
        right, bottom = np.clip(np.ceil(high).astype(int) + 1, 0, last).tolist()  # these pixels included
        scale = 1 / max(1.0, float(finest))
        width, height = (int(np.ceil(length * scale - 1e-9)) + 1 for length in (right - left, bottom - top))
        return Crop(left, top, width, height, scale)


def crop_annotation(sample: dict, crop: Crop, file_name: str) -> tuple[dict, dict]:
    """An animal as COCO's image and annotation in its crop.

    Args:
        sample (dict): MMPose's, with ``bbox`` as it clipped it to the image, ``id`` and ``raw_ann_info``.
        crop (Crop): Where the animal is cut out.
        file_name (str): The crop's file.

    Returns:
        tuple[dict, dict]: The image, whose id is the annotation's, and the annotation, whose box, keypoints and area
        are in pixels of the crop. Unlabelled keypoints stay as they are; a segmentation is left out.
    """
    raw = sample['raw_ann_info']
    low, high = (sample['bbox'][0].astype(np.float64).reshape(2, 2) - (crop.left, crop.top)) * crop.scale
    keypoints = np.array(raw['keypoints'], dtype=np.float64).reshape(-1, 3)
    labelled = keypoints[:, 2] > 0
    keypoints[labelled, :2] = (keypoints[labelled, :2] - (crop.left, crop.top)) * crop.scale
    image = dict(id=raw['id'], file_name=file_name, width=crop.width, height=crop.height, source_id=raw['image_id'])
    annotation = {key: value for key, value in raw.items() if key != 'segmentation'}
    annotation |= dict(
        image_id=raw['id'], bbox=[*low.tolist(), *(high - low).tolist()], keypoints=keypoints.ravel().tolist()
    )
    if 'area' in raw:
        annotation['area'] = raw['area'] * crop.scale**2
    return image, annotation
