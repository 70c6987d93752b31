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
import os
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import open_clip
import torch
from mmengine.logging import print_log
from open_clip.factory import get_model_config

# the builders of single towers; open_clip.CLIP(...) would initialise both to keep one
from open_clip.model import _build_text_tower as build_text_tower  # noqa: F401
from open_clip.model import _build_vision_tower as build_vision_tower  # noqa: F401
from open_clip.model import convert_to_custom_text_state_dict
from open_clip.pretrained import (
    download_pretrained,
    get_pretrained_cfg,
    list_pretrained_tags_by_model,
)
from torch import Tensor, nn

OFFLINE_HELP = (
    'Fetch {sources}, put it anywhere here and give its path in the config: '
    "clip=dict(model_name={name!r}, pretrained='path/to/the/file'). Or run, on a machine with a network,\n"
    '    python -c "import open_clip; open_clip.create_model({name!r}, {tag!r})"\n'
    'and copy its cache here: {caches}.'
)
HUB_FILES = ('open_clip_model.safetensors', 'open_clip_pytorch_model.bin')


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
    right = 'quick_gelu=True'  # by sizes
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


def load_tower(tower: nn.Module, clip: dict, prefix: str) -> None:
    """Load one tower's part of the pretrained CLIP, in place.

    Args:
        tower (nn.Module): The tower. Entries that it does not have are passed over, entries that it lacks are an error.
        clip (dict): See this module's docstring; nothing is done if ``pretrained`` is None.
        prefix (str): ``'visual.'`` or ``'text.'``.

    Raises:
        ValueError: If the weights do not fit the tower.
        FileNotFoundError: If the weights are not on this machine and cannot be fetched.
    """
    if not clip.get('pretrained'):
        return
    path = find_weights(clip.get('model_name'), clip['pretrained'])
    state_dict, is_openai = read_weights(path, Path(path).stat().st_mtime_ns)
    if is_openai and not clip_config(clip)['quick_gelu']:
        _refuse_activation(clip.get('model_name'), path, quick_gelu=False)
    part = {name.removeprefix(prefix): t for name, t in state_dict.items() if name.startswith(prefix)}
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


def find_weights(name: str | None, pretrained: str) -> str:
    """Return the path of a CLIP's weight file, from the disk, from a cache, or downloaded.

    Args:
        name (str, optional): ``model_name`` as open_clip has it.
        pretrained (str): A tag of that model, or a path.

    Raises:
        FileNotFoundError: If there is no such file, or if it is in no cache and the network is out of reach.
        ValueError: If ``pretrained`` is neither a tag of the model nor looks like a path.
    """
    if os.path.isfile(pretrained):
        return pretrained
    tag = get_pretrained_cfg(name, pretrained) if name else {}
    if not tag:
        if os.sep in pretrained or Path(pretrained).suffix:
            raise FileNotFoundError(f'The CLIP weights {pretrained!r} are not there (from {os.getcwd()}).')
        known = ', '.join(list_pretrained_tags_by_model(name) if name else []) or 'none'
        raise ValueError(f'pretrained={pretrained!r} is neither a file nor a tag of {name!r}. Its tags: {known}.')
    for cached in _cached_files(tag):
        return cached
    if not _network():
        raise FileNotFoundError(
            f'The CLIP weights {name!r}, {pretrained!r} are in no cache and the network is out of reach.\n'
            + OFFLINE_HELP.format(name=name, tag=pretrained, sources=_sources(tag), caches=' and '.join(_caches()))
        )
    return download_pretrained(tag)


def _caches() -> tuple[str, str]:
    """Return the cache folders of huggingface_hub and of open_clip."""
    from huggingface_hub import constants

    return constants.HF_HUB_CACHE, os.path.expanduser('~/.cache/clip')


def _hub_files(tag: dict) -> tuple[str, tuple[str, ...]]:
    """Return a tag's repository on the hub and the names that its weight file may have there."""
    repository, filename = os.path.split(tag.get('hf_hub') or '')
    return repository, (filename,) if filename else HUB_FILES


def _sources(tag: dict) -> str:
    """Say where the weight file of a tag can be fetched."""
    repository, names = _hub_files(tag)
    hub = f'{" or ".join(names)} from https://huggingface.co/{repository}' if repository else ''
    return ' or '.join(filter(None, (hub, tag.get('url'))))


def _cached_files(tag: dict) -> Iterator[str]:
    """Yield the files of a tag that are in the caches of huggingface_hub and of open_clip."""
    from huggingface_hub import try_to_load_from_cache

    hub_cache, clip_cache = _caches()
    repository, names = _hub_files(tag)
    for filename in names if repository else ():
        if isinstance(cached := try_to_load_from_cache(repository, filename, cache_dir=hub_cache), str):
            yield cached
    cached = os.path.join(clip_cache, os.path.basename(tag.get('url') or ''))
    if os.path.isfile(cached):
        yield cached


def _network(timeout: float = 5) -> bool:
    """Whether the hub answers: one quick request, where the hub's own client would retry for a minute."""
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return False
    try:
        urllib.request.urlopen(urllib.request.Request(constants.ENDPOINT, method='HEAD'), timeout=timeout)
    except urllib.error.HTTPError:
        return True  # an answer, if a rude one
    except OSError:
        return False
    return True


@lru_cache(maxsize=1)  # both towers come from one file: it is read once
def read_weights(path: str, mtime_ns: int = 0) -> tuple[dict[str, Tensor], bool]:
    """Read a CLIP weight file of any of the usual formats.

    Args:
        path (str): An OpenAI TorchScript archive, or open_clip's ``.pt``, ``.bin`` or ``.safetensors``.
        mtime_ns (int): The file's modification time, so that a changed file is read again.

    Returns:
        tuple: Tensors by name, the image tower's under ``visual.``, the text tower's under ``text.``; and whether the
        file is one of OpenAI's archives, which are known to be trained with QuickGELU.

    Raises:
        ValueError: If the file is cut short or is no CLIP.
    """
    try:
        members = zipfile.ZipFile(path).namelist() if zipfile.is_zipfile(path) else []
        is_openai = any(member.endswith('constants.pkl') for member in members)  # a TorchScript archive
        if is_openai:
            state_dict = dict(torch.jit.load(path, map_location='cpu').state_dict())
        else:
            state_dict = open_clip.factory.load_state_dict(path)
    except Exception as error:
        raise ValueError(
            f'{path} cannot be read as CLIP weights; it may be cut short. Delete it and fetch it again. ({error})'
        ) from error
    if 'visual.conv1.weight' not in state_dict:
        raise ValueError(f'{path} holds no CLIP of a kind known here: there is no visual.conv1.weight in it.')
    if 'positional_embedding' in state_dict:  # the text tower's entries at the top, as OpenAI and older open_clip have
        state_dict = convert_to_custom_text_state_dict(state_dict)
    return state_dict, is_openai
