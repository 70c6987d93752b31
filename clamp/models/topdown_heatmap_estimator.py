from collections.abc import Sequence

import torch
from mmengine.structures import PixelData
from mmpose.models import TopdownPoseEstimator
from mmpose.models.utils.tta import flip_heatmaps
from mmpose.registry import MODELS
from torch import Tensor

from ..keypoint_names import mirror_names


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
        if self.test_cfg.get('flip_test'):
            heatmaps = self.flip_test(inputs, data_samples[0].metainfo['flip_indices'])
        else:
            heatmaps = self._forward(inputs)
        heatmaps = heatmaps.float()  # under autocast they may be bfloat16, which NumPy lacks
        fields = (
            [PixelData(heatmaps=each) for each in heatmaps.detach()] if self.test_cfg.get('output_heatmaps') else None
        )
        return self.add_pred_to_datasample(self.head.decode(heatmaps), fields, data_samples)

    def flip_test(self, inputs: Tensor, flip_indices: Sequence[int]) -> Tensor:
        """Return the mean of the heatmaps of the images and, mirrored back, of their mirror images.

        Args:
            inputs (Tensor): Images (B, 3, H, W), normalised.
            flip_indices (Sequence[int]): The mirror image of each of the K keypoints.

        Returns:
            Tensor: (B, K, H', W').
        """
        heatmaps, flipped = self._forward(torch.cat([inputs, inputs.flip(-1)])).float().unflatten(0, (2, -1))
        return (heatmaps + self._mirror_back(flipped, flip_indices)) * 0.5

    def _mirror_back(self, heatmaps: Tensor, flip_indices: Sequence[int] | None) -> Tensor:
        return flip_heatmaps(
            heatmaps,
            flip_indices=flip_indices,
            flip_mode=self.test_cfg.get('flip_mode', 'heatmap'),
            shift_heatmap=self.test_cfg.get('shift_heatmap', False),
        )


@MODELS.register_module()
class OpenVocabularyEstimator(TopdownHeatmapEstimator):
    """The estimator for heads that are asked by name, such as :class:`OpenVocabularyHead`.

    In its flip test, the mirror image is asked for the mirrored names, whether or not these are among the names asked
    for: those that came with the names, and for the names of the config, which are a data set's, those of its flip
    pairs. A name without a pair is asked for with left and right exchanged, "right hock" for "left hock".

    Raises:
        ValueError: If the head is no such head.
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        if not hasattr(self.head, 'set_keypoint_names'):
            raise ValueError(
                f'OpenVocabularyEstimator asks its head by name, but {type(self.head).__name__} is none for that: take '
                'OpenVocabularyHead or AskedCLAMPHead, or the TopdownHeatmapEstimator.'
            )

    def flip_test(self, inputs: Tensor, flip_indices: Sequence[int] | None = None) -> Tensor:
        """Return heatmaps as the class says; the arguments are those of :meth:`TopdownHeatmapEstimator.flip_test`."""
        names = self.head.asked_names
        mirrors = self.head.mirror_names or mirror_names(names, flip_indices)
        both = list(dict.fromkeys([*names, *mirrors]))  # prompts are kept for one list
        feats = self.extract_feat(torch.cat([inputs, inputs.flip(-1)]))
        heatmaps, flipped = self.head(feats, both).float().unflatten(0, (2, -1))  # (B, all names, H', W')
        flipped = self._mirror_back(flipped[:, [both.index(name) for name in mirrors]], flip_indices=None)
        return (heatmaps[:, [both.index(name) for name in names]] + flipped) * 0.5
