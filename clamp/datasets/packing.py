import cv2
import numpy as np
import torch
from mmcv.transforms import BaseTransform, to_tensor
from mmpose.registry import TRANSFORMS


@TRANSFORMS.register_module()
class PackKeypointInputs(BaseTransform):
    """Pack one animal as three tensors, so that a batch is three tensors and three transfers to the device.

    It ends a training pipeline in place of MMPose's ``GenerateTarget`` and ``PackPoseInputs``: the data preprocessor
    draws the target heatmaps from the keypoints, on the device. The loader takes ``collate_fn=dict(type=
    'default_collate')``. Codecs whose targets are no heatmaps of single keypoints need MMPose's own two transforms.
    """

    def transform(self, results: dict) -> dict[str, torch.Tensor]:
        """Pack what ``TopdownAffine`` has left.

        Args:
            results (dict): With ``img`` (H, W, 3) uint8, ``transformed_keypoints`` (1, K, 2), (x, y) in pixels of the
                network input, and ``keypoints_visible`` (1, K), 0 = unlabelled, or, as MMPose's ``KeypointConverter``
                leaves it, (1, K, 2): the second is 1 for the keypoints that the animal's data set has. Where it has
                N of K, the weights of its labelled ones are K / N. The mean over K, as in ``KeypointMSELoss``, is then
                one over the N: a data set's loss does not depend on what others label.

        Returns:
            dict: ``inputs`` (3, H, W) uint8, ``keypoints`` (K, 2) float32, (x, y) in pixels of the network input, and
            ``keypoint_weights`` (K,) float32, 0 = unlabelled.
        """
        image = np.empty((3, *results['img'].shape[:2]), np.uint8)
        cv2.split(results['img'], list(image))  # into place: several times as fast as a transposed copy
        visible = results['keypoints_visible'][0]
        if visible.ndim == 2:
            visible = visible[:, 0] * (len(visible) / visible[:, 1].sum())
        return dict(
            inputs=to_tensor(image),
            keypoints=to_tensor(results['transformed_keypoints'][0].astype(np.float32)),
            keypoint_weights=to_tensor(visible.astype(np.float32)),
        )
