"""The kinds of text towers, one class each: how prompts with learnable context tokens go through a tower of open_clip.

To add a kind, write a class with the three things that :class:`TextEncoder` asks for, in a file of its own beside
``packed.py``, add it to ``TEXT_ENCODERS``, and compare its embeddings with open_clip's in
``tests/test_models/test_text_towers.py``.

Notation: K names, N context tokens, L prompt length, D CLIP's embedding size.
"""

from collections.abc import Sequence

from ..clip import clip_config, describe
from .base import TextEncoder
from .full_length import FullLengthTextEncoder
from .hugging_face import HuggingFaceTextEncoder
from .packed import PackedTextEncoder

# the first that takes it
TEXT_ENCODERS: tuple[type[TextEncoder], ...] = (HuggingFaceTextEncoder, PackedTextEncoder, FullLengthTextEncoder)

__all__ = [
    'TEXT_ENCODERS',
    'FullLengthTextEncoder',
    'HuggingFaceTextEncoder',
    'PackedTextEncoder',
    'TextEncoder',
    'build_text_encoder',
    'check_prompts',
    'text_encoder_kind',
]


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
        '(clamp/models/text_towers).'
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
