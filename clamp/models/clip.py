"""What a CLIP is in a config, and how the weights of its two towers are loaded.

Everywhere in this package a CLIP is a dict, the same for both towers, in open_clip's own terms::

    clip = dict(model_name='ViT-B-16-quickgelu', pretrained='openai')

``model_name``
    A name from ``open_clip.list_models()``. Sizes may be given in its place: ``embed_dim``, ``vision_cfg``,
    ``text_cfg`` and ``quick_gelu`` make a small CLIP for tests and for training from scratch, or one put together from
    parts, such as a tower of timm and a text model of Hugging Face. Beside a name, ``vision_cfg`` and ``text_cfg``
    change what they name: ``text_cfg=dict(hf_tokenizer_name='a/folder')``.
``pretrained``
    A tag of open_clip (``'openai'``), the path of a weight file (OpenAI's TorchScript archive, or open_clip's ``.pt``,
    ``.bin`` or ``.safetensors``), or None for random weights. ``dict(image=..., text=...)`` gives each tower weights of
    its own, or None: for a tower of timm, a file of timm's or a tag of timm such as ``'in1k'``; for a text model, a
    folder as Hugging Face saves it or a name on its hub. What no file holds, such as a projection, stays random, and
    the log says so.
"""

import difflib
from collections import OrderedDict
from pathlib import Path

import open_clip
from mmengine.logging import print_log
from open_clip.factory import get_model_config
from open_clip.pretrained import get_pretrained_cfg
from torch import Tensor, nn

from .clip_weights import find_weights, read_weights
from .part_weights import find_part, read_part

PARTS = {'visual.': 'image', 'text.': 'text'}  # the towers' prefixes in a file, and their names in `pretrained`
SIZES = {'embed_dim', 'vision_cfg', 'text_cfg', 'quick_gelu'}


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
    if set(clip) - SIZES or (name is None and not SIZES - {'quick_gelu'} <= set(clip)):
        raise ValueError(
            f'clip={clip} names no model. Give model_name (see open_clip.list_models()) and pretrained, or the '
            'sizes embed_dim, vision_cfg, text_cfg and, if wanted, quick_gelu.'
        )
    if name is None:
        return dict(quick_gelu=False) | clip
    config = get_model_config(name)
    if config is None:
        near = difflib.get_close_matches(name, open_clip.list_models(), n=5, cutoff=0.4)
        raise ValueError(f'open_clip knows no model_name={name!r}. Close to it: {", ".join(near) or "none"}.')
    config.setdefault('quick_gelu', False)
    for part in ('vision_cfg', 'text_cfg'):
        config[part] = config[part] | clip.get(part, {})
    for known_as in (name, name.removesuffix('-quickgelu')):  # a -quickgelu name has the QuickGELU tags alone
        tag = get_pretrained_cfg(known_as, pretrained or '') if not isinstance(pretrained, dict) else {}
        if tag and tag.get('quick_gelu', False) != config['quick_gelu']:
            _refuse_activation(name, pretrained, config['quick_gelu'])
    return config


def describe(clip: dict) -> str:
    """Return what to call a CLIP in a message."""
    return clip.get('model_name') or str(dict(clip))


def _refuse_activation(name: str | None, pretrained: str, quick_gelu: bool) -> None:
    has, wants = ('QuickGELU', 'GELU') if quick_gelu else ('GELU', 'QuickGELU')
    right = f'quick_gelu={not quick_gelu}'  # by sizes
    if name:
        right = f'model_name={name.removesuffix("-quickgelu") + ("" if quick_gelu else "-quickgelu")!r}'
    raise ValueError(
        f'{f"model_name={name!r}" if name else "clip"} has {has} activations, but the weights {pretrained!r} were '
        f'trained with {wants}. They would load and compute something else. Use {right}.'
    )


def forget_weights(model: dict) -> None:
    """Set ``pretrained`` of both CLIPs of a model's config to None: the model is built with random weights."""
    for clip in (model.backbone.get('clip'), (model.head.get('prompt_learner') or {}).get('text_encoder')):
        if clip:
            clip.pretrained = None


def check_weights(image_tower: dict | None, text_tower: dict | None) -> None:
    """Check that the weights of a CLIP's towers are on this machine, or can be fetched; arguments are clip dicts.

    Raises:
        FileNotFoundError: If they are not.
        ValueError: If the model has no such weights, or a file is not the one that is known by its name.
    """
    for clip, part in ((image_tower, 'image'), (text_tower, 'text')):
        pretrained = clip.get('pretrained') if clip else None
        if isinstance(pretrained, dict):
            if unknown := set(pretrained) - set(PARTS.values()):
                raise ValueError(f'pretrained={dict(pretrained)} has {unknown}; it takes image and text.')
            if source := pretrained.get(part):
                find_part(part, source, clip_config(clip))
        elif pretrained:
            find_weights(clip.get('model_name'), pretrained)
        elif clip:
            clip_config(clip)  # names that are unknown


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
    pretrained = clip.get('pretrained')
    in_parts = isinstance(pretrained, dict)
    source = pretrained.get(PARTS[prefix]) if in_parts else pretrained
    if not source:
        return
    if in_parts:
        weights = read_part(PARTS[prefix], source, clip_config(clip))
    else:
        source, weights = _read_whole(clip, prefix)
    weights = OrderedDict(weights)
    weights._metadata = {'': metadata or {}}
    try:
        missing = tower.load_state_dict(weights, strict=False).missing_keys
    except RuntimeError as error:
        missing = [str(error).splitlines()[-1].strip(' \t.')]
    random = [name for name in missing if in_parts and name.startswith(('head.', 'proj.'))]
    if missing := [name for name in missing if name not in random]:
        raise ValueError(
            f'{source} does not hold the {prefix[:-1]} tower of {describe(clip)}: {missing[0]}'
            f'{f" and {len(missing) - 1} more" if len(missing) > 1 else ""}. '
            'Does the model fit the file?'
        )
    print_log(f'Loaded the {prefix[:-1]} tower from {source}', 'current')
    if random:
        print_log(f'No file holds {", ".join(random)} of the {prefix[:-1]} tower: it starts at random', 'current')


def _read_whole(clip: dict, prefix: str) -> tuple[str, dict[str, Tensor]]:
    """Return the path of the weight file of a whole CLIP, and one tower's entries of it."""
    path = find_weights(clip.get('model_name'), clip['pretrained'])
    state_dict, trained_quick_gelu = read_weights(path, Path(path).stat().st_mtime_ns)
    quick_gelu = clip_config(clip)['quick_gelu']
    if trained_quick_gelu not in (None, quick_gelu):
        _refuse_activation(clip.get('model_name'), path, quick_gelu)
    return path, {name.removeprefix(prefix): t for name, t in state_dict.items() if name.startswith(prefix)}
