from collections.abc import Sequence

import torch
from torch import Tensor

from .base import TextEncoder, project
from .tokens import pooled_place, tokenize


class FullLengthTextEncoder(TextEncoder):
    """open_clip's transformer where padding counts: attention in both directions, or the last position is pooled.

    Such a tower was trained on prompts of its full context length, and gives other embeddings for shorter ones.
    """

    @staticmethod
    def takes(text_cfg: dict) -> bool:
        """The other transformers of open_clip, but for CoCa's, with a class token of their own at the end."""
        return not (text_cfg.get('hf_model_name') or text_cfg.get('embed_cls'))

    @staticmethod
    def layout(text_cfg: dict, names: Sequence[str], num_context_tokens: int) -> dict[str, Tensor]:
        """Return the tokens (K, context length), padded as by the tokenizer, and the places of the pooled ones (K,)."""
        rows, _, pad = tokenize(text_cfg, names, num_context_tokens)
        length = text_cfg.get('context_length', 77)
        places = torch.tensor([pooled_place(text_cfg, row) % length for row in rows])
        return dict(tokens=torch.tensor([row + [pad] * (length - len(row)) for row in rows]), places=places)

    def encode(self, context: Tensor, tokens: Tensor, places: Tensor) -> Tensor:
        """Encode prompts of full length."""
        tower = self.tower
        embeds = self.embed_prompts(tokens, context) + tower.positional_embedding
        embeds = tower.ln_final(tower.transformer(embeds, attn_mask=tower.attn_mask))  # (K, L, width)
        return project(tower, embeds[torch.arange(len(places), device=places.device), places])
