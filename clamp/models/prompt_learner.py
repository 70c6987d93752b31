from collections.abc import Sequence

import open_clip
import torch
from mmengine.model import BaseModule
from mmpose.registry import MODELS
from open_clip.transformer import LayerNorm, QuickGELU, TextTransformer, Transformer
from torch import Tensor, nn

from .clip import build_text_tower, clip_config, load_tower, read_weights


@MODELS.register_module()
class PromptLearner(BaseModule):
    """Keypoint names to prompt embeddings that know the image (Section 3.2, eq. 2, Figure 2).

    ::

        [SOT][T]_1..[T]_8[name][EOT] - frozen CLIP text encoder            (K, D)      eq. 2
          - prompt encoder: one transformer layer over the K prompts       (K, D)
          - cross-attention to the image, a residual                       (B, K, D)   E_prompt

    The first two steps do not depend on the image: in evaluation their result is kept until a weight changes.

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
            self.text_encoder = CLIPTextEncoder(text_encoder, self.keypoint_names, num_context_tokens)
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
        self._cached_prompts: tuple | None = None

    def forward(self, global_embed: Tensor, image_embeds: Tensor) -> Tensor:
        """Return the prompts of each image.

        Args:
            global_embed (Tensor): (B, D).
            image_embeds (Tensor): (B, D, H, W).

        Returns:
            Tensor: text_embeds (B, K, D), not normalised.
        """
        prompts = self.encode_prompts().expand(len(global_embed), -1, -1)  # (B, K, D)
        if self.cross_attention is None:
            return prompts
        memory = torch.cat([global_embed[:, None], image_embeds.flatten(2).transpose(1, 2)], dim=1)  # (B, 1 + HW, D)
        return self.cross_attention(prompts, memory)

    def encode_prompts(self) -> Tensor:
        """Return the image-independent prompts (K, D), from the last call if nothing has changed since."""
        if self.training or torch.is_grad_enabled():
            return self._encode_prompts()
        device = self.context.device.type
        precision = torch.is_autocast_enabled(device), torch.get_autocast_dtype(device)
        state = precision, tuple((p.data_ptr(), p._version) for p in self._prompt_parameters())
        if self._cached_prompts is None or self._cached_prompts[0] != state:
            self._cached_prompts = (state, self._encode_prompts())
        return self._cached_prompts[1]

    def _encode_prompts(self) -> Tensor:
        prompts = self.context if self.text_encoder is None else self.text_encoder(self.context)
        return prompts if self.prompt_encoder is None else self.prompt_encoder(prompts)

    def _prompt_parameters(self):
        yield self.context
        for module in (self.text_encoder, self.prompt_encoder):
            if module is not None:
                yield from module.parameters()

    def train(self, mode: bool = True) -> 'PromptLearner':
        """Set the mode; prompts are computed anew (weight averaging swaps weights unseen, but always before this)."""
        self._cached_prompts = None
        return super().train(mode)

    def init_weights(self) -> None:
        """Load CLIP's text encoder (see :func:`clamp.models.clip.load_tower`)."""
        super().init_weights()
        if self.text_encoder is not None:
            load_tower(self.text_encoder.tower, self.text_encoder.clip, 'text.')
        read_weights.cache_clear()  # the image tower was loaded before; nobody else wants the file's 0.3 to 0.9 GB


class CLIPTextEncoder(nn.Module):
    """CLIP's frozen text encoder over prompts with learnable context tokens (eq. 2).

    It runs on as many tokens as the longest prompt needs instead of CLIP's 77: its attention is causal, so that what
    comes after [EOT] changes nothing.

    Args:
        clip (dict): The CLIP, as in :mod:`clamp.models.clip`.
        names (Sequence[str]): The K keypoint names.
        num_context_tokens (int): N.

    Raises:
        ValueError: If the text encoder is not CLIP's causal transformer, or a prompt is longer than it takes.
    """

    def __init__(self, clip: dict, names: Sequence[str], num_context_tokens: int):
        super().__init__()
        config = clip_config(clip)
        self.clip = clip
        if others := {'hf_model_name', 'hf_tokenizer_name', 'tokenizer_kwargs'} & set(config['text_cfg']):
            raise ValueError(
                f'{clip.get("model_name", clip)} does not read what the tokenizer of CLIP writes: it has '
                f"{', '.join(sorted(others))}. Use a model with CLIP's own text encoder, such as ViT-B-16-quickgelu."
            )
        self.tower = build_text_tower(config['embed_dim'], config['text_cfg'], config['quick_gelu'])
        if (
            not isinstance(self.tower, TextTransformer)
            or self.tower.attn_mask is None
            or self.tower.cls_emb is not None
        ):
            raise ValueError(f"The text encoder of {clip.get('model_name', clip)} is not CLIP's causal transformer.")
        self.embed_dim, self.width = config['embed_dim'], self.tower.width
        self.num_context_tokens = num_context_tokens
        tokens, eot = tokenize(names, num_context_tokens, self.tower.context_length)
        self.register_buffer('tokens', tokens, persistent=False)  # (K, L)
        self.register_buffer('eot', eot, persistent=False)  # (K,), the position of [EOT]
        self.requires_grad_(False)

    def train(self, mode: bool = True) -> 'CLIPTextEncoder':
        """Stay in evaluation mode: the encoder is frozen."""
        return super().train(False)

    def forward(self, context: Tensor) -> Tensor:
        """Encode the prompts [SOT] context [name] [EOT].

        Args:
            context (Tensor): (N, width of the text encoder).

        Returns:
            Tensor: (K, D).
        """
        tower, length = self.tower, self.tokens.shape[1]
        embeds = tower.token_embedding(self.tokens)  # (K, L, width)
        context = context.to(embeds.dtype).expand(len(embeds), -1, -1)
        embeds = torch.cat([embeds[:, :1], context, embeds[:, 1 + self.num_context_tokens :]], dim=1)
        embeds = embeds + tower.positional_embedding[:length]
        embeds = tower.transformer(embeds, attn_mask=tower.attn_mask[:length, :length])
        pooled = tower.ln_final(embeds[torch.arange(len(embeds), device=embeds.device), self.eot])  # (K, width)
        return pooled @ tower.text_projection


def tokenize(names: Sequence[str], num_context_tokens: int, context_length: int) -> tuple[Tensor, Tensor]:
    """Tokenize names, with room for the context tokens after [SOT].

    Args:
        names (Sequence[str]): K names.
        num_context_tokens (int): N.
        context_length (int): The most tokens that the text encoder takes, 77 for CLIP.

    Returns:
        tuple[Tensor, Tensor]: Tokens (K, L) with zeros at the N places of the context, and the position of [EOT] (K,).

    Raises:
        ValueError: If a name is empty, or its prompt has more than ``context_length`` tokens.
    """
    tokenizer = open_clip.tokenizer.SimpleTokenizer(context_length=1024)
    rows = []
    for name, row in zip(names, tokenizer(list(names)).tolist()):
        row = row[: row.index(tokenizer.eot_token_id) + 1]  # [SOT] name [EOT]
        length = len(row) + num_context_tokens
        if length > context_length or len(row) == 2:
            raise ValueError(
                f'The keypoint name {name!r} makes a prompt of {length} tokens ({num_context_tokens} of context, '
                f'[SOT], {len(row) - 2} of the name, [EOT]); the text encoder takes between '
                f'{num_context_tokens + 3} and {context_length}. Change the name or num_context_tokens.'
            )
        rows.append(row[:1] + [0] * num_context_tokens + row[1:])
    longest = max(map(len, rows))
    tokens = torch.tensor([row + [0] * (longest - len(row)) for row in rows])
    return tokens, torch.tensor([len(row) - 1 for row in rows])


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

    def forward(self, prompts: Tensor) -> Tensor:
        """Encode prompts, (K, D) to (K, D)."""
        return self.ln_final(self.transformer(prompts[None])[0])


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
        for name, parameter in self.named_parameters():
            if parameter.ndim == 2:
                nn.init.trunc_normal_(parameter, std=0.02)
            elif name.endswith('bias'):
                nn.init.zeros_(parameter)

    def forward(self, prompts: Tensor, memory: Tensor) -> Tensor:
        """Refine prompts.

        Args:
            prompts (Tensor): (B, K, D).
            memory (Tensor): The global and the dense image embeddings, (B, 1 + HW, D), not normalised.

        Returns:
            Tensor: (B, K, D).
        """
        refined, memory = self.text_proj(prompts), self.memory_proj(memory)  # (B, K, width), (B, 1 + HW, width)
        for layer in self.layers:
            refined = layer(refined, memory)
        return prompts + self.gamma * self.out_proj(refined)
