from collections.abc import Sequence

import cv2
import numpy as np

from ..onnx.graph import open_graph
from .pose import Image, Pose, animals, batched, check_list, clip_box


class ExportedPredictor:
    """Predict poses with an exported model alone, by ONNX Runtime on the CPU: without config, torch and MMPose.

    Args:
        path (str): What ``tools/export_onnx.py --decode`` wrote.

    Attributes:
        keypoint_names (list[str]): The K names: the prompts, if the model has them, else the data set's.
        metainfo (dict): What drawing and tracking read of MMPose's description of the keypoints.

    Raises:
        FileNotFoundError, ImportError: As :func:`clamp.onnx.graph.open_graph`.
        ValueError: If it is no such file.
    """

    def __init__(self, path: str):
        self.session, values = open_graph(path)
        if not values['decoded']:
            raise ValueError(
                f'{path} gives heatmaps alone: export it with --decode, or name the config before it, which says how '
                'they are decoded.'
            )
        names = values['keypoint_names']
        self.keypoint_names = values['prompts'] or names
        self.input_size = np.array(values['input_size'])  # (W, H)
        self.padding = values['padding']  # of a box
        self.metainfo = dict(
            num_keypoints=len(names),
            keypoint_id2name=dict(enumerate(names)),
            sigmas=np.array(values['sigmas']),
            **{key: values[key] for key in ('flip_indices', 'skeleton_links')},
        )

    def __call__(
        self, images: Sequence[Image], boxes: Sequence[np.ndarray | None] | None = None, batch_size: int = 32
    ) -> list[list[Pose]]:
        """Predict the poses of all animals of some images: see :meth:`PosePredictor.__call__`."""
        images = check_list(images)
        poses: list[list[Pose]] = [[] for _ in images]
        crops = ((index, box, *self._crop(pixels, box)) for index, pixels, box in animals(images, boxes))
        for batch in batched(crops, batch_size):
            pixels = np.stack([crop for *_, crop in batch]).transpose(0, 3, 1, 2)  # (B, 3, H, W)
            outputs = self.session.run(['keypoints', 'scores'], dict(images=pixels))
            for (index, box, corner, scale, _), keypoints, scores in zip(batch, *outputs):
                poses[index].append(Pose(box, keypoints * scale + corner, scores))
        return poses

    def _crop(self, image: np.ndarray, box: np.ndarray) -> tuple[np.ndarray, float, np.ndarray]:
        """Cut out what the network sees of an animal, as MMPose's ``GetBBoxCenterScale`` and ``TopdownAffine`` do.

        Returns:
            tuple[np.ndarray, float, np.ndarray]: Where its corner (x, y) is in the image, the size of its pixels in
            pixels of the image, and the crop (H, W, 3).
        """
        low, high = clip_box(box, *image.shape[1::-1]).reshape(2, 2)
        scale = (self.padding * (high - low) / self.input_size).max()  # the box is extended to the shape of the input
        corner = (low + high - scale * self.input_size) / 2
        to_image = np.column_stack([np.eye(2) * scale, corner])  # (2, 3)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        return corner, scale, cv2.warpAffine(image, to_image, self.input_size.tolist(), flags=flags)
