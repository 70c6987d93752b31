"""Find, check and read the weight files of CLIP models."""

import os
import re
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import open_clip
from huggingface_hub.utils.sha import sha_fileobj
from open_clip.model import convert_to_custom_text_state_dict
from open_clip.pretrained import (
    download_pretrained,
    get_pretrained_cfg,
    list_pretrained_tags_by_model,
)
from torch import Tensor

from .torchscript import read_torchscript

OFFLINE_HELP = (
    'Fetch {sources}, put it anywhere here and give its path in the config: '
    "clip=dict(model_name={name!r}, pretrained='path/to/the/file'). Or run, on a machine with a network,\n"
    '    python -c "import open_clip; open_clip.create_model({name!r}, {tag!r})"\n'
    'and copy its cache here: {caches}.'
)
FILE_DIGEST = re.compile(r'/([0-9a-f]{64})/[^/]+$|-([0-9a-f]{8})\.pth?$')  # in the addresses of weight files
HUB_FILES = ('open_clip_model.safetensors', 'open_clip_pytorch_model.bin')


def find_weights(name: str | None, pretrained: str) -> str:
    """Return the path of a CLIP's weight file, from the disk, from a cache, or downloaded.

    Args:
        name (str, optional): ``model_name`` as open_clip has it.
        pretrained (str): A tag of that model, or a path.

    Raises:
        FileNotFoundError: If there is no such file, or if it is in no cache and the network is out of reach.
        ValueError: If ``pretrained`` is neither a tag of the model nor looks like a path, or if the file is not the one
            that open_clip or the cache of the hub know by its name.
    """
    if os.path.isfile(pretrained):
        return _checked(pretrained)
    tag = get_pretrained_cfg(name, pretrained) if name else {}
    if not tag:
        if os.sep in pretrained or Path(pretrained).suffix:
            raise FileNotFoundError(f'The CLIP weights {pretrained!r} are not there (from {os.getcwd()}).')
        known = ', '.join(list_pretrained_tags_by_model(name) if name else []) or 'none'
        raise ValueError(f'pretrained={pretrained!r} is neither a file nor a tag of {name!r}. Its tags: {known}.')
    for cached in _cached_files(tag):
        return _checked(cached)
    if not network_answers():
        raise FileNotFoundError(
            f'The CLIP weights {name!r}, {pretrained!r} are in no cache and the network is out of reach.\n'
            + OFFLINE_HELP.format(name=name, tag=pretrained, sources=_sources(tag), caches=' and '.join(_caches()))
        )
    return _checked(download_pretrained(tag))


@lru_cache
def known_weights() -> dict[str, tuple[str, bool]]:
    """Return what open_clip's records tell of weight files by their names: SHA-256 and activation.

    Returns:
        dict: File name to the SHA-256 in hexadecimal, whole (OpenAI's) or its first eight digits (others), and whether
        the model was trained with QuickGELU. Files whose digest is not recorded are left out.
    """
    known = {}
    for model in open_clip.list_models():
        for tag in list_pretrained_tags_by_model(model):
            record = get_pretrained_cfg(model, tag)
            if match := FILE_DIGEST.search(record.get('url') or ''):
                known[os.path.basename(record['url'])] = match[1] or match[2], record.get('quick_gelu', False)
    return known


def _checked(path: str) -> str:
    """Return the path after a check of the file's SHA-256, where the file's name or the hub's cache tells it."""
    target = os.path.realpath(path)
    digest, _ = known_weights().get(os.path.basename(path), ('', None))
    if re.fullmatch('[0-9a-f]{64}', os.path.basename(target)):  # a link into the hub's cache
        digest = os.path.basename(target)
    found = digest and _sha256(target, os.stat(target).st_mtime_ns)
    if not found.startswith(digest):
        raise ValueError(
            f'{path} is not the file that is known by this name: its SHA-256 begins with {found[:8]} and should begin '
            f'with {digest[:8]}. It may be cut short or another model: delete it and fetch it again. Weights of your '
            'own are taken under any other name.'
        )
    return path


@lru_cache(maxsize=8)  # a file is hashed once: 0.3 to 0.9 GB take about a second
def _sha256(path: str, mtime_ns: int) -> str:
    with open(path, 'rb') as file:
        return sha_fileobj(file).hex()


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


def network_answers() -> bool:
    """Whether the hub answers: one quick request, where the hub's own client would retry for a minute."""
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return False
    try:
        urllib.request.urlopen(urllib.request.Request(constants.ENDPOINT, method='HEAD'), timeout=5)
    except urllib.error.HTTPError:
        return True  # an answer, if a rude one
    except OSError:
        return False
    return True


@lru_cache(maxsize=1)  # both towers come from one file: it is read once
def read_weights(path: str, mtime_ns: int = 0) -> tuple[dict[str, Tensor], bool | None]:
    """Read a CLIP weight file of any of the usual formats. Nothing in the file is run.

    Args:
        path (str): An OpenAI TorchScript archive, or open_clip's ``.pt``, ``.bin`` or ``.safetensors``.
        mtime_ns (int): The file's modification time, so that a changed file is read again.

    Returns:
        tuple: Tensors by name, the image tower's under ``visual.``, the text tower's under ``text.``; and whether they
        were trained with QuickGELU, as OpenAI's archives are. None if the file does not say.

    Raises:
        ValueError: If the file is cut short or is no CLIP.
    """
    try:
        members = zipfile.ZipFile(path).namelist() if zipfile.is_zipfile(path) else []
        is_openai = any(member.endswith('constants.pkl') for member in members)  # a TorchScript archive
        state_dict = read_torchscript(path) if is_openai else open_clip.factory.load_state_dict(path)
    except Exception as error:
        raise ValueError(
            f'{path} cannot be read as CLIP weights; it may be cut short. Delete it and fetch it again. ({error})'
        ) from error
    if not any(name.startswith('visual.') for name in state_dict):
        raise ValueError(f'{path} holds no CLIP of a kind known here: there is no visual.* in it.')
    if 'positional_embedding' in state_dict:  # the text tower's entries at the top, as OpenAI and older open_clip have
        state_dict = convert_to_custom_text_state_dict(state_dict)
    _, quick_gelu = known_weights().get(os.path.basename(path), ('', None))
    return state_dict, is_openai or quick_gelu
