"""Build the towers of a CLIP model of open_clip, and load their weights.

Everywhere in this package a CLIP is a dict, the same for both towers, in open_clip's own terms::

    clip = dict(model_name='ViT-B-16-quickgelu', pretrained='openai')

``model_name``
    A name from ``open_clip.list_models()``. In its place, sizes may be given (``embed_dim``, ``vision_cfg``,
    ``text_cfg``, ``quick_gelu``), which make a small CLIP for tests and for training from scratch.
``pretrained``
    A tag of open_clip (``'openai'``), the path of a weight file (OpenAI's TorchScript archive, or open_clip's ``.pt``,
    ``.bin`` or ``.safetensors``), or None for random weights.
"""

import difflib
from collections import OrderedDict
from dataclasses import asdict
from pathlib import Path

import open_clip
from mmengine.logging import print_log
from open_clip.factory import get_model_config

# the builders of single towers; open_clip.CLIP(...) would initialise both to keep one
from open_clip.model import CLIPTextCfg
from open_clip.model import _build_text_tower as build_text_tower  # noqa: F401
from open_clip.model import _build_vision_tower as build_vision_tower  # noqa: F401
from open_clip.pretrained import get_pretrained_cfg
from torch import nn

from .clip_weights import find_weights, read_weights

# what CLIPTextEncoder takes for granted: CLIP's tokenizer, causal attention, the token [EOT] projected by a matrix
TEXT_CONTRACT = ('hf_model_name', 'hf_tokenizer_name', 'tokenizer_mode', 'tokenizer_kwargs', 'vocab_size', 'embed_cls',
                 'no_causal_mask', 'pool_type', 'proj_type', 'proj_bias')  # fmt: skip


def clip_config(clip: dict) -> dict:
    """Return the sizes of a CLIP: ``embed_dim``, ``vision_cfg``, ``text_cfg`` and ``quick_gelu``.

    Args:
        clip (dict): See this module's docstring.

    Raises:
        ValueError: If the name is not one of open_clip's, or neither a name nor sizes are given, or if the name's
            activation is not the one that the weights were trained with.
    """
    clip = dict(clip)
    name, pretrained = clip.pop('model_name', None), clip.pop('pretrained', None)
    if name is None:
        unknown = set(clip) - {'embed_dim', 'vision_cfg', 'text_cfg', 'quick_gelu'}
        if unknown or not {'embed_dim', 'vision_cfg', 'text_cfg'} <= set(clip):
            raise ValueError(
                f'clip={clip} names no model. Give model_name (see open_clip.list_models()) and pretrained, or the '
                'sizes embed_dim, vision_cfg, text_cfg and, if wanted, quick_gelu.'
            )
        return dict(quick_gelu=False) | clip
    config = get_model_config(name)
    if config is None:
        near = difflib.get_close_matches(name, open_clip.list_models(), n=5, cutoff=0.4)
        raise ValueError(f'open_clip knows no model_name={name!r}. Close to it: {", ".join(near) or "none"}.')
    config.setdefault('quick_gelu', False)
    for known_as in (name, name.removesuffix('-quickgelu')):  # a -quickgelu name has the QuickGELU tags alone
        tag = get_pretrained_cfg(known_as, pretrained or '')
        if tag and tag.get('quick_gelu', False) != config['quick_gelu']:
            _refuse_activation(name, pretrained, config['quick_gelu'])
    return config


def _refuse_activation(name: str | None, pretrained: str, quick_gelu: bool) -> None:
    has, wants = ('QuickGELU', 'GELU') if quick_gelu else ('GELU', 'QuickGELU')
    right = f'quick_gelu={not quick_gelu}'  # by sizes
    if name:
        right = f'model_name={name.removesuffix("-quickgelu") + ("" if quick_gelu else "-quickgelu")!r}'
    raise ValueError(
        f'{f"model_name={name!r}" if name else "clip"} has {has} activations, but the weights {pretrained!r} were '
        f'trained with {wants}. They would load and compute something else. Use {right}.'
    )


def image_tower_layout(clip: dict) -> tuple[int, int]:
    """Return the stride and the channels of the feature map of a CLIP's image tower.

    Args:
        clip (dict): See this module's docstring.

    Raises:
        ValueError: If the tower is neither a ViT with a class token nor a ModifiedResNet.
    """
    vision_cfg = clip_config(clip)['vision_cfg']
    if (
        'timm_model_name' in vision_cfg
        or vision_cfg.get('attentional_pool')
        or vision_cfg.get('pool_type', 'tok') != 'tok'
    ):
        raise ValueError(
            f'The image tower of {clip.get("model_name", clip)} is neither a ViT with a class token (such as '
            'ViT-B-16-quickgelu) nor a ModifiedResNet (such as RN50-quickgelu): CLIPBackbone takes these two.'
        )
    if vision_cfg.get('patch_size'):
        return vision_cfg['patch_size'], vision_cfg['width']
    return 32, 32 * vision_cfg['width']


def check_text_tower(clip: dict) -> None:
    """Check that a CLIP has CLIP's own text encoder, into which context tokens can be put.

    Args:
        clip (dict): See this module's docstring.

    Raises:
        ValueError: If the text encoder is another one or reads another tokenizer's tokens.
    """
    text_cfg, plain = clip_config(clip)['text_cfg'], asdict(CLIPTextCfg())
    others = [f'{key}={text_cfg[key]!r}' for key in TEXT_CONTRACT if text_cfg.get(key, plain[key]) != plain[key]]
    if others:
        raise ValueError(
            f"{clip.get('model_name', clip)} does not read text as CLIP does, with CLIP's tokenizer and a causal "
            f"transformer: its text_cfg has {', '.join(others)}. Use a model with CLIP's own text encoder, such as "
            'ViT-B-16-quickgelu.'
        )


def usable_models() -> list[str]:
    """Return the names of the models of open_clip whose image tower and text encoder both suit CLAMP."""
    names = []
    for name in open_clip.list_models():
        try:
            image_tower_layout(dict(model_name=name))
            check_text_tower(dict(model_name=name))
        except ValueError:
            continue
        names.append(name)
    return names


def forget_weights(model: dict) -> None:
    """Set ``pretrained`` of both CLIPs of a model's config to None: the model is built with random weights."""
    for clip in (model.backbone.get('clip'), (model.head.get('prompt_learner') or {}).get('text_encoder')):
        if clip:
            clip.pretrained = None


def load_tower(tower: nn.Module, clip: dict, prefix: str, metadata: dict | None = None) -> None:
    """Load one tower's part of the pretrained CLIP, in place.

    Args:
        tower (nn.Module): The tower. Entries that it does not have are passed over, entries that it lacks are an error.
        clip (dict): See this module's docstring; nothing is done if ``pretrained`` is None.
        prefix (str): ``'visual.'`` or ``'text.'``.
        metadata (dict, optional): What the tower's load hooks get to know of the file, as torch's ``local_metadata``.

    Raises:
        ValueError: If the weights do not fit the tower.
        FileNotFoundError: If the weights are not on this machine and cannot be fetched.
    """
    if not clip.get('pretrained'):
        return
    path = find_weights(clip.get('model_name'), clip['pretrained'])
    state_dict, trained_quick_gelu = read_weights(path, Path(path).stat().st_mtime_ns)
    quick_gelu = clip_config(clip)['quick_gelu']
    if trained_quick_gelu not in (None, quick_gelu):
        _refuse_activation(clip.get('model_name'), path, quick_gelu)
    part = OrderedDict((name.removeprefix(prefix), t) for name, t in state_dict.items() if name.startswith(prefix))
    part._metadata = {'': metadata or {}}
    try:
        missing = tower.load_state_dict(part, strict=False).missing_keys
    except RuntimeError as error:
        missing = [str(error).splitlines()[-1].strip(' \t.')]
    if missing:
        raise ValueError(
            f'{path} does not hold the {prefix[:-1]} tower of {clip.get("model_name") or clip}: {missing[0]}'
            f'{f" and {len(missing) - 1} more" if len(missing) > 1 else ""}. Does model_name fit the file?'
        )
    print_log(f'Loaded the {prefix[:-1]} tower from {path}', 'current')
