from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmpose.models.heads import HeatmapHead
from mmpose.registry import MODELS
from torch import Tensor, nn

from .precision import without_autocast

CHANNELS_TILE = 8  # tensor cores take 16-bit numbers by eights: channels are 792 and 2072 for 785 and 2065


@MODELS.register_module()
class CLAMPHead(HeatmapHead):
    """CLAMP's head: prompts, score map and image features fused into heatmaps (Section 3, Figure 2).

    ::

        text_embeds = prompt_learner(global_embed, image_embeds)           E_prompt
        score_map   = cosine(image_embeds, text_embeds)                    eq. 3-4
        heatmaps    = SimpleBaseline(concat(feature_map, score_map))       eq. 9

        loss_kpt     = MSE(heatmaps, target)                               L_pred
        loss_spatial = alpha1 * MSE(upsample(score_map), target)           eq. 5
        loss_feature = alpha2 * contrast(image_embeds at keypoints, text_embeds)   eq. 6-8

    The training loss is their sum. What is concatenated is filled up with channels of zeros to a multiple of eight,
    which changes no value (:class:`PaddedDeconvolution`).

    Notation: B batch, K keypoints, C channels of the feature map, D embedding size, (H, W) feature map, (H', W')
    heatmap. Decoding, flip test and prediction are :class:`mmpose.models.HeatmapHead`'s.

    Args:
        in_channels (int): C. The K channels of the score map are added here.
        out_channels (int): K.
        prompt_learner (dict): Config of :class:`PromptLearner`; it holds the K keypoint names.
        spatial_loss (dict, optional): Config of a heatmap loss for the score map, whose ``loss_weight`` is alpha1.
            None leaves the loss and its upsampling out (Table 6).
        feature_loss (dict, optional): Config of :class:`FeatureContrastiveLoss`, whose ``loss_weight`` is alpha2.
            None leaves it out (Table 6).
        upsample (str): How the score map is brought to the heatmap's size for ``spatial_loss``: ``'deconv'`` learns
            it, with as many deconvolutions as the heatmaps have, in training only (what the published numbers were
            made with); ``'bilinear'`` is eq. 5 as printed (its cells are centred, which puts them 1.5 pixels of the
            input beside those of an MSRA target of stride 4).
        upsample_channels (int, optional): Channels of these deconvolutions. Defaults to None, K.
        upsample_init_cfg (dict | list[dict], optional): Their initialisation, as MMEngine's ``init_cfg``. Defaults to
            None, torch's own, as in the released code: ``loss_spatial`` then starts some ten times as large as the
            heatmaps' own loss, and so do its gradients, which small ``std`` here prevents.
        **kwargs: The deconvolutions, ``loss``, ``decoder`` and the rest of :class:`mmpose.models.HeatmapHead`.

    Raises:
        ValueError: If K and the number of keypoint names differ, or ``upsample`` is unknown.
    """

    num_zeros = 0  # channels after the score map's, where there are deconvolutions

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        prompt_learner: dict,
        spatial_loss: dict | None = None,
        feature_loss: dict | None = None,
        upsample: str = 'deconv',
        upsample_channels: int | None = None,
        upsample_init_cfg: dict | list[dict] | None = None,
        **kwargs,
    ):
        names = prompt_learner.get('keypoint_names') or []
        if len(names) != out_channels:
            raise ValueError(
                f'CLAMPHead predicts out_channels={out_channels} keypoints, but prompt_learner has '
                f'{len(names)} keypoint_names: {", ".join(names) or "none"}. Both come from keypoint_names of the data '
                'set config.'
            )
        super().__init__(in_channels + out_channels, out_channels, **kwargs)
        self.prompt_learner = MODELS.build(prompt_learner)
        self.asked_names: list[str] = self.prompt_learner.keypoint_names  # those of the heatmaps, in their order
        self.spatial_loss = spatial_loss and MODELS.build(spatial_loss)
        self.feature_loss = feature_loss and MODELS.build(feature_loss)
        channels = upsample_channels or out_channels
        self.upsample = spatial_loss and self._build_upsample(upsample, channels, upsample_init_cfg, kwargs)

    def _make_deconv_layers(self, in_channels: int, **kwargs) -> nn.Sequential:
        layers = super()._make_deconv_layers(in_channels, **kwargs)
        first = layers[0]
        sizes = first.kernel_size, first.stride, first.padding, first.output_padding
        layers[0] = PaddedDeconvolution(in_channels, first.out_channels, *sizes, bias=False)
        self.num_zeros = -in_channels % CHANNELS_TILE
        return layers

    def _build_upsample(self, upsample: str, channels: int, init_cfg: dict | None, head: dict) -> nn.Module | None:
        if upsample == 'bilinear':
            return None
        if upsample != 'deconv':
            raise ValueError(f"upsample={upsample!r} is neither 'deconv' nor 'bilinear'.")
        sizes = head.get('deconv_kernel_sizes', (4, 4, 4))
        return HeatmapHead(
            self.out_channels,
            self.out_channels,
            deconv_out_channels=[channels] * len(sizes),
            deconv_kernel_sizes=sizes,
            init_cfg=init_cfg
            or dict(  # torch's own initialisation, as in the released code
                type='Kaiming',
                layer=['Conv2d', 'ConvTranspose2d'],
                a=5**0.5,
                mode='fan_in',
                nonlinearity='leaky_relu',
                distribution='uniform',
            ),
        )

    def forward(self, feats: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        """Predict heatmaps.

        Args:
            feats (tuple[Tensor]): global_embed (B, D), image_embeds (B, D, H, W), feature_map (B, C, H, W), as
                :class:`CLIPBackbone` returns them.

        Returns:
            Tensor: (B, K, H', W').
        """
        heatmaps, _, _ = self._forward(feats)
        return heatmaps

    def _forward(self, feats: tuple[Tensor, Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Return heatmaps (B, K, H', W'), the score map (B, K, H, W) in [-1, 1] and text_embeds (B, K, D)."""
        score_map, text_embeds = self.compute_score_map(feats)
        padded = F.pad(score_map, (0, 0, 0, 0, 0, self.num_zeros)).to(feats[-1].dtype)
        fused = torch.cat([feats[-1], padded], dim=1)  # (B, C + K + num_zeros, H, W)
        return super().forward((fused,)), score_map, text_embeds

    def compute_score_map(
        self, feats: tuple[Tensor, Tensor, Tensor], texts: Sequence[str] | None = None
    ) -> tuple[Tensor, Tensor]:
        """Compute the cosine of the image with each prompt (eq. 3-4).

        Args:
            feats (tuple[Tensor]): As in :meth:`forward`.
            texts (Sequence[str], optional): P texts in place of the K names, trained on or not. Defaults to None.

        Returns:
            tuple[Tensor, Tensor]: The score map (B, K, H, W) in [-1, 1] and text_embeds (B, K, D); with ``texts``, P
            stands for K.
        """
        global_embed, image_embeds, _ = feats
        text_embeds = self.prompt_learner(global_embed, image_embeds, texts)
        return cosine_similarity(image_embeds, text_embeds), text_embeds

    def loss(
        self, feats: tuple[Tensor, Tensor, Tensor], batch_data_samples: list, train_cfg: dict | None = None
    ) -> dict:
        """Compute the losses. Nothing here waits for the device.

        Args:
            feats (tuple[Tensor]): As in :meth:`forward`.
            batch_data_samples (list[PoseDataSample]): Targets: ``gt_fields.heatmaps`` (K, H', W'),
                ``gt_instance_labels.keypoint_weights`` (1, K) with 0 = unlabelled, and, for ``feature_loss``,
                ``gt_instances.transformed_keypoints`` (1, K, 2), (x, y) in pixels of the network input.
            train_cfg (dict, optional): Unused; MMPose passes it.

        Returns:
            dict[str, Tensor]: ``loss_kpt``, and ``loss_spatial`` and ``loss_feature`` where they are configured.
        """
        return self.compute_losses(feats, *self.collect_targets(batch_data_samples))

    def collect_targets(self, batch_data_samples: list) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return what :meth:`compute_losses` takes of the samples of a batch: target, weights and keypoints."""
        target = torch.stack([sample.gt_fields.heatmaps for sample in batch_data_samples])
        weights = torch.cat([sample.gt_instance_labels.keypoint_weights for sample in batch_data_samples])
        keypoints = None
        if self.feature_loss:
            keypoints = keypoint_fractions(batch_data_samples).to(weights.device, non_blocking=True)
        return target, weights, keypoints

    def compute_losses(
        self, feats: tuple[Tensor, Tensor, Tensor], target: Tensor, weights: Tensor, keypoints: Tensor | None
    ) -> dict[str, Tensor]:
        """Compute the losses from tensors alone, which is what :class:`clamp.engine.CompileHook` compiles.

        Args:
            feats (tuple[Tensor]): As in :meth:`forward`.
            target (Tensor): Heatmaps (B, K, H', W').
            weights (Tensor): (B, K), 0 = unlabelled.
            keypoints (Tensor, optional): (x, y) as fractions of the network input, (B, K, 2), for ``feature_loss``.

        Returns:
            dict[str, Tensor]: As :meth:`loss`.
        """
        heatmaps, score_map, text_embeds = self._forward(feats)
        losses = dict(loss_kpt=self.loss_module(heatmaps, target, weights))
        if self.spatial_loss:
            losses['loss_spatial'] = self.spatial_loss(self.upsample_score_map(score_map, target), target, weights)
        if self.feature_loss:
            losses['loss_feature'] = self.feature_loss(feats[1], text_embeds, keypoints, weights)
        return losses

    def upsample_score_map(self, score_map: Tensor, target: Tensor) -> Tensor:
        """Bring the score map (B, K, H, W) to the size of the target heatmaps (B, K, H', W') (eq. 5)."""
        if self.upsample is not None:
            return self.upsample((score_map,))
        return interpolate(score_map, target)


class PaddedDeconvolution(nn.ConvTranspose2d):
    """A deconvolution whose input may come with channels more than it has weights for: they count nothing."""

    def forward(self, feature_map: Tensor) -> Tensor:
        """Map (B, in_channels or more, H, W) to (B, out_channels, H', W')."""
        extra = feature_map.shape[1] - self.in_channels
        weight = F.pad(self.weight, (0, 0, 0, 0, 0, 0, 0, extra))
        return F.conv_transpose2d(feature_map, weight, None, self.stride, self.padding, self.output_padding)


def cosine_similarity(image_embeds: Tensor, text_embeds: Tensor) -> Tensor:
    """Return the score map (B, K, H, W) in [-1, 1] of image_embeds (B, D, H, W) and text_embeds (B, K, D) (eq. 3-4).

    It is float32 under autocast too: in bfloat16 its product would be 1% wrong, and no faster. It is laid out as the
    feature maps are, channels last, and so is what is concatenated and computed from it.
    """
    with without_autocast(image_embeds.device):
        image_embeds, text_embeds = image_embeds.float(), text_embeds.float()
        products = torch.einsum('bdhw,bkd->bhwk', image_embeds, F.normalize(text_embeds, dim=-1))
        norms = torch.linalg.vector_norm(image_embeds, dim=1).clamp(min=1e-12)  # (B, H, W), as F.normalize has them
        return (products / norms[..., None]).movedim(-1, 1)


def interpolate(score_map: Tensor, heatmaps: Tensor) -> Tensor:
    """Interpolate a score map bilinearly to the size of heatmaps (eq. 5)."""
    return F.interpolate(score_map, size=heatmaps.shape[-2:], mode='bilinear', align_corners=False)


def keypoint_fractions(batch_data_samples: list) -> Tensor:
    """Collect the keypoints of a batch, (B, K, 2), as (x, y) fractions of the network input.

    Args:
        batch_data_samples (list[PoseDataSample]): With ``gt_instances.transformed_keypoints`` (1, K, 2), array or
            tensor, (x, y) in pixels, where (0, 0) is the centre of the first pixel, and ``input_size`` (width, height).

    Raises:
        ValueError: If the pipeline does not pack the keypoints.
    """
    instances = [sample.gt_instances for sample in batch_data_samples]
    if not hasattr(instances[0], 'transformed_keypoints'):
        raise ValueError(
            'feature_loss needs the keypoints in the network input. Let the train pipeline end with '
            "dict(type='PackKeypointInputs') or dict(type='PackPoseInputs', pack_transformed=True)."
        )
    pixels = torch.cat([torch.as_tensor(instance.transformed_keypoints) for instance in instances]).float()
    size = batch_data_samples[0].metainfo['input_size']  # of one batch, and so of one size
    return torch.stack([(pixels[..., i] + 0.5) / size[i] for i in range(2)], dim=-1)
