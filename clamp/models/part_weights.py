"""Weights of single towers: those of timm, and text models and tokenizers as Hugging Face keeps them."""

import os

from huggingface_hub import try_to_load_from_cache
from torch import Tensor

from .clip_weights import network_answers

MODEL_FILES = ('model.safetensors', 'pytorch_model.bin', 'model.safetensors.index.json')


def find_part(part: str, source: str, config: dict) -> None:
    """Check that the weights of one tower are on this machine, or can be fetched.

    Args:
        part (str): ``'image'``, for a tower of timm, or ``'text'``, for a text model of Hugging Face.
        source (str): The file or the tag of timm; the folder, or the name on the hub.
        config (dict): Of the CLIP, as :func:`clamp.models.clip.clip_config` returns it.

    Raises:
        FileNotFoundError: If they are not.
        ValueError: If the tower is of another kind: its weights come with the whole CLIP's.
    """
    key = dict(image='timm_model_name', text='hf_model_name')[part]
    name = config['vision_cfg' if part == 'image' else 'text_cfg'].get(key)
    if name is None:
        raise ValueError(
            f'pretrained=dict({part}={source!r}) is for a tower with {key}, which this CLIP does not have.'
        )
    if part == 'text':
        return find_text_files(source, *MODEL_FILES)
    if os.path.isfile(source):
        return None
    import timm

    known = [each.partition('.')[2] for each in timm.list_pretrained(f'{name}.*')]
    if source not in known:
        raise FileNotFoundError(
            f'The weights {source!r} of the image tower are neither a file here (from {os.getcwd()}) nor a tag of '
            f'{name} in timm. Its tags: {", ".join(known) or "none"}. Those of configs/_base_/models/*_lite0-minilm.py '
            'are made by tools/prepare_lite_weights.py.'
        )
    return find_hub_files(timm.get_pretrained_cfg(f'{name}.{source}').hf_hub_id or '', *MODEL_FILES)


def read_part(part: str, source: str, config: dict) -> dict[str, Tensor]:
    """Read the weights of one tower; the arguments are those of :func:`find_part`.

    Returns:
        dict[str, Tensor]: By their names in open_clip's tower: ``trunk.*`` or ``transformer.*``.

    Raises:
        ValueError: If the file cannot be read.
    """
    find_part(part, source, config)
    try:
        if part == 'text':
            from transformers import AutoModel

            state_dict = AutoModel.from_pretrained(source).state_dict()
        else:
            state_dict = _read_timm(config['vision_cfg']['timm_model_name'], source)
    except Exception as error:
        raise ValueError(
            f'{source} cannot be read as weights; it may be cut short. Fetch it again. ({error})'
        ) from error
    inner = 'transformer' if part == 'text' else 'trunk'
    return {f'{inner}.{name}': tensor for name, tensor in state_dict.items()}


def _read_timm(name: str, source: str) -> dict[str, Tensor]:
    import timm

    if os.path.isfile(source):
        return timm.models.load_state_dict(source, weights_only=True)
    return timm.create_model(f'{name}.{source}', pretrained=True).state_dict()


def find_hub_files(name: str, *files: str) -> None:
    """Check that one of some files of a model of Hugging Face is in a folder, in the hub's cache, or can be fetched.

    Args:
        name (str): A folder, or a name on the hub such as ``'roberta-base'``.
        *files (str): Any of which will do.

    Raises:
        FileNotFoundError: If not.
    """
    if os.path.isdir(name):
        if any(os.path.isfile(os.path.join(name, file)) for file in files):
            return
        raise FileNotFoundError(
            f'There is no {" or ".join(files)} in the folder {name}: is it as Hugging Face saves it?'
        )
    looks_like_id = name.count('/') <= 1 and not name.startswith(('.', '/', '~'))
    if looks_like_id and (
        any(isinstance(try_to_load_from_cache(name, file), str) for file in files) or network_answers()
    ):
        return
    raise FileNotFoundError(
        f'{name} is neither a folder here (from {os.getcwd()}) nor in the cache of the hub of Hugging Face, which is '
        f'out of reach. On a machine with a network run `hf download {name} --local-dir FOLDER`, copy the folder here '
        'and name it in the config: hf_model_name and pretrained.text for a text model, '
        'text_cfg=dict(hf_tokenizer_name=FOLDER) for a tokenizer, pretrained.image for the model.safetensors of an '
        'image tower. tools/prepare_lite_weights.py makes what configs/_base_/models/clamp_lite0-minilm.py names.'
    )


def find_text_files(name: str, *files: str) -> None:
    """As :func:`find_hub_files`, for what ``transformers`` reads.

    Raises:
        FileNotFoundError: As there.
        ValueError: If ``transformers`` is not installed.
    """
    try:
        import transformers  # noqa: F401
    except ImportError as error:
        raise ValueError(
            f"{name} needs the package transformers: pip install --no-build-isolation -e '.[hf]'"
        ) from error
    find_hub_files(name, *files)
