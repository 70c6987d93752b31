from collections.abc import Sequence
from types import SimpleNamespace

import torch
from mmengine.model import ImgDataPreprocessor
from mmpose.registry import MODELS
from torch import Tensor


@MODELS.register_module()
class HeatmapDataPreprocessor(ImgDataPreprocessor):
    """Move a batch to the device, normalise its images and, in training, draw its target heatmaps there.

    A training batch of :class:`clamp.datasets.packing.PackKeypointInputs` is three tensors. MMPose's own pipeline sends
    images and heatmaps of each sample by themselves, drawn by a worker and a hundred times as large as the keypoints.

    Batches of MMPose's ``PackPoseInputs`` are taken as they are, in training as in validation, where it has the
    metainfo that MMPose's decoding and metrics read. Top-down crops are all of one size: nothing is padded.

    Notation: B batch, K keypoints, (S_H, S_W) network input, (H', W') heatmap.

    Args:
        mean (Sequence[float]): Of R, G and B, for images in 0 .. 255.
        std (Sequence[float]): Likewise.
        bgr_to_rgb (bool): Whether images come as BGR, as MMPose loads them. Defaults to True.
        codec (dict, optional): The data set's codec, an ``MSRAHeatmap`` that is not ``unbiased``. Needed for training
            batches of three tensors alone. Defaults to None.

    Raises:
        ValueError: If the codec is another one.
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float], bgr_to_rgb: bool = True, codec: dict | None = None):
        super().__init__(mean=mean, std=std, bgr_to_rgb=bgr_to_rgb, non_blocking=True)
        if codec and (codec['type'] != 'MSRAHeatmap' or codec.get('unbiased')):
            raise ValueError(
                f'{type(self).__name__} draws the heatmaps of MSRAHeatmap, unbiased=False, not those of {codec}. For '
                'others, end the train pipeline with GenerateTarget and PackPoseInputs, and take codec=None and '
                "collate_fn=dict(type='pseudo_collate')."
            )
        self.codec = codec

    def forward(self, data: dict, training: bool = False) -> dict:
        """Prepare a batch.

        Args:
            data (dict): ``inputs``, images (B, 3, S_H, S_W) in 0 .. 255 or a list of B such, and either
                ``data_samples`` (list[PoseDataSample]), or ``keypoints`` (B, K, 2), (x, y) in pixels of the network
                input, and ``keypoint_weights`` (B, K), 0 = unlabelled.
            training (bool): Unused; MMEngine passes it.

        Returns:
            dict: ``inputs`` (B, 3, S_H, S_W), normalised, and ``data_samples``, which are either those given or, of
            keypoints, objects with what the ``loss`` of MMPose's heatmap heads and of :class:`CLAMPHead` reads of a
            ``PoseDataSample``.
        """
        images = data['inputs']
        images = self.cast_data(images if isinstance(images, Tensor) else torch.stack(images))
        if self._channel_conversion:
            images = images.flip(1)  # an index list, as in MMEngine, would be sent to the device each time
        images = (images.float() - self.mean) / self.std
        if 'data_samples' in data:
            return dict(inputs=images, data_samples=self.cast_data(data['data_samples']))
        keypoints, weights = self.cast_data([data['keypoints'], data['keypoint_weights']])
        return dict(inputs=images, data_samples=self._draw_targets(keypoints, weights))

    def _draw_targets(self, keypoints: Tensor, weights: Tensor) -> list[SimpleNamespace]:
        if self.codec is None:
            raise ValueError(f'To draw targets, {type(self).__name__} needs the codec of the data set: codec=codec.')
        input_size, heatmap_size = self.codec['input_size'], self.codec['heatmap_size']
        scale = [side / heatmap_side for side, heatmap_side in zip(input_size, heatmap_size)]
        x, y = (keypoints[..., i] / scale[i] for i in range(2))
        heatmaps, weights = draw_heatmaps(x, y, weights, heatmap_size, self.codec['sigma'])
        return self._pack_targets(heatmaps, weights, keypoints, dict(input_size=input_size))

    @staticmethod
    def _pack_targets(heatmaps: Tensor, weights: Tensor, keypoints: Tensor, metainfo: dict) -> list[SimpleNamespace]:
        return [  # a PoseDataSample takes six times as long to make
            SimpleNamespace(
                gt_fields=SimpleNamespace(heatmaps=heatmaps_of_one),
                gt_instance_labels=SimpleNamespace(keypoint_weights=weights_of_one),
                gt_instances=SimpleNamespace(transformed_keypoints=keypoints_of_one),
                metainfo=metainfo,
            )
            for heatmaps_of_one, weights_of_one, keypoints_of_one in zip(
                heatmaps.unbind(), weights[:, None].unbind(), keypoints[:, None].unbind()
            )
        ]


def draw_heatmaps(
    x: Tensor, y: Tensor, weights: Tensor, heatmap_size: tuple[int, int], sigma: float
) -> tuple[Tensor, Tensor]:
    """Draw a Gaussian at each keypoint: MMPose's ``MSRAHeatmap`` for a whole batch, on its device.

    Like there, the Gaussian stands on the nearest cell, is cut off at 3 sigma, and a keypoint farther than that from
    the heatmap loses its weight.

    Args:
        x (Tensor): In cells of the heatmap, (B, K).
        y (Tensor): Likewise.
        weights (Tensor): 0 = unlabelled, (B, K).
        heatmap_size (tuple[int, int]): (W', H').
        sigma (float): In cells.

    Returns:
        tuple[Tensor, Tensor]: Heatmaps (B, K, H', W') in [0, 1], and the weights (B, K).
    """
    radius = 3 * sigma
    weights, profiles, outside = weights.clone(), [], torch.zeros_like(weights, dtype=torch.bool)
    for position, size in zip((x, y), heatmap_size):
        cell = (position + 0.5).trunc()
        first, end = (cell - radius).trunc(), (cell + radius + 1).trunc()  # the window [first, end)
        outside |= (first >= size) | (end < 0)
        cells = torch.arange(size, device=position.device)
        distance = cells - (first + (2 * radius + 1) // 2)[..., None]  # (B, K, size)
        inside = (cells >= first[..., None]) & (cells < end[..., None])
        profiles.append(inside * torch.exp(-(distance**2) / (2 * sigma**2)))
    weights.masked_fill_(outside, 0)
    drawn = (weights >= 0.5)[..., None]
    return (drawn * profiles[1])[..., :, None] * profiles[0][..., None, :], weights
