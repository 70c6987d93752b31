from functools import partial

from mmengine.model import BaseModule
from mmpose.registry import MODELS
from open_clip.utils import to_2tuple
from torch import Tensor, nn

from .clip import clip_config, load_tower
from .clip_weights import read_weights
from .image_towers import image_tower_kind


@MODELS.register_module()
class CLIPBackbone(BaseModule):
    """CLIP's image encoder with dense, language-aligned features (Section 3.1).

    The image tower is open_clip's: a ViT, a ModifiedResNet or a tower of timm. :mod:`clamp.models.image_towers` has,
    for each kind, the way from its features to an embedding for every position, which is all that is added to it.

    Notation: B batch, (S_H, S_W) input, (H, W) its feature map, C channels of the tower, D CLIP's embedding size.

    Args:
        clip (dict): The CLIP, as in :mod:`clamp.models.clip`.
        input_size (tuple[int, int]): Input size (width, height) in pixels that the table of position embeddings is
            made for. Other sizes run too, but for ViTs of timm; the table is then resized on the fly. Defaults to
            (256, 256).
        drop_path_rate (float): Stochastic depth: the probability, rising linearly over the blocks from 0 to this, of
            skipping a residual branch for a sample. A ModifiedResNet has none. Defaults to 0.
        with_embeds (bool): Whether to compute the global and dense embeddings too. Without, the projection is not
            even built, and the backbone suits any head of MMPose: that is SimpleBaseline. Defaults to True.
        with_cp (bool): Whether to keep the inputs of the blocks alone for the backward pass and compute the rest again
            (gradient checkpointing, under MMPose's name for it): less memory, the same gradients, about a third more
            time. Not for towers with batch norm. Defaults to False.
        init_cfg (dict, optional): MMEngine's; CLIP's weights come from ``clip``, not from here. Defaults to None.

    Raises:
        ValueError: If the CLIP's image tower is of no kind known here, or cannot take the input size.
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
        self.clip = clip
        self.with_embeds = with_embeds
        # no module: it knows how the tower is used, the tower has the weights
        self.dense = image_tower_kind(clip)(clip_config(clip), input_size, drop_path_rate, with_embeds)
        self.tower = self.dense.tower
        if with_cp:
            if any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in self.tower.modules()):
                raise ValueError('with_cp=True is not for this tower: its batch norms would count each batch twice.')
            self.tower.set_grad_checkpointing(True)
        self.tower.register_load_state_dict_pre_hook(self._resize_loaded_positions)
        self.tower.register_state_dict_post_hook(partial(_record_grid, grid_size=self.dense.grid_size))

    def init_weights(self) -> None:
        """Load CLIP's weights (see :func:`clamp.models.clip.load_tower`)."""
        super().init_weights()
        image_size = clip_config(self.clip)['vision_cfg'].get('image_size', 224)
        clip_grid = tuple(side // self.dense.stride for side in to_2tuple(image_size))
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
        return self.dense(images)

    def _resize_loaded_positions(self, tower: nn.Module, state_dict: dict, prefix: str, metadata: dict, *_) -> None:
        self.dense.resize_loaded(state_dict, prefix, metadata.get('grid_size'))


def _record_grid(tower: nn.Module, state_dict: dict, prefix: str, metadata: dict, grid_size: tuple[int, int]) -> None:
    """Write the grid of the position embeddings beside the version that torch keeps for each module.

    The length of a table does not tell a grid of 16x12 from one of 12x16.
    """
    metadata['grid_size'] = grid_size
