from collections.abc import Sequence
from functools import cache

import open_clip
import torch
from torch import Tensor, nn

from .clip import build_text_tower, check_text_tower, clip_config


class CLIPTextEncoder(nn.Module):
    """CLIP's frozen text encoder over prompts with learnable context tokens (eq. 2).

    Attention in it is causal. What comes after [EOT] therefore changes nothing and is left out, and [SOT] and the
    context, with which all prompts begin, are encoded once: the prompts are one sequence of T tokens, these and then
    the names, each of which sees these and itself. The 17 names of AP-10K make T = 62 and not 17 x 77.

    Args:
        clip (dict): The CLIP, as in :mod:`clamp.models.clip`.
        names (Sequence[str]): The K keypoint names.
        num_context_tokens (int): N.

    Raises:
        ValueError: If the text encoder is not CLIP's own, or a prompt is longer than it takes.
    """

    def __init__(self, clip: dict, names: Sequence[str], num_context_tokens: int):
        super().__init__()
        config = clip_config(clip)
        self.clip = clip
        check_text_tower(clip)
        self.tower = build_text_tower(config['embed_dim'], config['text_cfg'], config['quick_gelu'])
        self.embed_dim, self.width = config['embed_dim'], self.tower.width
        self.num_context_tokens = num_context_tokens
        packed = pack_prompts(names, num_context_tokens, self.tower.context_length)
        for name, tensor in zip(('tokens', 'positions', 'mask', 'ends'), packed):
            self.register_buffer(name, tensor, persistent=False)
        self.requires_grad_(False)

    def train(self, mode: bool = True) -> 'CLIPTextEncoder':
        """Stay in evaluation mode: the encoder is frozen."""
        return super().train(False)

    def forward(self, context: Tensor, names: Sequence[str] | None = None) -> Tensor:
        """Encode the prompts [SOT] context [name] [EOT].

        Args:
            context (Tensor): (N, width of the text encoder).
            names (Sequence[str], optional): Names in place of the K of the constructor. Defaults to None.

        Returns:
            Tensor: (K, D).
        """
        tower, packed = self.tower, (self.tokens, self.positions, self.mask, self.ends)
        if names is not None:
            packed = pack_prompts(names, self.num_context_tokens, tower.context_length)
        tokens, positions, mask, ends = (tensor.to(context.device) for tensor in packed)
        embeds = tower.token_embedding(tokens)  # (T, width)
        embeds = torch.cat([embeds[:1], context.to(embeds.dtype), embeds[1 + self.num_context_tokens :]])
        embeds = embeds + tower.positional_embedding[positions]
        embeds = tower.transformer(embeds[None], attn_mask=mask)[0]
        return tower.ln_final(embeds[ends]) @ tower.text_projection


def pack_prompts(
    names: Sequence[str], num_context_tokens: int, context_length: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Lay out the prompts of names as one sequence of T tokens: [SOT], the context, name [EOT], name [EOT], ...

    Args:
        names (Sequence[str]): K names.
        num_context_tokens (int): N.
        context_length (int): The most tokens that the text encoder takes for one prompt, 77 for CLIP.

    Returns:
        tuple[Tensor, ...]: Of each token in the sequence, its number in the vocabulary (T,), zeros for the context,
        and its position in its prompt (T,); the mask (T, T) added to attention; the places of the K [EOT] (K,).

    Raises:
        ValueError: As :func:`tokenize`.
    """
    tokens, eot = tokenize(names, num_context_tokens, context_length)  # (K, L), (K,)
    shared = 1 + num_context_tokens
    owner, position = torch.meshgrid(*map(torch.arange, tokens.shape), indexing='ij')  # (K, L)
    used = (position <= eot[:, None]) & ((position >= shared) | (owner == 0))
    tokens, owner, position = tokens[used], owner[used], position[used]  # (T,)
    seen = (position <= position[:, None]) & ((owner == owner[:, None]) | (position < shared))
    mask = torch.zeros(seen.shape).masked_fill(~seen, float('-inf'))
    return tokens, position, mask, (position == eot[owner]).nonzero()[:, 0]


@cache
def clip_tokenizer() -> open_clip.tokenizer.SimpleTokenizer:
    """Return CLIP's tokenizer, which takes a third of a second to build."""
    return open_clip.tokenizer.SimpleTokenizer(context_length=1024)


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
    tokenizer = clip_tokenizer()
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
