from functools import cache

import torch
from open_clip.model import _build_vision_tower as build_vision_tower
from torch import Tensor, nn

from .base import DenseTower


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
        """Ask timm, whose records of a model without weights have both."""
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
