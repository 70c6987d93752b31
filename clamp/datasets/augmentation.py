"""Two of MMPose's transforms that take longer than they need: the same values, in a fraction of the time."""

import cv2
import numpy as np
from mmpose.datasets.transforms import RandomBBoxTransform, TopdownAffine
from mmpose.registry import TRANSFORMS
from mmpose.structures.bbox import get_udp_warp_matrix, get_warp_matrix
from scipy.special import ndtr, ndtri


@TRANSFORMS.register_module()
class FastRandomBBoxTransform(RandomBBoxTransform):
    """MMPose's ``RandomBBoxTransform``, which draws its four normal numbers directly, from the same random numbers.

    MMPose's goes through :data:`scipy.stats.truncnorm`, whose checks of its arguments take longer than all the rest.
    """

    @staticmethod
    def _truncnorm(low: float = -1.0, high: float = 1.0, size: tuple = ()) -> np.ndarray:
        """Sample from a normal distribution cut off at ``low`` and ``high``, by the inverse of its CDF."""
        uniform = np.random.uniform(size=size)  # noqa: NPY002  the generator of MMPose's transforms
        return ndtri(ndtr(low) + uniform * (ndtr(high) - ndtr(low))).astype(np.float32)


@TRANSFORMS.register_module()
class FastTopdownAffine(TopdownAffine):
    """MMPose's ``TopdownAffine``, which mirrors a flipped image while it cuts the animal out.

    ``RandomFlip`` makes a view of the image that runs backwards in memory. OpenCV needs it the right way round, and
    copying it, pixel by pixel, takes longer than decoding the image.
    """

    def transform(self, results: dict) -> dict:
        """Cut out and resize the box.

        Args:
            results (dict): With ``img`` (H, W, 3) and one animal's ``bbox_center``, ``bbox_scale``, ``keypoints`` and,
                if it is rotated, ``bbox_rotation``.

        Returns:
            dict: ``img`` of the network's input size, ``transformed_keypoints`` (1, K, 2) in pixels of it, and
            ``input_size``, ``input_center``, ``input_scale``.
        """
        image, (width, height) = results['img'], self.input_size
        results['bbox_scale'] = self._fix_aspect_ratio(results['bbox_scale'], aspect_ratio=width / height)
        centre, scale = results['bbox_center'][0], results['bbox_scale'][0]
        rotation = results['bbox_rotation'][0] if 'bbox_rotation' in results else 0.0
        matrix = (get_udp_warp_matrix if self.use_udp else get_warp_matrix)(centre, scale, rotation, (width, height))
        results['transformed_keypoints'] = cv2.transform(results['keypoints'], matrix)
        if image.strides[1] < 0:
            image = image[:, ::-1]
            matrix = matrix @ [[-1, 0, image.shape[1] - 1], [0, 1, 0], [0, 0, 1]]
        results['img'] = cv2.warpAffine(image, matrix, (width, height), flags=cv2.INTER_LINEAR)
        return results | dict(input_size=(width, height), input_center=centre, input_scale=scale)
