"""The kinds of image towers, one class each: how a tower of open_clip gives an embedding for every position.

To add a kind, write a class with the five things that :class:`DenseTower` asks for, add it to ``IMAGE_TOWERS`` and
compare its pooled output with open_clip's in ``tests/test_models/test_image_towers.py``.

Notation: B batch, (S_H, S_W) input, (H, W) its feature map, C channels of the tower, D CLIP's embedding size, P tokens
before those of the positions (a class token).
"""

from functools import cache, partial

import torch
import torch.nn.functional as F
from open_clip.model import _build_vision_tower as build_vision_tower
from torch import Tensor, nn
from torchvision.ops import stochastic_depth

from .attention import simplify_attention
from .clip import clip_config, describe


class DenseTower:
    """What :class:`CLIPBackbone` asks of an image tower; the base of all kinds.

    A kind says which towers are its own (:meth:`takes`) and their stride and channels (:meth:`layout`), builds one
    (:meth:`build`), computes its features (:meth:`features`) and projects them into the embedding space
    (:meth:`embeds`). Weights stay where open_clip has them: in ``self.tower``, under open_clip's names.

    Args:
        config (dict): Of the CLIP, as :func:`clamp.models.clip.clip_config` returns it.
        input_size (tuple[int, int]): (width, height) in pixels.
        drop_path_rate (float): Stochastic depth: the probability, rising linearly over the blocks from 0 to this, of
            skipping a residual branch for a sample.
        with_embeds (bool): Whether :meth:`embeds` will be asked for. Without, what only it needs is not in the tower.
    """

    position_table: str | None = None  # the tower's entry with a position embedding for each of P + H W places

    def __init__(self, config: dict, input_size: tuple[int, int], drop_path_rate: float, with_embeds: bool):
        self.stride, self.channels = self.layout(config)
        self.input_size, self.with_embeds = tuple(input_size), with_embeds
        self.grid_size = (input_size[1] // self.stride, input_size[0] // self.stride)  # (H, W)
        self.check_size(input_size[1], input_size[0])
        self.tower: nn.Module = self.build(config, drop_path_rate)

    @staticmethod
    def takes(vision_cfg: dict) -> bool:
        """Whether towers of this ``vision_cfg`` are of this kind."""
        raise NotImplementedError

    @staticmethod
    def layout(config: dict) -> tuple[int, int]:
        """Return the stride and the channels C of the feature map."""
        raise NotImplementedError

    def build(self, config: dict, drop_path_rate: float) -> nn.Module:
        """Return open_clip's tower for ``input_size``."""
        raise NotImplementedError

    def features(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return the feature map (B, C, H, W) of images (B, 3, S_H, S_W), and what :meth:`embeds` needs."""
        raise NotImplementedError

    def embeds(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Return the embedding of the image (B, D) and of its positions in their order (B, H W, D)."""
        raise NotImplementedError

    def __call__(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return global_embed (B, D), image_embeds (B, D, H, W), feature_map (B, C, H, W), or the last alone."""
        self.check_size(*images.shape[-2:])
        feature_map, features = self.features(images)
        if not self.with_embeds:
            return (feature_map,)
        global_embed, image_embeds = self.embeds(features)
        return global_embed, image_embeds.transpose(1, 2).unflatten(2, feature_map.shape[-2:]), feature_map

    def check_size(self, height: int, width: int) -> None:
        """Check that the feature map covers an input: no pixel is cut off, none is padded.

        Raises:
            ValueError: If not.
        """
        if height % self.stride or width % self.stride:
            raise ValueError(
                f'Cells of {self.stride} pixels do not tile an input of {width}x{height} (W x H). Use an input_size '
                f'whose sides are multiples of {self.stride}, in the codec and in the backbone.'
            )

    def resize_loaded(self, state_dict: dict, prefix: str, from_grid: tuple[int, int] | None) -> None:
        """Fit loaded position embeddings of another input size to ``input_size``, in place.

        Args:
            state_dict (dict): What is loaded, its names beginning with ``prefix``.
            prefix (str): The tower's.
            from_grid (tuple[int, int], optional): The grid (H, W) recorded with it. The length of a table does not tell
                16x12 from 12x16; without a record, it is taken to be of ours, if it is as long, or of a square.
        """
        name = f'{prefix}{self.position_table}'
        own = dict(self.tower.named_parameters()).get(self.position_table)
        if own is None or (table := state_dict.get(name)) is None:
            return
        first = own.shape[-2] - self.grid_size[0] * self.grid_size[1]  # the rows of the class token
        length = table.shape[-2] - first
        for grid in (from_grid, self.grid_size, (int(max(length, 0) ** 0.5),) * 2):
            if grid and grid[0] * grid[1] == length:
                rows = resize_positions(table.float().reshape(-1, table.shape[-1]), grid, self.grid_size)
                state_dict[name] = rows.reshape(*table.shape[:-2], *rows.shape)
                return  # else torch's own message about the shapes is the clearest


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
        for block, rate in zip(tower.transformer.resblocks, torch.linspace(0, drop_path_rate, vision_cfg['layers'])):
            if rate > 0:  # ls_1 and ls_2 end the two residual branches of a block
                block.ls_1.register_forward_hook(partial(_drop_path, rate=rate.item()))
                block.ls_2.register_forward_hook(partial(_drop_path, rate=rate.item()))
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


class DenseTimm(DenseTower):
    """Any tower of timm: the embedding of a position is what the tower's own head makes of an image of that position.

    Of one position the mean is itself, and the softmax of attention pooling is 1. So a convolutional tower's norm and
    projection are applied at every position (FC-CLIP's way), and likewise a ViT's, and of attention pooling (SigLIP,
    PE) value, output projection and MLP remain (MaskCLIP's way).
    """

    @property
    def position_table(self) -> str | None:
        """The table of ViTs, where they have one."""
        return 'trunk.pos_embed' if getattr(self.tower.trunk, 'pos_embed', None) is not None else None

    @staticmethod
    def takes(vision_cfg: dict) -> bool:
        """Towers with a ``timm_model_name``."""
        return bool(vision_cfg.get('timm_model_name'))

    @staticmethod
    def layout(config: dict) -> tuple[int, int]:
        """Ask timm: the stride in its records, the channels by a forward pass without values."""
        return _timm_layout(config['vision_cfg']['timm_model_name'])

    def build(self, config: dict, drop_path_rate: float) -> nn.Module:
        """Build it for ``input_size``: its tables of positions and the sizes of its windows follow from it."""
        vision_cfg = config['vision_cfg'] | dict(timm_model_pretrained=False)  # weights come from clip['pretrained']
        if drop_path_rate:
            vision_cfg['timm_drop_path'] = drop_path_rate
        name, size = vision_cfg['timm_model_name'], self.input_size[::-1]
        try:
            tower = build_vision_tower(config['embed_dim'], vision_cfg, config['quick_gelu'])
            if hasattr(tower.trunk, 'set_input_size'):
                tower.trunk.set_input_size(size)
        except (TypeError, AssertionError, RuntimeError) as error:
            raise ValueError(
                f'timm cannot build {name} for an input of {size[1]}x{size[0]} (W x H) with drop_path_rate='
                f'{drop_path_rate}: {error}'
            ) from error
        if not self.with_embeds:
            tower.head = nn.Identity()
            for part in ('head', 'classifier', 'fc_norm', 'attn_pool'):
                if isinstance(getattr(tower.trunk, part, None), nn.Module):
                    setattr(tower.trunk, part, nn.Identity())
        self.memory_format = torch.contiguous_format
        if not self._is_vit(tower.trunk) and type(tower.trunk).__name__ != 'FastVit':
            # FastViT's backward pass in this layout corrupts the heap on a CPU (torch 2.14)
            self.memory_format = torch.channels_last
        return tower.to(memory_format=self.memory_format)

    @staticmethod
    def _is_vit(trunk: nn.Module) -> bool:
        return hasattr(trunk, 'num_prefix_tokens')

    def features(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return the feature map, last norm included where timm has it there, and timm's features as they are."""
        trunk = self.tower.trunk
        if self._is_vit(trunk):
            features = trunk.forward_features(images)  # (B, P + H W, C)
            tokens = features[:, trunk.num_prefix_tokens :]
            return tokens.transpose(1, 2).unflatten(2, self.grid_size), features
        features = trunk.forward_features(images.contiguous(memory_format=self.memory_format))
        if getattr(trunk, 'output_fmt', 'NCHW') == 'NHWC':  # Swin
            return features.permute(0, 3, 1, 2), features
        return features, features

    def embeds(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Apply the head to the image, and to each of its positions as an image of its own."""
        trunk = self.tower.trunk
        if self._is_vit(trunk):
            tokens = features[:, trunk.num_prefix_tokens :].flatten(0, 1)  # (B H W, C)
            positions = tokens[:, None].expand(-1, 1 + trunk.num_prefix_tokens, -1)  # whichever the head takes
        elif getattr(trunk, 'output_fmt', 'NCHW') == 'NHWC':
            positions = features.flatten(0, 2)[:, None, None]  # (B H W, 1, 1, C)
        else:
            positions = features.permute(0, 2, 3, 1).flatten(0, 2)[..., None, None]  # (B H W, C, 1, 1)
        return self._head(features), self._head(positions).unflatten(0, (len(features), -1))

    def _head(self, features: Tensor) -> Tensor:
        return self.tower.head(self.tower.trunk.forward_head(features))

    def check_size(self, height: int, width: int) -> None:
        """As the base; a ViT, built for one size, takes that one alone."""
        super().check_size(height, width)
        if hasattr(self, 'tower') and self._is_vit(self.tower.trunk) and (width, height) != self.input_size:
            raise ValueError(
                f'The image tower was built for an input_size of {self.input_size} (W, H), the images are '
                f'{(width, height)}. Give the backbone the input_size of the codec.'
            )

    def resize_loaded(self, state_dict: dict, prefix: str, from_grid: tuple[int, int] | None) -> None:
        """As the base, and tables of relative positions too."""
        super().resize_loaded(state_dict, prefix, from_grid)
        from timm.layers import resize_rel_pos_bias_table

        for name, own in self.tower.named_parameters():
            table = state_dict.get(prefix + name)
            if name.endswith('relative_position_bias_table') and table is not None and table.shape != own.shape:
                window = self.tower.get_submodule(name.rpartition('.')[0]).window_size
                state_dict[prefix + name] = resize_rel_pos_bias_table(table, window, own.shape)


IMAGE_TOWERS: tuple[type[DenseTower], ...] = (DenseTimm, DenseResNet, DenseViT)  # the first that takes it


def image_tower_kind(clip: dict) -> type[DenseTower]:
    """Return the class for a CLIP's image tower.

    Args:
        clip (dict): As in :mod:`clamp.models.clip`.

    Raises:
        ValueError: If no kind takes it.
    """
    vision_cfg = clip_config(clip)['vision_cfg']
    for kind in IMAGE_TOWERS:
        if kind.takes(vision_cfg):
            return kind
    raise ValueError(
        f'The image tower of {describe(clip)} is of no kind known here: CoCa pools all positions into queries, and '
        'leaves no embedding of a position. Known are ViTs, ModifiedResNets and the towers of timm '
        '(clamp/models/image_towers.py).'
    )


def image_tower_layout(clip: dict) -> tuple[int, int]:
    """Return the stride and the channels of the feature map of a CLIP's image tower, without building it."""
    return image_tower_kind(clip).layout(clip_config(clip))


@cache
def _timm_layout(name: str) -> tuple[int, int]:
    import timm

    try:
        with torch.device('meta'), torch.no_grad():
            trunk = timm.create_model(name, num_classes=0)
    except RuntimeError as error:
        near = ', '.join(timm.list_models(f'*{name.split("_")[0]}*')[:5])
        raise ValueError(f'timm knows no timm_model_name={name!r}. Close to it: {near or "none"}.') from error
    return trunk.feature_info[-1]['reduction'], trunk.num_features


def _drop_path(module: nn.Module, args: tuple, output: Tensor, rate: float) -> Tensor:
    return stochastic_depth(output, rate, 'row', module.training)


def resize_positions(table: Tensor, from_grid: tuple[int, int], to_grid: tuple[int, int]) -> Tensor:
    """Resize a table of position embeddings bilinearly; the rows before the grid's are kept.

    Args:
        table (Tensor): (P + H W, C), the class token's row first.
        from_grid (tuple[int, int]): Its (H, W).
        to_grid (tuple[int, int]): The (H', W') wanted.

    Returns:
        Tensor: (P + H' W', C); the table itself if the two are equal.
    """
    if tuple(from_grid) == tuple(to_grid):
        return table
    first = len(table) - from_grid[0] * from_grid[1]
    grid = table[first:].T.unflatten(1, tuple(from_grid))[None]  # (1, C, H, W)
    grid = F.interpolate(grid, size=tuple(to_grid), mode='bilinear', align_corners=False)
    return torch.cat([table[:first], grid[0].flatten(1).T])
