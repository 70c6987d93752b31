from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmpose.models.heads import HeatmapHead
from mmpose.registry import MODELS
from torch import Tensor, nn

from ..keypoint_names import check_names, mirrored, spell_as
from .clamp_head import CLAMPHead, interpolate
from .precision import without_autocast


@MODELS.register_module()
class AskedCLAMPHead(CLAMPHead):
    """CLAMP's head, asked for keypoints by name: the K that it was trained on, and any others.

    It is trained as :class:`CLAMPHead` is, and predicts the same heatmaps of the K names. Its last convolution has no
    kernel for another name: for that, the score map, brought to the size of the heatmaps, stands for the heatmap.

    Args:
        test_names (Sequence[str], optional): The P names to ask for, unless a call names others. Defaults to None, the
            K names.
        **kwargs: Of :class:`CLAMPHead`.

    Raises:
        ValueError: If there are no ``test_names``, or one is empty.
    """

    def __init__(self, *args, test_names: Sequence[str] | None = None, **kwargs):
        super().__init__(*args, **kwargs)
        names = self.prompt_learner.keypoint_names
        self.asked_names = names if test_names is None else spell_as(names, check_names(test_names))
        self.mirror_names: list[str] | None = None  # the flip pairs of the config's data set tell

    def set_keypoint_names(self, names: Sequence[str], mirror_names: Sequence[str] | None = None) -> None:
        """Ask for these names from now on, any number of them, trained on (in upper or lower case) or not.

        Args:
            names (Sequence[str]): P names.
            mirror_names (Sequence[str], optional): What each is in the mirror image. Defaults to None, what the words
                left and right say.

        Raises:
            ValueError: If there are none, one is empty, or one makes too long a prompt for the text encoder.
        """
        own = self.prompt_learner.keypoint_names
        names = spell_as(own, check_names(names))
        mirror_names = spell_as(own, mirror_names or map(mirrored, names))
        with torch.no_grad():
            self.prompt_learner.encode_prompts(self.prompt_learner.new_texts([*names, *mirror_names]))
        self.asked_names, self.mirror_names = names, mirror_names

    def forward(self, feats: tuple[Tensor, Tensor, Tensor], names: Sequence[str] | None = None) -> Tensor:
        """Predict heatmaps.

        Args:
            feats (tuple[Tensor]): As :meth:`CLAMPHead.forward`.
            names (Sequence[str], optional): P names. Defaults to None, the ``asked_names``.

        Returns:
            Tensor: (B, P, H', W').
        """
        names = list(names or self.asked_names)
        heatmaps, own = super().forward(feats), self.prompt_learner.keypoint_names
        if names == own:
            return heatmaps
        score_map = self.compute_score_map(feats, names)[0]
        others = interpolate(score_map, heatmaps).to(heatmaps.dtype)
        heatmaps = torch.cat([heatmaps, others], dim=1)  # (B, K + P, H', W')
        return heatmaps[:, [own.index(name) if name in own else len(own) + i for i, name in enumerate(names)]]


@MODELS.register_module()
class OpenVocabularyHead(AskedCLAMPHead):
    """An open-vocabulary head: the last 1x1 convolution's kernel of a new keypoint is computed from its prompt.

    ::

        features    = SimpleBaseline's deconvolutions (feature_map)                U, (B, d, H', W')
        text_embeds = prompt_learner(global_embed, image_embeds)                   E, (B, P, D)
        score_map   = cosine(image_embeds, text_embeds)                            eq. 3-4
        kernel_p    = V_k                                            of the k-th of the K names
                      softmax(cosine(E_p - m, E_1..K - m) / temperature) V         of another name
        heatmap_p   = <features, kernel_p> + a interpolate(score_map_p) + b

    V (K, d) are the kernels of the names trained on, as in :class:`CLAMPHead`, E_1..K their prompts, m the mean of
    these. Another name takes of each kernel as much as its prompt is like theirs. Prompts lie close together; without
    what all have in common, they tell names apart.

    One model so predicts full-size heatmaps of any names. In a training step, they are those that the data
    preprocessor names (:class:`OpenVocabularyDataPreprocessor`), otherwise the K names. The losses are the paper's.
    Kernels computed from prompts are also what GKDT (arXiv 2607.00752) predicts keypoints with.

    Notation: as in :class:`CLAMPHead`; d channels of the last deconvolution.

    Args:
        in_channels (int): C.
        out_channels (int): K, the number of names trained on.
        prompt_learner (dict): As in :class:`CLAMPHead`.
        upsample (str): ``'bilinear'``, the default. Deconvolutions would tie the score map to K.
        temperature (float): Of the softmax; the smaller, the more another name keeps to those most like it. Defaults to
            0.25.
        **kwargs: Of :class:`AskedCLAMPHead`.

    Raises:
        ValueError: As :class:`AskedCLAMPHead`, and if ``upsample`` is another.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        prompt_learner: dict,
        upsample: str = 'bilinear',
        temperature: float = 0.25,
        **kwargs,
    ):
        if upsample != 'bilinear':
            raise ValueError(f"upsample={upsample!r}, but it can be 'bilinear' alone: deconvolutions are of K maps.")
        # CLAMPHead adds K channels for the score map, which does not enter the deconvolutions here
        kwargs['final_layer'] = None
        super().__init__(in_channels - out_channels, out_channels, prompt_learner, upsample=upsample, **kwargs)
        channels = kwargs.get('conv_out_channels') or kwargs.get('deconv_out_channels', (256,)) or (in_channels,)
        self.temperature = temperature
        self.kernels = nn.Parameter(0.001 * torch.randn(out_channels, channels[-1]))  # as MMPose's last convolution
        self.score_map_weight = nn.Parameter(torch.tensor(0.1))
        self.bias = nn.Parameter(torch.zeros(()))

    def forward(self, feats: tuple[Tensor, Tensor, Tensor], names: Sequence[str] | None = None) -> Tensor:
        """Predict heatmaps.

        Args:
            feats (tuple[Tensor]): As :meth:`CLAMPHead.forward`.
            names (Sequence[str], optional): P names. Defaults to None, the ``asked_names``.

        Returns:
            Tensor: (B, P, H', W').
        """
        return self._forward(feats, names or self.asked_names)[0]

    def _forward(
        self, feats: tuple[Tensor, Tensor, Tensor], names: Sequence[str] | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return heatmaps (B, P, H', W'), the score map (B, P, H, W) in [-1, 1] and text_embeds (B, P, D)."""
        own = self.prompt_learner.keypoint_names
        texts = [*own, *self.prompt_learner.new_texts(names or ())]
        score_map, text_embeds = self.compute_score_map(feats, texts)
        kernels = self.compute_kernels(text_embeds)
        places = [texts.index(name) for name in names or own]
        if places != list(range(len(texts))):
            score_map, text_embeds, kernels = score_map[:, places], text_embeds[:, places], kernels[:, places]
        features = HeatmapHead.forward(self, feats)  # (B, d, H', W')
        heatmaps = torch.einsum('bdhw,bpd->bphw', features, kernels)
        return heatmaps + self.score_map_weight * interpolate(score_map, heatmaps) + self.bias, score_map, text_embeds

    def compute_kernels(self, text_embeds: Tensor) -> Tensor:
        """Return the kernels (B, P, d) of prompts (B, P, D), the first K of which are of the K names."""
        own = self.kernels.expand(len(text_embeds), -1, -1)  # (B, K, d)
        if text_embeds.shape[1] == self.out_channels:
            return own
        with without_autocast(text_embeds.device):
            known, new = text_embeds.float().tensor_split([self.out_channels], dim=1)
            mean = known.mean(dim=1, keepdim=True)
            cosines = F.normalize(new - mean, dim=-1) @ F.normalize(known - mean, dim=-1).mT  # (B, P - K, K)
            return torch.cat([own, torch.softmax(cosines / self.temperature, dim=-1) @ own.float()], dim=1)

    def loss(
        self, feats: tuple[Tensor, Tensor, Tensor], batch_data_samples: list, train_cfg: dict | None = None
    ) -> dict:
        """Compute the losses as :meth:`CLAMPHead.loss` does, of the names that this step has targets for.

        Args:
            feats (tuple[Tensor]): As in :meth:`forward`.
            batch_data_samples (list): As :meth:`CLAMPHead.loss`; ``metainfo['keypoint_names']`` of the first, where
                there is one, has the names of the targets of all. A name with a weight, but with no place in the
                heatmap, is not there: its target is zero, and it takes no part in ``loss_feature``.
            train_cfg (dict, optional): Unused; MMPose passes it.

        Returns:
            dict[str, Tensor]: ``loss_kpt``, and ``loss_spatial`` and ``loss_feature`` where they are configured.
        """
        names = batch_data_samples[0].metainfo.get('keypoint_names')
        return self.compute_losses(feats, *self.collect_targets(batch_data_samples), names)

    def compute_losses(
        self,
        feats: tuple[Tensor, Tensor, Tensor],
        target: Tensor,
        weights: Tensor,
        keypoints: Tensor | None,
        names: Sequence[str] | None = None,
    ) -> dict[str, Tensor]:
        """Compute the losses from tensors, and the P names that they are of, None for the K names."""
        heatmaps, score_map, text_embeds = self._forward(feats, names)
        losses = dict(loss_kpt=self.loss_module(heatmaps, target, weights))
        if self.spatial_loss:
            losses['loss_spatial'] = self.spatial_loss(interpolate(score_map, target), target, weights)
        if self.feature_loss:
            located = weights * (target.amax((-2, -1)) > 0)  # (B, P)
            losses['loss_feature'] = self.feature_loss(feats[1], text_embeds, keypoints, located)
        return losses
