from collections.abc import Sequence

import torch
from open_clip.model import _build_text_tower as build_text_tower
from torch import Tensor, nn

from ..attention import simplify_attention
from ..clip import clip_config
from .tokens import special_tokens


class TextEncoder(nn.Module):
    """A frozen text encoder over prompts with learnable context tokens (eq. 2); the base of all kinds.

    A kind says which towers are its own (:meth:`takes`), lays the prompts of names out as tensors (:meth:`layout`) and
    encodes them (:meth:`encode`).

    Args:
        clip (dict): The CLIP, as in :mod:`clamp.models.clip`.
        names (Sequence[str]): The K keypoint names.
        num_context_tokens (int): N.

    Raises:
        ValueError: If a prompt is longer than the text encoder takes.
        FileNotFoundError: If its tokenizer is not on this machine and cannot be fetched.
    """

    def __init__(self, clip: dict, names: Sequence[str], num_context_tokens: int):
        super().__init__()
        config = clip_config(clip)
        self.clip = clip
        self.text_cfg, self.num_context_tokens = config['text_cfg'], num_context_tokens
        with torch.device('cpu'):  # also for weights on no device; first, as it finds bad names and lacking files
            layout = self.layout(self.text_cfg, names, num_context_tokens)
            self.start = special_tokens(self.text_cfg)[0]
        self.tower = self.build(config)
        simplify_attention(self.tower)
        self.embed_dim, self.width = config['embed_dim'], self.token_embedding.embedding_dim
        self.layout_names = tuple(layout)
        for name, tensor in layout.items():
            self.register_buffer(name, tensor, persistent=False)
        self.requires_grad_(False)
        self.train()

    @staticmethod
    def takes(text_cfg: dict) -> bool:
        """Whether towers of this ``text_cfg`` are of this kind."""
        raise NotImplementedError

    @staticmethod
    def layout(text_cfg: dict, names: Sequence[str], num_context_tokens: int) -> dict[str, Tensor]:
        """Return the prompts of names as the tensors that :meth:`encode` takes."""
        raise NotImplementedError

    @staticmethod
    def build(config: dict) -> nn.Module:
        """Return open_clip's tower."""
        text_cfg = config['text_cfg'] | dict(hf_model_pretrained=False)  # weights come from clip['pretrained']
        return build_text_tower(config['embed_dim'], text_cfg, config['quick_gelu'])

    def encode(self, context: Tensor, **layout: Tensor) -> Tensor:
        """Encode prompts: context (N, width of the text encoder) to (K, D)."""
        raise NotImplementedError

    @property
    def token_embedding(self) -> nn.Embedding:
        """The tower's table of token embeddings."""
        return self.tower.token_embedding

    def train(self, mode: bool = True) -> 'TextEncoder':
        """Stay in evaluation mode: the encoder is frozen."""
        return super().train(False)

    def forward(self, context: Tensor, names: Sequence[str] | None = None) -> Tensor:
        """Encode the prompts [SOT] context [name] [EOT].

        Args:
            context (Tensor): (N, width of the text encoder).
            names (Sequence[str], optional): Names in place of the K of the constructor. Defaults to None.

        Returns:
            Tensor: (K, D).

        Raises:
            ValueError: If ``context`` has another shape, or a prompt is too long.
        """
        if context.shape != (self.num_context_tokens, self.width):
            raise ValueError(
                f'The context has the shape {tuple(context.shape)}, but should have '
                f'{(self.num_context_tokens, self.width)}: all names of a call share it. Of several contexts, encode '
                'with one after the other (docs/extend.md).'
            )
        if names is None:
            return self.encode(context, **{name: getattr(self, name) for name in self.layout_names})
        layout = self.layout(self.text_cfg, names, self.num_context_tokens)
        # non_blocking: in training, names may be drawn anew for each step, which waits for nothing
        layout = {name: tensor.to(context.device, non_blocking=True) for name, tensor in layout.items()}
        return self.encode(context, **layout)

    def embed_prompts(self, tokens: Tensor, context: Tensor) -> Tensor:
        """Look tokens (K, L) up and put the context after the first special one of each prompt: (K, L, width)."""
        embeds = self.token_embedding(tokens)
        shared = context.to(embeds.dtype).expand(len(tokens), -1, -1)  # (K, N, width)
        return torch.cat([embeds[:, : self.start], shared, embeds[:, self.start + len(context) :]], dim=1)


def project(tower: nn.Module, embeds: Tensor) -> Tensor:
    """Project embeddings (K, width) into CLIP's space, (K, D), by the tower's matrix or linear layer, if it has one."""
    projection = tower.text_projection
    if projection is None:
        return embeds
    return projection(embeds) if isinstance(projection, nn.Linear) else embeds @ projection
