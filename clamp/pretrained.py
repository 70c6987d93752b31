"""A published model: one folder, or one repository on the Hugging Face hub, that holds all of it and runs nothing.

``config.json`` is the resolved config as plain data, ``model.safetensors`` the weights, ``README.md`` the model card;
``tools/publish.py`` writes them. Such a folder can come from anybody. Hence nothing in the config may name a class that
is not registered here (MMEngine would import it), or a file that could hold code, and safetensors hold numbers alone.
Where something is written is not read.
"""

import json
import mimetypes
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec

if TYPE_CHECKING:
    from mmengine.config import Config

CONFIG, WEIGHTS, CARD = 'config.json', 'model.safetensors', 'README.md'
EXPORTED = 'model.onnx'  # in place of the weights: what tools/export_onnx.py made of them
TEXT_MODEL = 'text_model'  # a text model of Hugging Face without its weights, if there is one
TEXT_MODEL_KEYS = ('hf_model_name', 'hf_tokenizer_name')
# what a test needs; the rest is for training, or of one machine
KEPT = (
    'default_scope', 'model', 'keypoint_names', 'test_dataloader', 'test_evaluator', 'test_cfg', 'default_hooks',
    'env_cfg', 'log_processor', 'log_level', 'visualizer',
)  # fmt: skip
DEFAULT = Path(__file__).with_name('pretrained_model')  # in the package
HUB_ID = re.compile(r'[\w-][\w.-]*/[\w-][\w.-]*')
CODE = ('.py', '.pkl', '.pickle', '.pth', '.pt', '.bin')  # endings of files that Python or torch would run
# settings that say where something is written
OUTPUTS = (
    'out_dir', 'save_dir', 'img_save_dir', 'config_save_file', 'scalar_save_file', 'outfile_prefix', 'out_file_path',
    'collect_dir', 'json_trace_path', 'result_path', 'dir_name',
)  # fmt: skip
FILES_OF_OTHERS = ('.py', '.pth', '.onnx', '.json')  # endings of a first argument that is no hub id


class _Typed(msgspec.Struct):
    type: str


class _Head(_Typed):
    out_channels: int


class _Model(_Typed):
    backbone: _Typed
    head: _Head


class _Dataset(_Typed):
    pipeline: list[_Typed]


class _Loader(msgspec.Struct):
    dataset: _Dataset


class _Published(msgspec.Struct):
    """What is read of a config before anything is built of it."""

    model: _Model
    test_dataloader: _Loader
    default_scope: Literal['mmpose'] = 'mmpose'  # MMEngine imports the package that it names


def default_model() -> str:
    """Return the folder of the model that comes with the package.

    Raises:
        FileNotFoundError: If none does.
    """
    if not ((DEFAULT / CONFIG).is_file() and weights_of(DEFAULT).is_file()):
        raise FileNotFoundError(
            'No model comes with this package: name a config and a checkpoint, or a folder that tools/publish.py wrote.'
        )
    return str(DEFAULT)


def weights_of(folder: Path) -> Path:
    """Return the path of a model's weights, or of the graph that is there in their place."""
    return folder / (EXPORTED if (folder / EXPORTED).is_file() else WEIGHTS)


def is_hub_id(name: str) -> bool:
    """Whether a name that is on no disk here looks like OWNER/NAME on the hub, and not like a file."""
    is_media = (mimetypes.guess_type(name)[0] or '').startswith(('image/', 'video/'))
    is_file = is_media or name.endswith(FILES_OF_OTHERS)
    return bool(HUB_ID.fullmatch(name)) and not Path(name).exists() and not is_file


def find_model(name: str, checkpoint: str | None = None, revision: str | None = None) -> tuple[str, str]:
    """Return the paths of a model's config and weights.

    Args:
        name (str): A folder that ``tools/publish.py`` wrote, an id on the hub (``'owner/name'``), or a config.
        checkpoint (str, optional): Of the config. Defaults to None, for a folder or an id.
        revision (str, optional): Branch, tag or commit on the hub. Defaults to None, its main branch.

    Raises:
        FileNotFoundError: If there is no such folder here and no such model on the hub, or the hub is out of reach.
        ValueError: If the folder is no model, or a config is given without a checkpoint, or a folder with one.
    """
    path = Path(name)
    if checkpoint is not None:
        if path.is_dir():
            raise ValueError(f'{name} is a folder: it needs no checkpoint, but {checkpoint} is given as one.')
        return str(name), str(checkpoint)
    if is_hub_id(str(name)):
        path = download(str(name), revision)
    elif path.suffix == '.py':
        raise ValueError(f'Name the checkpoint of the config {name} after it, or a folder that tools/publish.py wrote.')
    if not path.is_dir():
        raise FileNotFoundError(f'The model {name} is not there (from {Path.cwd()}).')
    if lacking := [file.name for file in (path / CONFIG, weights_of(path)) if not file.is_file()]:
        raise ValueError(
            f'The folder {name} is no model: there is no {" and no ".join(lacking)} in it. tools/publish.py CONFIG '
            'CHECKPOINT FOLDER makes one.'
        )
    return str(path / CONFIG), str(weights_of(path))


def split_model(arguments: Sequence[str]) -> tuple[str | None, str, list[str]]:
    """Tell the model from what follows it on a command line.

    Args:
        arguments (Sequence[str]): CONFIG CHECKPOINT, a folder, an id on the hub, an exported model (.onnx), or nothing
            for the model of the package; then others.

    Returns:
        tuple[str | None, str, list[str]]: The paths of config, None for an exported model alone, and weights, and the
        other arguments.

    Raises:
        FileNotFoundError, ValueError: As :func:`find_model` and :func:`default_model`.
    """
    first, *others = arguments
    if first.endswith('.py'):
        return *find_model(first, *others[:1]), others[1:]
    if first.endswith('.onnx'):
        return None, first, others
    half = any((Path(first) / name).is_file() for name in (CONFIG, WEIGHTS, EXPORTED))  # find_model says what lacks
    if half or (is_hub_id(first) and others):
        return *find_model(first), others
    return *find_model(default_model()), list(arguments)


def download(hub_id: str, revision: str | None = None) -> Path:
    """Return the folder of a model of the hub, from the cache if the hub is out of reach.

    Raises:
        FileNotFoundError: If it is in no cache and cannot be fetched.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, RepositoryNotFoundError, RevisionNotFoundError

    from .models.clip_weights import network_answers

    how = dict(revision=revision, local_files_only=not network_answers())  # else it would try for half a minute
    try:
        return Path(snapshot_download(hub_id, allow_patterns=[CONFIG, WEIGHTS, EXPORTED, f'{TEXT_MODEL}/*'], **how))
    except (RepositoryNotFoundError, RevisionNotFoundError, HFValidationError) as error:
        raise FileNotFoundError(
            f'There is no folder {hub_id} (from {Path.cwd()}) and no such model on the hub: {first_line(error)}'
        ) from error
    except OSError as error:
        raise FileNotFoundError(
            f'There is no folder {hub_id} (from {Path.cwd()}), and the hub, where a model may have this name, is out '
            f'of reach. Fetch it where there is a network, hf download {hub_id} --local-dir FOLDER, and name that.'
        ) from error


def first_line(error: Exception) -> str:
    """Return the first line of an error's message."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


def read_published_config(path: str) -> 'Config':
    """Read the config of a published model. Nothing that stands in it is run.

    Raises:
        FileNotFoundError: If it is not there.
        ValueError: If it is no such config, or names a class or a file that could run code.
    """
    from mmengine.config import Config

    if not Path(path).is_file():
        raise FileNotFoundError(f'The config {path} is not there (from {Path.cwd()}).')
    try:
        config = json.loads(Path(path).read_bytes(), object_hook=_settings)
    except (ValueError, RecursionError) as error:
        raise ValueError(f'{path} cannot be read as JSON: {error}') from error
    try:
        msgspec.convert(config, _Published)
    except msgspec.ValidationError as error:
        raise ValueError(f'{path} is no config of tools/publish.py: {error}. Fetch or publish it again.') from error
    config = {key: config[key] for key in KEPT if key in config}
    check_data_alone(config, path)
    _place_text_model(config, Path(path).parent)
    return Config(config, filename=path)


def _place_text_model(data: Any, folder: Path) -> None:
    """Put the folder before the path in it of a text model of Hugging Face: what it is and its tokenizer."""
    for inner in data.values() if isinstance(data, dict) else data:
        if isinstance(inner, (dict, list)):
            _place_text_model(inner, folder)
    if isinstance(data, dict):
        data.update({key: str(folder / TEXT_MODEL) for key in TEXT_MODEL_KEYS if data.get(key) == TEXT_MODEL})


def _settings(entries: dict[str, Any]) -> dict:
    """Give numbers as keys back, as MMPose's ``keypoint_info`` has them: JSON knows strings alone. Leave out outputs.

    A model does not say where its user's files are written.
    """
    return {int(key) if key.isdecimal() else key: value for key, value in entries.items() if key not in OUTPUTS}


def check_data_alone(config: dict, path: str) -> None:
    """Check that building what a config says runs nothing but classes of this package, MMPose and MMEngine.

    Raises:
        ValueError: If a ``type`` is not registered, or a value names a file that could hold code.
    """
    registered = _registered()
    for key, value in _entries(config):
        if key == 'type' and not (isinstance(value, str) and value in registered):
            raise ValueError(
                f'{path} asks for type={value!r}, which neither this package nor MMPose has. It is not run.'
            )
        if key == '_scope_' and value not in ('mmpose', 'mmengine'):
            raise ValueError(f'{path} names {key}={value!r}, a package that would be imported. It is not used.')
        if isinstance(value, str) and value.lower().endswith(CODE):
            raise ValueError(f'{path} names {key}={value!r}, which could run code. It is not used.')


def _entries(data: Any, name: Any = '') -> Iterator[tuple[Any, Any]]:
    """Yield (key, value) of everything in nested data; what is in a list has the list's key."""
    if isinstance(data, dict):
        for key, value in data.items():
            if key == 'type' and name == 'keypoint_info':  # there, a part of the body
                continue
            yield from [(key, value)] if key == 'type' else _entries(value, name if isinstance(key, int) else key)
    elif isinstance(data, list):
        for value in data:
            yield from _entries(value, name)
    else:
        yield name, data


def _registered() -> set[str]:
    """Return the names of all registered classes and functions of MMEngine, MMPose and this package."""
    import mmengine.registry
    import mmpose.registry
    from mmengine.registry import Registry

    from . import register  # noqa: F401

    def is_ours(each: Any) -> bool:  # and no class of somebody's own, which nobody else would have
        return each.__module__.partition('.')[0] in ('clamp', 'mmpose', 'mmengine', 'mmcv', 'torch')

    names: set[str] = set()
    for module in (mmengine.registry, mmpose.registry):
        for registry in vars(module).values():
            if isinstance(registry, Registry):
                registry.import_from_location()
                names |= {name for name, each in registry.module_dict.items() if is_ours(each)}
    return names
