from collections.abc import Sequence

import torch
from torch import Tensor

from .base import TextEncoder, project
from .tokens import pooled_place, tokenize


class PackedTextEncoder(TextEncoder):
    """CLIP's own: attention is causal, and the token [EOT], or one named by ``eos_id``, is projected.

    What comes after [EOT] changes nothing and is left out, and [SOT] and the context, with which all prompts begin, are
    encoded once: the prompts are one sequence of T tokens, these and then the names, each of which sees these and
    itself. The 17 names of AP-10K make T = 62 and not 17 x 77.
    """

    @staticmethod
    def takes(text_cfg: dict) -> bool:
        """Causal transformers of open_clip that pool at a token of the prompt."""
        pooled = text_cfg.get('pool_type', 'argmax') in ('argmax', 'eos')
        return (
            not (text_cfg.get('hf_model_name') or text_cfg.get('no_causal_mask') or text_cfg.get('embed_cls'))
            and pooled
        )

    @staticmethod
    def layout(text_cfg: dict, names: Sequence[str], num_context_tokens: int) -> dict[str, Tensor]:
        """Lay out prompts as one sequence: [SOT], the context, name [EOT], name [EOT], ...

        Returns:
            dict[str, Tensor]: Of each token, its number in the vocabulary (T,), zeros for the context, and its position
            in its prompt (T,); the mask (T, T) added to attention; the places of the K pooled tokens (K,).
        """
        rows, start, _ = tokenize(text_cfg, names, num_context_tokens)
        pooled = torch.tensor([pooled_place(text_cfg, row) for row in rows])  # (K,)
        longest = max(map(len, rows))
        tokens = torch.tensor([row + [0] * (longest - len(row)) for row in rows])  # (K, L)
        shared = start + num_context_tokens
        owner, position = torch.meshgrid(*map(torch.arange, tokens.shape), indexing='ij')  # (K, L)
        used = (position <= pooled[:, None]) & ((position >= shared) | (owner == 0))
        tokens, owner, position = tokens[used], owner[used], position[used]  # (T,)
        seen = (position <= position[:, None]) & ((owner == owner[:, None]) | (position < shared))
        mask = torch.zeros(seen.shape).masked_fill(~seen, float('-inf'))
        ends = (position == pooled[owner]).nonzero()[:, 0]
        return dict(tokens=tokens, positions=position, mask=mask, ends=ends)

    def encode(self, context: Tensor, tokens: Tensor, positions: Tensor, mask: Tensor, ends: Tensor) -> Tensor:
        """Encode all prompts as one sequence."""
        embeds = self.embed_prompts(tokens[None], context) + self.tower.positional_embedding[positions]
        embeds = self.tower.transformer(embeds, attn_mask=mask)[0]  # (T, width)
        return project(self.tower, self.tower.ln_final(embeds[ends]))
