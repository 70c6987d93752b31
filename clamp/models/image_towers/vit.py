from functools import partial

import torch
from open_clip.model import _build_vision_tower as build_vision_tower
from torch import Tensor, nn
from torchvision.ops import stochastic_depth

from ..attention import simplify_attention
from .base import DenseTower, resize_positions


class DenseViT(DenseTower):
    """open_clip's vision transformer: its last norm and projection, applied to every token (MaskCLIP's way).

    The feature map is that before the last norm, as in the released code.
    """

    position_table = 'positional_embedding'

    @staticmethod
    def takes(vision_cfg: dict) -> bool:
        """ViTs, but for CoCa's: its pooler mixes all positions."""
        return isinstance(vision_cfg.get('layers'), int) and not vision_cfg.get('attentional_pool')

    @staticmethod
    def layout(config: dict) -> tuple[int, int]:
        """Return patch size and width."""
        return config['vision_cfg']['patch_size'], config['vision_cfg']['width']

    def build(self, config: dict, drop_path_rate: float) -> nn.Module:
        """Build it with a position table for ``input_size``."""
        vision_cfg = config['vision_cfg'] | dict(image_size=self.input_size[::-1])
        tower = build_vision_tower(config['embed_dim'], vision_cfg, config['quick_gelu'])
        simplify_attention(tower)
        rates = torch.linspace(0, drop_path_rate, vision_cfg['layers'], device='cpu').tolist()
        for block, rate in zip(tower.transformer.resblocks, rates):
            if rate > 0:  # ls_1 and ls_2 end the two residual branches of a block
                block.ls_1.register_forward_hook(partial(_drop_path, rate=rate))
                block.ls_2.register_forward_hook(partial(_drop_path, rate=rate))
        if not self.with_embeds:
            tower.ln_post, tower.proj = nn.Identity(), None
        return tower

    def features(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return the feature map and all tokens (B, 1 + H W, C)."""
        tower = self.tower
        patches = tower.conv1(images)  # (B, C, H, W)
        grid = patches.shape[-2:]
        class_token = tower.class_embedding.to(patches.dtype).expand(len(images), 1, -1)
        tokens = torch.cat([class_token, patches.flatten(2).transpose(1, 2)], dim=1)  # (B, 1 + HW, C)
        positions = resize_positions(tower.positional_embedding, self.grid_size, grid)
        tokens = tower.transformer(tower.ln_pre(tokens + positions.to(tokens.dtype)))
        return tokens[:, 1:].transpose(1, 2).unflatten(2, grid), tokens

    def embeds(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Project the tokens; the image's is the class token or, where open_clip pools so, the mean of the others."""
        tower = self.tower
        if tower.pool_type == 'avg' and tower.final_ln_after_pool:  # the mean is normalised, not what is averaged
            features = torch.cat([features[:, 1:].mean(dim=1, keepdim=True), features[:, 1:]], dim=1)
        tokens = tower.ln_post(features)
        if tower.pool_type == 'avg' and not tower.final_ln_after_pool:
            tokens = torch.cat([tokens[:, 1:].mean(dim=1, keepdim=True), tokens[:, 1:]], dim=1)
        embeds = tokens @ tower.proj  # (B, 1 + HW, D)
        return embeds[:, 0], embeds[:, 1:]


def _drop_path(module: nn.Module, args: tuple, output: Tensor, rate: float) -> Tensor:
    return stochastic_depth(output, rate, 'row', module.training)
