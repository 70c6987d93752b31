from collections.abc import Sequence
from typing import TYPE_CHECKING

import cv2
import numpy as np

from ..images import read_image
from ..keypoint_names import mirrored

if TYPE_CHECKING:
    from mmpose.structures import PoseDataSample

# colours of Okabe and Ito, which colour-blind readers tell apart, RGB
SIDE_COLOURS = dict(left=(230, 159, 0), right=(86, 180, 233), middle=(240, 240, 240))
FAINTEST = 0.4  # opacity of a keypoint of score 0: what a weak model finds is to be seen too


def keypoint_sides(metainfo: dict) -> list[str]:
    """Return ``'left'``, ``'right'`` or ``'middle'`` for each of the K keypoints, from flip pairs and names.

    MMPose's own colours do not tell them apart: in AP-10K's metainfo left and right paws are both green.

    Args:
        metainfo (dict): The data set's, with ``flip_indices`` and ``keypoint_id2name``.
    """
    names = [metainfo['keypoint_id2name'][index].lower() for index in range(metainfo['num_keypoints'])]
    sides = []
    for name, other in zip(names, (names[index] for index in metainfo['flip_indices'])):
        other = mirrored(name) if other == name else other  # asked for without the one of the other side
        letters = next(((a, b) for a, b in zip(name, other) if a != b), None)  # L_Eye, R_Eye: ('l', 'r')
        sides.append({('l', 'r'): 'left', ('r', 'l'): 'right'}.get(letters, 'middle'))
    return sides


def draw_pose(
    image: np.ndarray,
    keypoints: np.ndarray,
    metainfo: dict,
    visible: np.ndarray | None = None,
    scores: np.ndarray | None = None,
    radius: int | None = None,
) -> np.ndarray:
    """Return the image with a skeleton over it, edged in black: left orange, right blue, the middle white.

    Args:
        image (np.ndarray): (H, W, 3), uint8, RGB. It is not changed.
        keypoints (np.ndarray): (K, 2), (x, y) in pixels of the image.
        metainfo (dict): The data set's, with ``skeleton_links``, ``flip_indices`` and ``keypoint_id2name``.
        visible (np.ndarray, optional): (K,), true for the keypoints to draw. Defaults to None, all of them.
        scores (np.ndarray, optional): (K,), the less certain a keypoint is, the fainter: from 1, opaque, to 0, of the
            opacity ``FAINTEST``. Defaults to None, all of them opaque.
        radius (int, optional): Of a keypoint, in pixels; lines are as wide. Defaults to None, a 60th of the pose.

    Returns:
        np.ndarray: (H, W, 3), uint8, RGB.
    """
    visible = np.isfinite(keypoints).all(1) & (True if visible is None else np.asarray(visible, bool))
    if not visible.any():
        return image.copy()
    certain = np.ones(len(keypoints)) if scores is None else np.clip(np.asarray(scores, float), 0, 1)
    opacity = 255 * (FAINTEST + (1 - FAINTEST) * certain)
    sides = keypoint_sides(metainfo)
    radius = radius or max(2, round(np.ptp(keypoints[visible], axis=0).max() / 60))
    points = [tuple(map(int, point)) for point in np.where(visible[:, None], keypoints, 0).round()]
    links = [link for link in metainfo['skeleton_links'] if visible[link[0]] and visible[link[1]]]
    colour, mask = image.copy(), np.zeros(image.shape[:2], np.uint8)  # what is drawn, and how opaque it is

    for start, end in links:
        cv2.line(colour, points[start], points[end], (0, 0, 0), radius + 4)
        cv2.line(mask, points[start], points[end], min(opacity[start], opacity[end]), radius + 2, cv2.LINE_AA)
    for start, end in links:
        named = {sides[start], sides[end]} - {'middle'}
        side = named.pop() if len(named) == 1 else 'middle'
        cv2.line(colour, points[start], points[end], SIDE_COLOURS[side], radius, cv2.LINE_AA)
    for index in np.flatnonzero(visible):
        cv2.circle(colour, points[index], radius + 2, (0, 0, 0), -1)
        cv2.circle(colour, points[index], radius, SIDE_COLOURS[sides[index]], -1, cv2.LINE_AA)
        cv2.circle(mask, points[index], radius + 1, opacity[index], -1, cv2.LINE_AA)
    drawn, result = mask > 0, image.copy()  # of a large photograph, all of it in floats would take a gigabyte
    weight = mask[drawn, None] / np.float32(255)
    result[drawn] = (image[drawn] + (colour[drawn].astype(np.float32) - image[drawn]) * weight).round()
    return result


def draw_names(image: np.ndarray, keypoints: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """Return the image with the names of keypoints beside them.

    Args:
        image (np.ndarray): (H, W, 3), uint8, RGB. It is not changed.
        keypoints (np.ndarray): (P, 2), (x, y) in pixels of the image.
        names (Sequence[str]): P names. OpenCV's fonts have ASCII alone, ? stands for others.
    """
    drawn, size = image.copy(), max(image.shape[:2]) / 1600 + 0.2
    for (x, y), name in zip(keypoints.round().astype(int).tolist(), names):
        place = (x + round(12 * size), y + round(8 * size))
        for colour, thickness in (((0, 0, 0), 3), ((255, 255, 255), 1)):
            cv2.putText(drawn, name, place, cv2.FONT_HERSHEY_SIMPLEX, size, colour, thickness, cv2.LINE_AA)
    return drawn


def crop_animal(sample: 'PoseDataSample', size: int) -> tuple[np.ndarray, np.ndarray]:
    """Cut out what the network sees of an animal, at a size of its own.

    Args:
        sample (PoseDataSample): Of a test pipeline, with ``img_path``, ``input_center``, ``input_scale`` and
            ``input_size``.
        size (int): Width of the crop, in pixels; its height follows from the network input.

    Returns:
        tuple[np.ndarray, np.ndarray]: The crop (height, size, 3), uint8, RGB, and the affine map (2, 3) from pixels of
        the image to pixels of the crop.

    Raises:
        FileNotFoundError, ValueError: If the image is not there, or cannot be read.
    """
    from mmpose.structures.bbox import get_warp_matrix  # with torch, which drawing poses does not need

    meta = sample.metainfo
    image = read_image(meta['img_path'])
    shape = (size, round(size * meta['input_size'][1] / meta['input_size'][0]))
    matrix = get_warp_matrix(meta['input_center'], meta['input_scale'], 0, shape)
    return cv2.warpAffine(image, matrix, shape, flags=cv2.INTER_CUBIC), matrix


def labelled_keypoints(sample: 'PoseDataSample') -> np.ndarray:
    """Return which keypoints of a sample have a ground truth, (K,), bool."""
    return sample.gt_instances.keypoints_visible[0].reshape(len(sample.gt_instances.keypoints[0]), -1)[:, 0] > 0
