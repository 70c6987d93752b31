import torch
import torch.nn.functional as F
from torch import Tensor, nn


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
        self.stride, _ = self.layout(config)
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
