"""The kinds of text towers, one class each: how prompts with learnable context tokens go through a tower of open_clip.

To add a kind, write a class with the three things that :class:`TextEncoder` asks for, add it to ``TEXT_ENCODERS`` and
compare its embeddings with open_clip's in ``tests/test_models/test_text_towers.py``.

Notation: K names, N context tokens, L prompt length, D CLIP's embedding size.
"""

from collections.abc import Sequence
from functools import cache

import open_clip
import torch
from open_clip.model import _build_text_tower as build_text_tower
from torch import Tensor, nn

from .attention import simplify_attention
from .clip import clip_config, describe
from .part_weights import find_hub_files


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
        layout = self.layout(self.text_cfg, names, num_context_tokens)  # first: it finds bad names and lacking files
        text_cfg = self.text_cfg | dict(hf_model_pretrained=False)  # weights come from clip['pretrained']
        self.tower = build_text_tower(config['embed_dim'], text_cfg, config['quick_gelu'])
        simplify_attention(self.tower)
        self.embed_dim, self.width = config['embed_dim'], self.token_embedding.embedding_dim
        self.layout_names, self.start = tuple(layout), special_tokens(self.text_cfg)[0]
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
        """
        if names is None:
            return self.encode(context, **{name: getattr(self, name) for name in self.layout_names})
        layout = self.layout(self.text_cfg, names, self.num_context_tokens)
        return self.encode(context, **{name: tensor.to(context.device) for name, tensor in layout.items()})

    def embed_prompts(self, tokens: Tensor, context: Tensor) -> Tensor:
        """Look tokens (K, L) up and put the context after the first special one of each prompt: (K, L, width)."""
        embeds = self.token_embedding(tokens)
        shared = context.to(embeds.dtype).expand(len(tokens), -1, -1)  # (K, N, width)
        return torch.cat([embeds[:, : self.start], shared, embeds[:, self.start + len(context) :]], dim=1)


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
        return _project(self.tower, self.tower.ln_final(embeds[ends]))


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
        return _project(tower, embeds[torch.arange(len(places), device=places.device), places])


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
        find_hub_files(text_cfg['hf_model_name'], 'config.json')
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
        output = self.tower.transformer(inputs_embeds=embeds, attention_mask=used)
        return self.tower.proj(self.tower.pooler(output, used))


TEXT_ENCODERS: tuple[type[TextEncoder], ...] = (HuggingFaceTextEncoder, PackedTextEncoder, FullLengthTextEncoder)


def text_encoder_kind(clip: dict) -> type[TextEncoder]:
    """Return the class for a CLIP's text tower: the first of ``TEXT_ENCODERS`` that takes it.

    Args:
        clip (dict): As in :mod:`clamp.models.clip`.

    Raises:
        ValueError: If no kind takes it.
    """
    text_cfg = clip_config(clip)['text_cfg']
    for kind in TEXT_ENCODERS:
        if kind.takes(text_cfg):
            return kind
    raise ValueError(
        f"The text tower of {describe(clip)} is of no kind known here: CoCa's ends with a class token of its own "
        "(embed_cls). Known are CLIP's transformer, causal or not, and text models of Hugging Face "
        '(clamp/models/text_towers.py).'
    )


def build_text_encoder(clip: dict, names: Sequence[str], num_context_tokens: int) -> TextEncoder:
    """Build the frozen text encoder of a CLIP for K names and N context tokens (see :class:`TextEncoder`)."""
    return text_encoder_kind(clip)(clip, names, num_context_tokens)


def check_prompts(clip: dict, names: Sequence[str], num_context_tokens: int) -> None:
    """Check, without building it, that a CLIP's text encoder takes the prompts of names.

    Raises:
        ValueError: If a name is empty or its prompt too long.
        FileNotFoundError: If its tokenizer is not on this machine and cannot be fetched.
    """
    text_encoder_kind(clip).layout(clip_config(clip)['text_cfg'], names, num_context_tokens)


def _project(tower: nn.Module, embeds: Tensor) -> Tensor:
    projection = tower.text_projection
    if projection is None:
        return embeds
    return projection(embeds) if isinstance(projection, nn.Linear) else embeds @ projection


def load_tokenizer(text_cfg: dict):
    """Return the tokenizer of a text tower, as open_clip gets it: CLIP's own, or one of Hugging Face.

    Raises:
        FileNotFoundError: If it is not on this machine and cannot be fetched.
    """
    options = tuple(sorted((text_cfg.get('tokenizer_kwargs') or {}).items()))
    name = text_cfg.get('hf_tokenizer_name') or text_cfg.get('hf_model_name')
    return _load_tokenizer(name, text_cfg.get('tokenizer_mode'), options)


@cache  # CLIP's own takes a third of a second to build
def _load_tokenizer(name: str | None, mode: str | None, options: tuple):
    length = 1024  # so that nothing is cut off before it is found too long
    if name is None:
        return open_clip.tokenizer.SimpleTokenizer(context_length=length, **dict(options))
    find_hub_files(name, 'tokenizer.json', 'tokenizer_config.json')
    return open_clip.tokenizer.HFTokenizer(name, context_length=length, tokenizer_mode=mode, **dict(options))


def special_tokens(text_cfg: dict) -> tuple[int, list[int], int]:
    """Return how many special tokens begin a prompt, those that end it, and the one that pads it.

    They are what a tokenizer makes of no text: CLIP's [SOT] [EOT], BERT's [CLS] [SEP], T5's </s>.
    """
    tokenizer = load_tokenizer(text_cfg)
    empty, word = tokenizer(['', 'a']).tolist()
    start = next(i for i in range(len(empty)) if empty[i] != word[i])
    pad = empty[-1]
    after = next(n for n in range(1, len(empty)) if set(empty[start + n :]) == {pad})
    return start, empty[start : start + after], pad


def tokenize(text_cfg: dict, names: Sequence[str], num_context_tokens: int) -> tuple[list[list[int]], int, int]:
    """Tokenize names, with room for the context tokens after the first special token, if there is one.

    Args:
        text_cfg (dict): Of the text tower, in open_clip's terms.
        names (Sequence[str]): K names.
        num_context_tokens (int): N.

    Returns:
        tuple: K rows of tokens without padding, with zeros at the N places of the context; the number of tokens before
        these; the token that pads.

    Raises:
        ValueError: If a name is empty, or its prompt has more tokens than the text encoder takes.
    """
    context_length, (start, end, pad) = text_cfg.get('context_length', 77), special_tokens(text_cfg)
    rows = []
    for name, row in zip(names, load_tokenizer(text_cfg)(list(names)).tolist()):
        words = row[start : next(i for i in range(start, len(row)) if row[i : i + len(end)] == end)]
        others = start + num_context_tokens + len(end)
        if others + len(words) > context_length or not words:
            raise ValueError(
                f'The keypoint name {name!r} makes a prompt of {others + len(words)} tokens ({num_context_tokens} of '
                f'context, {start + len(end)} special ones, {len(words)} of the name); the text encoder takes between '
                f'{others + 1} and {context_length}. Change the name or num_context_tokens.'
            )
        rows.append(row[:start] + [0] * num_context_tokens + words + end)
    return rows, start, pad


def pooled_place(text_cfg: dict, row: list[int]) -> int:
    """Return the place of the token of a prompt whose embedding stands for it; -1 is the last of the full length."""
    pool_type = text_cfg.get('pool_type', 'argmax')
    if pool_type == 'eos':
        return row.index(text_cfg.get('eos_id', 2))
    return {'first': 0, 'last': -1}[pool_type] if pool_type != 'argmax' else max(range(len(row)), key=row.__getitem__)
