import torch
import torch.nn.functional as F
from open_clip.model import _build_vision_tower as build_vision_tower
from torch import Tensor, nn

from .base import DenseTower, resize_positions


class DenseResNet(DenseTower):
    """CLIP's ModifiedResNet: its attention pooling with every position as a query (DenseCLIP's way)."""

    position_table = 'attnpool.positional_embedding'

    @staticmethod
    def takes(vision_cfg: dict) -> bool:
        """Towers of four stages."""
        return isinstance(vision_cfg.get('layers'), list | tuple)

    @staticmethod
    def layout(config: dict) -> tuple[int, int]:
        """Return 32 and the channels of the last stage."""
        return 32, 32 * config['vision_cfg']['width']

    def build(self, config: dict, drop_path_rate: float) -> nn.Module:
        """Build it with a position table for ``input_size``; it has no stochastic depth."""
        tower = build_vision_tower(config['embed_dim'], config['vision_cfg'], config['quick_gelu'])
        tower.to(memory_format=torch.channels_last)  # the same values, faster convolutions
        if self.with_embeds:
            width = tower.attnpool.q_proj.in_features
            table = torch.randn(1 + self.grid_size[0] * self.grid_size[1], width) / width**0.5
            tower.attnpool.positional_embedding = nn.Parameter(table)
        else:
            tower.attnpool = None
        return tower

    def features(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return the feature map, twice."""
        tower = self.tower
        feature_map = tower.stem(images.contiguous(memory_format=torch.channels_last))
        for layer in (tower.layer1, tower.layer2, tower.layer3, tower.layer4):
            feature_map = layer(feature_map)  # (B, C, H, W) after the last
        return feature_map, feature_map

    def embeds(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Pool with 1 + H W queries, the image's mean first."""
        pool = self.tower.attnpool
        tokens = features.flatten(2).transpose(1, 2)  # (B, HW, C)
        tokens = torch.cat([tokens.mean(dim=1, keepdim=True), tokens], dim=1)  # (B, 1 + HW, C)
        positions = resize_positions(pool.positional_embedding, self.grid_size, features.shape[-2:])
        tokens = tokens + positions.to(tokens.dtype)
        heads = [
            proj(tokens).unflatten(2, (pool.num_heads, -1)).transpose(1, 2)  # (B, heads, 1 + HW, C / heads)
            for proj in (pool.q_proj, pool.k_proj, pool.v_proj)
        ]
        embeds = pool.c_proj(F.scaled_dot_product_attention(*heads).transpose(1, 2).flatten(2))  # (B, 1 + HW, D)
        return embeds[:, 0], embeds[:, 1:]
