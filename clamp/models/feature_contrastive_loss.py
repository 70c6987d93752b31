import math

import torch
import torch.distributed as dist
import torch.nn.functional as F
from mmpose.registry import MODELS
from torch import Tensor, nn

from .precision import without_autocast


@MODELS.register_module()
class FeatureContrastiveLoss(nn.Module):
    """Symmetric cross-entropy between keypoint features and prompts, per image (Section 3.3, eq. 6-8).

    The image embedding sampled at a keypoint should be most similar to the prompt of that keypoint, among all
    keypoints labelled in the image, and the other way round.

    Notation: B batch, K keypoints, D embedding size, (H, W) feature map.

    Args:
        loss_weight (float): The paper's alpha2. Defaults to 5e-4.
        init_temperature (float): Start of the learnable temperature that divides the cosine similarities. CLIP's own
            0.07 by default; as in CLIP it never goes below 1 / 100.
    """

    max_logit_scale = math.log(100)

    def __init__(self, loss_weight: float = 5e-4, init_temperature: float = 0.07):
        super().__init__()
        self.loss_weight = loss_weight
        self.logit_scale = nn.Parameter(torch.tensor(math.log(1 / init_temperature)))

    def forward(self, image_embeds: Tensor, text_embeds: Tensor, keypoints: Tensor, weights: Tensor) -> Tensor:
        """Compute the loss.

        Args:
            image_embeds (Tensor): (B, D, H, W).
            text_embeds (Tensor): Prompts, (B, K, D).
            keypoints (Tensor): (x, y) as fractions of the input image, (B, K, 2): (0, 0) is its upper left corner,
                (1, 1) its lower right one.
            weights (Tensor): (B, K), 0 = unlabelled. Such keypoints take no part, neither as a row nor as a negative.

        Returns:
            Tensor: The scalar loss, a mean over labelled keypoints; 0 if there are none. With several processes it is
            over those of all of them, so that the mean of the processes' losses is the loss of the whole batch.
        """
        if self.training:
            with torch.no_grad():
                self.logit_scale.clamp_(max=self.max_logit_scale)
        with without_autocast(image_embeds.device):  # a logit of 100 has steps of 0.5 in bfloat16
            labelled = weights > 0
            logits = self.compute_logits(image_embeds.float(), text_embeds.float(), keypoints, labelled)
            return self.loss_weight * self.contrast(logits, labelled)

    def compute_logits(self, image_embeds: Tensor, text_embeds: Tensor, keypoints: Tensor, labelled: Tensor) -> Tensor:
        """Return the cosines of keypoints (row) and prompts (column) over the temperature, (B, K, K) (eq. 6).

        Where one of the two is not labelled, it is -1e4, whose exponential is 0: no negative of the others.
        """
        keypoint_embeds = sample_features(image_embeds, keypoints)
        similarity = torch.einsum(
            'bkd,bld->bkl', F.normalize(keypoint_embeds, dim=-1), F.normalize(text_embeds, dim=-1)
        )
        pairs = labelled[:, :, None] & labelled[:, None, :]
        return (self.logit_scale.exp() * similarity).masked_fill(~pairs, -1e4)

    def contrast(self, logits: Tensor, labelled: Tensor) -> Tensor:
        """Return the loss of logits (B, K, K), before its weight (eq. 7-8), a mean over labelled keypoints (B, K)."""
        # the cross-entropies of prompts to keypoints, softmax over dim 1, and of keypoints to prompts, over dim 2
        loss = -(logits.log_softmax(1) + logits.log_softmax(2)).diagonal(dim1=1, dim2=2)  # (B, K)
        return 0.5 * (loss * labelled).sum() / mean_over_processes(labelled.sum())


def mean_over_processes(count: Tensor) -> Tensor:
    """Return the mean of a count, at least 1 in all, over the processes of a distributed training; it goes without."""
    if not (dist.is_available() and dist.is_initialized()):
        return count.clamp(min=1)
    dist.all_reduce(count)
    return count.clamp(min=1) / dist.get_world_size()


def sample_features(feature_map: Tensor, points: Tensor) -> Tensor:
    """Sample a feature map bilinearly at points (eq. 6); points beyond its outermost cells take their values.

    Args:
        feature_map (Tensor): (B, D, H, W).
        points (Tensor): (x, y) as fractions of the image, (B, K, 2).

    Returns:
        Tensor: (B, K, D).
    """
    grid = (2 * points - 1)[:, :, None]  # (B, K, 1, 2), in [-1, 1]
    sampled = F.grid_sample(
        feature_map, grid.to(feature_map.dtype), mode='bilinear', padding_mode='border', align_corners=False
    )
    return sampled[..., 0].transpose(1, 2)  # (B, D, K, 1) to (B, K, D)
