import torch
from mmengine.structures import PixelData
from mmpose.models import TopdownPoseEstimator
from mmpose.models.utils.tta import flip_heatmaps
from mmpose.registry import MODELS
from torch import Tensor


@MODELS.register_module()
class TopdownHeatmapEstimator(TopdownPoseEstimator):
    """MMPose's estimator for heads that predict heatmaps, with a flip test that is one pass over 2B images.

    MMPose passes the B images and their mirror images through the network one after the other. Half the number of
    calls matters where they take longer than their work: for few images on a GPU.
    """

    def predict(self, inputs: Tensor, data_samples: list) -> list:
        """Predict keypoints.

        Args:
            inputs (Tensor): Images (B, 3, H, W), normalised.
            data_samples (list[PoseDataSample]): Their boxes and metainfo.

        Returns:
            list[PoseDataSample]: The same, with ``pred_instances`` and, if ``test_cfg`` asks for ``output_heatmaps``,
            ``pred_fields``.
        """
        flip_test = self.test_cfg.get('flip_test')
        heatmaps = self._forward(torch.cat([inputs, inputs.flip(-1)]) if flip_test else inputs)
        heatmaps = heatmaps.float()  # under autocast they may be bfloat16, which NumPy lacks
        if flip_test:
            heatmaps, flipped = heatmaps.chunk(2)
            flipped = flip_heatmaps(
                flipped,
                flip_indices=data_samples[0].metainfo['flip_indices'],
                flip_mode=self.test_cfg.get('flip_mode', 'heatmap'),
                shift_heatmap=self.test_cfg.get('shift_heatmap', False),
            )
            heatmaps = (heatmaps + flipped) * 0.5
        fields = (
            [PixelData(heatmaps=each) for each in heatmaps.detach()] if self.test_cfg.get('output_heatmaps') else None
        )
        return self.add_pred_to_datasample(self.head.decode(heatmaps), fields, data_samples)
