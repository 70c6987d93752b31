from dataclasses import dataclass

import cv2
import numpy as np


@dataclass(frozen=True)
class ScoreMap:
    """How alike each place of an animal's crop and each of P texts are (eq. 3-4, Figure 4).

    Attributes:
        box (np.ndarray): (4,), the part of the animal's box that is in the image: x, y, width, height, in pixels.
        texts (list[str]): The P texts.
        values (np.ndarray): (P, H, W), cosine in [-1, 1], at the resolution of the feature map.
        to_image (np.ndarray): (2, 3), the affine map from the (column, row) of a cell's centre to (x, y) in pixels of
            the image, in the manner of ``cv2.warpAffine``.
    """

    box: np.ndarray
    texts: list[str]
    values: np.ndarray
    to_image: np.ndarray

    def on_image(self, height: int, width: int, scale: float = 1.0) -> np.ndarray:
        """Return the maps at the pixels of the image, (P, height, width), bilinear, NaN outside the crop.

        Args:
            height, width (int): Of the image, in pixels.
            scale (float): By which the image was resized. Defaults to 1.
        """
        _, rows, columns = self.values.shape
        matrix, offset = scale * self.to_image[:, :2], scale * (self.to_image[:, 2] + 0.5) - 0.5
        corners = np.array([[-0.5, -0.5], [columns - 0.5, rows - 0.5]]) @ matrix.T + offset
        x, y = np.arange(width), np.arange(height)[:, None]
        inside = (x >= corners[0, 0]) & (x <= corners[1, 0]) & (y >= corners[0, 1]) & (y <= corners[1, 1])
        warp = dict(flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        to_image = np.column_stack([matrix, offset])
        maps = [cv2.warpAffine(one, to_image, (width, height), **warp) for one in self.values]
        return np.where(inside, np.stack(maps), np.nan)

    def peaks(self) -> np.ndarray:
        """Return where in its box each text fits best, (P, 2), (x, y) in pixels of the image.

        It is the best of 64 x 64 places, at which the map is interpolated bicubically, since its cells are coarse.
        """
        x, y = (start + size * (np.arange(64) + 0.5) / 64 for start, size in zip(self.box[:2], self.box[2:]))
        places = np.stack(np.meshgrid(x, y), axis=-1)  # (64, 64, 2)
        cells = cv2.transform(places, cv2.invertAffineTransform(self.to_image)).astype(np.float32)
        fine = [cv2.remap(one, cells, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE) for one in self.values]
        return places.reshape(-1, 2)[np.stack(fine).reshape(len(fine), -1).argmax(1)]


def cells_to_image(metainfo: dict, shape: tuple[int, int]) -> np.ndarray:
    """Return the affine map (2, 3) from (column, row) of a feature cell's centre to (x, y) in pixels of the image.

    Args:
        metainfo (dict): A ``PoseDataSample``'s: ``input_size``, ``input_center`` and ``input_scale``, all (x, y).
        shape (tuple[int, int]): Of the feature map, (H, W).
    """
    size, scale = np.array(metainfo['input_size']), np.asarray(metainfo['input_scale'])
    stride = size / shape[::-1]
    offset = np.asarray(metainfo['input_center']) - scale / 2 + (stride - 1) / 2 * scale / size
    return np.column_stack([np.diag(stride * scale / size), offset])
