"""Names to tokens, for the tokenizer of any text tower."""

from collections.abc import Sequence
from functools import cache, lru_cache

import open_clip

from ..part_weights import find_text_files


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
    find_text_files(name, 'tokenizer.json', 'tokenizer_config.json')
    return open_clip.tokenizer.HFTokenizer(name, context_length=length, tokenizer_mode=mode, **dict(options))


@lru_cache(maxsize=4096)  # training may draw other names for each step, from some thousands
def _tokens(tokenizer, text: str) -> tuple[int, ...]:
    return tuple(tokenizer([text])[0].tolist())


def special_tokens(text_cfg: dict) -> tuple[int, list[int], int]:
    """Return how many special tokens begin a prompt, those that end it, and the one that pads it.

    They are what a tokenizer makes of no text: CLIP's [SOT] [EOT], BERT's [CLS] [SEP], T5's </s>.
    """
    tokenizer = load_tokenizer(text_cfg)
    empty, word = (list(_tokens(tokenizer, text)) for text in ('', 'a'))
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
    rows, tokenizer = [], load_tokenizer(text_cfg)
    for name in names:
        row = list(_tokens(tokenizer, name))
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
