from collections.abc import Sequence

import torch
from mmengine.model import BaseModule
from mmpose.registry import MODELS
from open_clip.transformer import LayerNorm, QuickGELU, Transformer
from torch import Tensor, nn

from .attention import simplify_attention
from .clip import load_tower
from .clip_weights import read_weights
from .precision import without_autocast
from .text_towers import build_text_encoder


@MODELS.register_module()
class PromptLearner(BaseModule):
    """Keypoint names to prompt embeddings that know the image (Section 3.2, eq. 2, Figure 2).

    ::

        [SOT][T]_1..[T]_8[name][EOT] - frozen CLIP text encoder            (K, D)      eq. 2
          - prompt encoder: one transformer layer over the K prompts       (K, D)
          - cross-attention to the image, a residual                       (B, K, D)   E_prompt

    The first two steps do not depend on the image: in evaluation their result is kept until a weight changes.

    Texts that the model was not trained on can be asked for too. Each attends to the K names and to itself, in both
    attentions over prompts, and nothing attends to it: the K prompts stay what they are, and the answer to a text does
    not depend on the others asked for with it. A text that is one of the K names gets that name's prompt.

    Notation: B batch, K keypoints, D CLIP's embedding size, (H, W) feature map, N context tokens, L prompt length.

    Args:
        keypoint_names (Sequence[str]): The K names as a person would say them, such as ``'left front paw'``.
        text_encoder (dict, optional): The CLIP whose text encoder is used, as in :mod:`clamp.models.clip`. None puts
            a trainable K x D matrix in the place of the encoded prompts (Table 8).
        num_context_tokens (int): N, the learnable tokens before each name, shared by all. Defaults to 8.
        prompt_encoder (dict, optional): Arguments of :class:`PromptEncoder` besides ``embed_dim``. None leaves it out
            (Table 6).
        cross_attention (dict, optional): Arguments of :class:`ImageCrossAttention` besides ``embed_dim``. None leaves
            it out.
        embed_dim (int, optional): D; needed only without a text encoder.
        init_cfg (dict, optional): MMEngine's. Defaults to None.
    """

    def __init__(
        self,
        keypoint_names: Sequence[str],
        text_encoder: dict | None,
        num_context_tokens: int = 8,
        prompt_encoder: dict | None = {},  # noqa: B006
        cross_attention: dict | None = {},  # noqa: B006
        embed_dim: int | None = None,
        init_cfg: dict | None = None,
    ):
        super().__init__(init_cfg)
        self.keypoint_names = list(keypoint_names)
        if text_encoder is not None:
            self.text_encoder = build_text_encoder(text_encoder, self.keypoint_names, num_context_tokens)
            embed_dim = self.text_encoder.embed_dim
            shape = (num_context_tokens, self.text_encoder.width)
        else:
            if embed_dim is None:
                raise ValueError("Without a text_encoder, embed_dim (CLIP's embedding size) must be given.")
            self.text_encoder = None
            shape = (len(self.keypoint_names), embed_dim)
        self.context = nn.Parameter(nn.init.trunc_normal_(torch.empty(shape)))  # std 1, as released
        self.prompt_encoder = None if prompt_encoder is None else PromptEncoder(embed_dim, **prompt_encoder)
        self.cross_attention = None if cross_attention is None else ImageCrossAttention(embed_dim, **cross_attention)
        self._cached_prompts: dict[bool, tuple] = {}  # of the names, and of the names with the new texts asked for last

    def forward(self, global_embed: Tensor, image_embeds: Tensor, texts: Sequence[str] | None = None) -> Tensor:
        """Return the prompts of each image.

        Args:
            global_embed (Tensor): (B, D).
            image_embeds (Tensor): (B, D, H, W).
            texts (Sequence[str], optional): P texts to ask for in place of the K names, trained on or not. Defaults
                to None.

        Returns:
            Tensor: text_embeds (B, K, D), with ``texts`` (B, P, D), not normalised.

        Raises:
            ValueError: If a text is not one of the K names and there is no text encoder, or it makes too long a prompt.
        """
        new = self.new_texts(texts or ())
        prompts = self.encode_prompts(new).expand(len(global_embed), -1, -1)  # (B, K + number of new texts, D)
        if self.cross_attention is not None:
            memory = [global_embed[:, None], image_embeds.flatten(2).transpose(1, 2)]
            prompts = self.cross_attention(prompts, torch.cat(memory, dim=1), self._mask(new))  # memory (B, 1 + HW, D)
        if texts is None or list(texts) == [*self.keypoint_names, *new]:
            return prompts
        return prompts[:, [[*self.keypoint_names, *new].index(text) for text in texts]]  # (B, P, D)

    def new_texts(self, texts: Sequence[str]) -> tuple[str, ...]:
        """Return the texts that are not among the K names, each once."""
        return tuple(dict.fromkeys(text for text in texts if text not in self.keypoint_names))

    def encode_prompts(self, new: tuple[str, ...] = ()) -> Tensor:
        """Return the image-independent prompts (K, D), from the last call if nothing has changed since.

        Args:
            new (tuple[str]): Texts that are not among the K names; theirs are the last rows. Defaults to none.

        Raises:
            ValueError: As :meth:`forward`.
        """
        if self.training or torch.is_grad_enabled():
            return self._encode_prompts(new)
        weights = [p for name, p in self.named_parameters() if not name.startswith('cross_attention.')]
        state = new, tuple((p.data_ptr(), p._version) for p in weights)
        cached = self._cached_prompts.get(bool(new))
        if cached is None or cached[0] != state:
            cached = self._cached_prompts[bool(new)] = (state, self._encode_prompts(new))
        return cached[1]

    def _encode_prompts(self, new: tuple[str, ...]) -> Tensor:
        # in float32 under autocast too: for so few tokens, to cast all weights takes longer than to multiply by them
        with without_autocast(self.context.device):
            prompts = self.encode_texts(new)
            return prompts if self.prompt_encoder is None else self.prompt_encoder(prompts, self._mask(new))

    def encode_texts(self, new: tuple[str, ...] = ()) -> Tensor:
        """Return the K names, and after them the new texts, as the text encoder sees them (eq. 2), (K + P, D).

        This is what a subclass overrides to word prompts in another way (docs/extend.md).

        Raises:
            ValueError: If there are new texts, but no text encoder.
        """
        if self.text_encoder is not None:
            return self.text_encoder(self.context, [*self.keypoint_names, *new] if new else None)
        if new:
            raise ValueError(
                f'A model without a text encoder knows its own keypoint names alone, not {", ".join(map(repr, new))}. '
                f'They are {", ".join(self.keypoint_names)}.'
            )
        return self.context  # a trainable row for each name

    def _mask(self, new: tuple[str, ...]) -> Tensor | None:
        """Return what is added to the attention over prompts: all see the K names, a new text sees itself as well."""
        if not new:
            return None
        names, total = len(self.keypoint_names), len(self.keypoint_names) + len(new)
        places = torch.arange(total, device=self.context.device)
        sees = (places < names) | (places == places[:, None])  # (total, total)
        return torch.zeros(total, total, device=self.context.device).masked_fill(~sees, float('-inf'))

    def train(self, mode: bool = True) -> 'PromptLearner':
        """Set the mode; prompts are computed anew (weight averaging swaps weights unseen, but always before this)."""
        self._cached_prompts = {}
        return super().train(mode)

    def init_weights(self) -> None:
        """Load CLIP's text encoder (see :func:`clamp.models.clip.load_tower`)."""
        super().init_weights()
        if self.text_encoder is not None:
            load_tower(self.text_encoder.tower, self.text_encoder.clip, 'text.')
        read_weights.cache_clear()  # the image tower was loaded before; nobody else wants the file's 0.3 to 0.9 GB


class PromptEncoder(nn.Module):
    """Transformer over the K prompts, which lets keypoints see each other (Section 3.2).

    Args:
        embed_dim (int): D.
        num_layers (int): Defaults to 1.
        num_heads (int): Defaults to 8.
    """

    def __init__(self, embed_dim: int, num_layers: int = 1, num_heads: int = 8):
        super().__init__()
        self.transformer = Transformer(embed_dim, num_layers, num_heads, act_layer=QuickGELU)
        self.ln_final = LayerNorm(embed_dim)
        simplify_attention(self)

    def forward(self, prompts: Tensor, mask: Tensor | None = None) -> Tensor:
        """Encode prompts, (K, D) to (K, D); ``mask`` (K, K) is added to the attention."""
        return self.ln_final(self.transformer(prompts[None], attn_mask=mask)[0])


class ImageCrossAttention(nn.Module):
    """Refine prompts by attention to the image: E = text + gamma * decoder(text, image) (Section 3.2).

    Args:
        embed_dim (int): D.
        width (int): Width of the decoder. Defaults to 256.
        num_layers (int): Defaults to 3.
        num_heads (int): Defaults to 4.
        dropout (float): Defaults to 0.1.
        init_gamma (float): Start of the learnable scale of the refinement, per channel. Defaults to 1e-3.
    """

    def __init__(
        self,
        embed_dim: int,
        width: int = 256,
        num_layers: int = 3,
        num_heads: int = 4,
        dropout: float = 0.1,
        init_gamma: float = 1e-3,
    ):
        super().__init__()
        self.memory_proj = nn.Sequential(nn.LayerNorm(embed_dim), nn.Linear(embed_dim, width), nn.LayerNorm(width))
        self.text_proj = nn.Sequential(nn.LayerNorm(embed_dim), nn.Linear(embed_dim, width))
        self.layers = nn.ModuleList(
            nn.TransformerDecoderLayer(
                width, num_heads, 4 * width, dropout, activation='gelu', batch_first=True, norm_first=True
            )
            for _ in range(num_layers)
        )
        self.out_proj = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, embed_dim))
        self.gamma = nn.Parameter(torch.full((embed_dim,), init_gamma))
        simplify_attention(self)
        for name, parameter in self.named_parameters():
            if parameter.ndim == 2:
                nn.init.trunc_normal_(parameter, std=0.02)
            elif name.endswith('bias'):
                nn.init.zeros_(parameter)

    def forward(self, prompts: Tensor, memory: Tensor, mask: Tensor | None = None) -> Tensor:
        """Refine prompts.

        Args:
            prompts (Tensor): (B, K, D).
            memory (Tensor): The global and the dense image embeddings, (B, 1 + HW, D), not normalised.
            mask (Tensor, optional): (K, K), added to the attention of prompts to prompts. Defaults to None.

        Returns:
            Tensor: (B, K, D).
        """
        refined, memory = self.text_proj(prompts), self.memory_proj(memory)  # (B, K, width), (B, 1 + HW, width)
        for layer in self.layers:
            refined = layer(refined, memory, tgt_mask=mask)
        return prompts + self.gamma * self.out_proj(refined)
