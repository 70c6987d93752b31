from collections.abc import Sequence

import open_clip
import torch
from open_clip.hf_configs import arch_dict
from torch import Tensor, nn

from ..part_weights import find_text_files
from .base import TextEncoder
from .tokens import tokenize


class HuggingFaceTextEncoder(TextEncoder):
    """A text model of Hugging Face under open_clip's pooler and projection, such as RoBERTa, mT5, NLLB or MiniLM."""

    @staticmethod
    def takes(text_cfg: dict) -> bool:
        """Towers with an ``hf_model_name``."""
        return bool(text_cfg.get('hf_model_name'))

    @staticmethod
    def layout(text_cfg: dict, names: Sequence[str], num_context_tokens: int) -> dict[str, Tensor]:
        """Return the tokens (K, L) and which of them are no padding (K, L); masked attention allows for L tokens."""
        rows, _, pad = tokenize(text_cfg, names, num_context_tokens)
        _check_model(text_cfg['hf_model_name'])
        length = max(map(len, rows))
        tokens = torch.tensor([row + [pad] * (length - len(row)) for row in rows])
        used = torch.arange(length) < torch.tensor([len(row) for row in rows])[:, None]
        return dict(tokens=tokens, used=used.long())

    @property
    def token_embedding(self) -> nn.Embedding:
        """The model's table of token embeddings."""
        return self.tower.transformer.get_input_embeddings()

    def encode(self, context: Tensor, tokens: Tensor, used: Tensor) -> Tensor:
        """Encode prompts, the context after the first special token."""
        embeds = self.embed_prompts(tokens, context)
        # (K, 1, 1, L), to be added: of one of (K, L) transformers asks whether it is all ones, and waits for the device
        mask = torch.zeros_like(embeds[..., 0]).masked_fill(used == 0, float('-inf'))[:, None, None]
        output = self.tower.transformer(inputs_embeds=embeds, attention_mask=mask)
        return self.tower.proj(self.tower.pooler(output, used))


def _check_model(name: str) -> None:
    """Check that a text model is here and takes embeddings in the place of tokens, as do all that open_clip knows."""
    find_text_files(name, 'config.json')
    model_type = open_clip.hf_model.AutoConfig.from_pretrained(name).model_type
    if model_type not in arch_dict:
        raise ValueError(
            f'{name} is a text model of type {model_type!r}. The learned context needs one that takes embeddings in '
            f'the place of tokens (inputs_embeds), and open_clip a type that it knows: {", ".join(sorted(arch_dict))}.'
        )
