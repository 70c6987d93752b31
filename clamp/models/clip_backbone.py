import math
from functools import partial

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from mmpose.registry import MODELS
from open_clip.transformer import VisionTransformer
from open_clip.utils import to_2tuple
from torch import Tensor, nn
from torchvision.ops import stochastic_depth

from .clip import build_vision_tower, clip_config, image_tower_layout, load_tower
from .clip_weights import read_weights


@MODELS.register_module()
class CLIPBackbone(BaseModule):
    """CLIP's image encoder with dense, language-aligned features (Section 3.1; DenseCLIP's way of taking them).

    The image tower is open_clip's, a ViT or a ModifiedResNet. To it this class adds only what dense prediction needs:
    the projection into the embedding space is applied at every position instead of to the pooled token alone.

    Notation: B batch, (S_H, S_W) input, (H, W) its feature map, C channels of the tower, D CLIP's embedding size.

    Args:
        clip (dict): The CLIP, as in :mod:`clamp.models.clip`.
        input_size (tuple[int, int]): Input size (width, height) in pixels that the table of position embeddings is
            made for. Other sizes run too; the table is then resized on the fly. Defaults to (256, 256).
        drop_path_rate (float): Stochastic depth of a ViT: the probability, rising linearly over the blocks from 0 to
            this, of skipping a residual branch for a sample. Defaults to 0.
        with_embeds (bool): Whether to compute the global and dense embeddings too. Without, the projection is not
            even built, and the backbone suits any head of MMPose: that is SimpleBaseline. Defaults to True.
        with_cp (bool): Whether a ViT keeps the inputs of its blocks alone for the backward pass and computes the rest
            again (gradient checkpointing, under MMPose's name for it): less memory, the same gradients, about a third
            more time. Defaults to False.
        init_cfg (dict, optional): MMEngine's; CLIP's weights come from ``clip``, not from here. Defaults to None.

    Raises:
        ValueError: If the CLIP's image tower is neither kind, or a ViT is given an input that its patches do not tile.
    """

    def __init__(
        self,
        clip: dict,
        input_size: tuple[int, int] = (256, 256),
        drop_path_rate: float = 0.0,
        with_embeds: bool = True,
        with_cp: bool = False,
        init_cfg: dict | None = None,
    ):
        super().__init__(init_cfg)
        config = clip_config(clip)
        vision_cfg = dict(config['vision_cfg'])
        self.stride, _ = image_tower_layout(clip)
        self.clip = clip
        self.with_embeds = with_embeds
        width, height = input_size
        if vision_cfg.get('patch_size'):
            vision_cfg['image_size'] = (height, width)
            self._check_tiles(height, width)
        self.tower = build_vision_tower(config['embed_dim'], vision_cfg, config['quick_gelu'])
        self.grid_size = (height // self.stride, width // self.stride)
        if self.is_vit:
            self._adapt_vit(drop_path_rate)
            self.tower.set_grad_checkpointing(with_cp)
        elif with_cp:
            raise ValueError('with_cp=True is for a ViT: in a ResNet, batch norm would count each batch twice.')
        else:
            self._adapt_resnet()
        self.tower.register_load_state_dict_pre_hook(self._resize_loaded_positions)
        self.tower.register_state_dict_post_hook(partial(_record_grid, grid_size=self.grid_size))

    def _adapt_vit(self, drop_path_rate: float) -> None:
        _add_stochastic_depth(self.tower, drop_path_rate)
        if not self.with_embeds:
            self.tower.ln_post, self.tower.proj = nn.Identity(), None

    def _adapt_resnet(self) -> None:
        self.tower.to(memory_format=torch.channels_last)  # the same values, faster convolutions
        if not self.with_embeds:
            self.tower.attnpool = None
            return
        pool = self.tower.attnpool
        table = torch.randn(1 + self.grid_size[0] * self.grid_size[1], pool.q_proj.in_features)
        pool.positional_embedding = nn.Parameter(table / table.shape[1] ** 0.5)

    @property
    def is_vit(self) -> bool:
        """Whether the tower is a vision transformer (else a ModifiedResNet)."""
        return isinstance(self.tower, VisionTransformer)

    def init_weights(self) -> None:
        """Load CLIP's weights (see :func:`clamp.models.clip.load_tower`)."""
        super().init_weights()
        image_size = clip_config(self.clip)['vision_cfg'].get('image_size', 224)
        clip_grid = tuple(side // self.stride for side in to_2tuple(image_size))
        load_tower(self.tower, self.clip, 'visual.', metadata=dict(grid_size=clip_grid))
        if not self.with_embeds:
            read_weights.cache_clear()  # no text tower will ask for the file

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Encode images.

        Args:
            images (Tensor): (B, 3, S_H, S_W), normalised.

        Returns:
            tuple[Tensor, ...]: global_embed (B, D), image_embeds (B, D, H, W), feature_map (B, C, H, W); the last
            alone if ``with_embeds`` is False. Embeddings are not normalised.
        """
        if self.is_vit:
            return self._forward_vit(images)
        return self._forward_resnet(images)

    def _forward_vit(self, images: Tensor) -> tuple[Tensor, ...]:
        tower = self.tower
        self._check_tiles(*images.shape[-2:])
        patches = tower.conv1(images)  # (B, C, H, W)
        grid = patches.shape[-2:]
        class_token = tower.class_embedding.to(patches.dtype).expand(len(images), 1, -1)
        tokens = torch.cat([class_token, patches.flatten(2).transpose(1, 2)], dim=1)  # (B, 1 + HW, C)
        positions = resize_positions(tower.positional_embedding, self.grid_size, grid)
        tokens = tower.ln_pre(tokens + positions.to(tokens.dtype))
        tokens = tower.transformer(tokens)
        feature_map = tokens[:, 1:].transpose(1, 2).unflatten(2, grid)  # (B, C, H, W)
        if not self.with_embeds:
            return (feature_map,)
        embeds = tower.ln_post(tokens) @ tower.proj  # (B, 1 + HW, D)
        return embeds[:, 0], embeds[:, 1:].transpose(1, 2).unflatten(2, grid), feature_map

    def _forward_resnet(self, images: Tensor) -> tuple[Tensor, ...]:
        tower = self.tower
        feature_map = tower.stem(images.contiguous(memory_format=torch.channels_last))
        for layer in (tower.layer1, tower.layer2, tower.layer3, tower.layer4):
            feature_map = layer(feature_map)  # (B, C, H, W) after the last
        if not self.with_embeds:
            return (feature_map,)
        embeds = self._attention_pool(feature_map)  # (B, 1 + HW, D)
        return embeds[:, 0], embeds[:, 1:].transpose(1, 2).unflatten(2, feature_map.shape[-2:]), feature_map

    def _attention_pool(self, feature_map: Tensor) -> Tensor:
        """CLIP's attention pooling with every position as a query: (B, C, H, W) to (B, 1 + HW, D), the pool first."""
        pool = self.tower.attnpool
        tokens = feature_map.flatten(2).transpose(1, 2)  # (B, HW, C)
        tokens = torch.cat([tokens.mean(dim=1, keepdim=True), tokens], dim=1)  # (B, 1 + HW, C)
        positions = resize_positions(pool.positional_embedding, self.grid_size, feature_map.shape[-2:])
        tokens = tokens + positions.to(tokens.dtype)
        heads = [
            proj(tokens).unflatten(2, (pool.num_heads, -1)).transpose(1, 2)  # (B, heads, 1 + HW, C / heads)
            for proj in (pool.q_proj, pool.k_proj, pool.v_proj)
        ]
        return pool.c_proj(F.scaled_dot_product_attention(*heads).transpose(1, 2).flatten(2))

    def _check_tiles(self, height: int, width: int) -> None:
        if height % self.stride or width % self.stride:
            raise ValueError(
                f'Patches of {self.stride} pixels do not tile an input of {width}x{height} (W x H). Use an input_size '
                f'whose sides are multiples of {self.stride}, in the codec and in the backbone.'
            )

    def _resize_loaded_positions(self, tower: nn.Module, state_dict: dict, prefix: str, metadata: dict, *_) -> None:
        """Fit a loaded table of position embeddings, of CLIP's own or another input size, to ``input_size``.

        Its length does not tell a grid of 16x12 from one of 12x16: the grid recorded with it does. Where none is, the
        table is taken to be of ours, if its length allows, or of a square grid.
        """
        name = f'{prefix}positional_embedding' if self.is_vit else f'{prefix}attnpool.positional_embedding'
        if (table := state_dict.get(name)) is None:
            return
        length = len(table) - 1
        for grid_size in (metadata.get('grid_size'), self.grid_size, (math.isqrt(length),) * 2):
            if grid_size and math.prod(grid_size) == length:
                state_dict[name] = resize_positions(table.float(), grid_size, self.grid_size)
                return  # else torch's own message about the shapes is the clearest


def _record_grid(tower: nn.Module, state_dict: dict, prefix: str, metadata: dict, grid_size: tuple[int, int]) -> None:
    """Write the grid of the position embeddings beside the version that torch keeps for each module."""
    metadata['grid_size'] = grid_size


def resize_positions(table: Tensor, from_grid: tuple[int, int], to_grid: tuple[int, int]) -> Tensor:
    """Resize a table of position embeddings bilinearly, the class token's row kept.

    Args:
        table (Tensor): (1 + H W, C), the class token's row first.
        from_grid (tuple[int, int]): Its (H, W).
        to_grid (tuple[int, int]): The (H', W') wanted.

    Returns:
        Tensor: (1 + H' W', C); the table itself if the two are equal.
    """
    if tuple(from_grid) == tuple(to_grid):
        return table
    grid = table[1:].T.unflatten(1, tuple(from_grid))[None]  # (1, C, H, W)
    grid = F.interpolate(grid, size=tuple(to_grid), mode='bilinear', align_corners=False)
    return torch.cat([table[:1], grid[0].flatten(1).T])


def _drop_path(module: nn.Module, args: tuple, output: Tensor, rate: float) -> Tensor:
    return stochastic_depth(output, rate, 'row', module.training)


def _add_stochastic_depth(tower: VisionTransformer, rate: float) -> None:
    """Skip whole residual branches at random, per sample: ``ls_1`` and ``ls_2`` end the two branches of a block."""
    blocks = tower.transformer.resblocks
    for block, block_rate in zip(blocks, torch.linspace(0, rate, len(blocks)).tolist()):
        if block_rate > 0:
            block.ls_1.register_forward_hook(partial(_drop_path, rate=block_rate))
            block.ls_2.register_forward_hook(partial(_drop_path, rate=block_rate))
