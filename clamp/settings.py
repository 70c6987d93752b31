"""Which settings of a config have an effect: what nothing reads is refused, with what was probably meant.

MMEngine takes any name. One that is misspelt, or that stands for a variable which the config has already used, would
silently leave the defaults in place.
"""

import ast
import difflib
import inspect
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import mmengine.registry
import mmpose.registry
from mmengine.config import Config
from mmengine.hooks import CheckpointHook
from mmengine.optim import OptimWrapper
from mmengine.registry import Registry
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop, Runner, TestLoop, ValLoop
from mmengine.utils.dl_utils import set_multi_processing
from torch.utils.data import DataLoader

from .models.open_vocabulary_data_preprocessor import AbsentNames, AuxiliaryKeypoints
from .models.prompt_learner import ImageCrossAttention, PromptEncoder

BUILDERS_KEYS = {'type', '_scope_', 'priority', 'convert_to_iter_based'}  # taken out before a constructor is called
COUNTS = {
    r'(train|val|test)_dataloader\.batch_size': 1,
    r'(train|val|test)_dataloader\.num_workers': 0,
    r'(train|val|test)_dataloader\.prefetch_factor': 1,
    r'train_cfg\.(max_epochs|max_iters|val_interval)': 1,
    r'auto_scale_lr\.base_batch_size': 1,
    r'default_hooks\.(logger|visualization)\.interval': 1,
    r'randomness\.seed': 0,
    r'model\.head\.prompt_learner\.num_context_tokens': 0,
}


def override(cfg: Config, options: dict) -> None:
    """Put options into a config, in place, and check the whole.

    Args:
        cfg (Config): A config.
        options (dict): As ``--cfg-options`` gives them: ``{'train_dataloader.batch_size': 64}``.

    Raises:
        ValueError: If an option or a setting would be without effect, or a count is out of range.
    """
    check_options(cfg, options)
    try:
        cfg.merge_from_dict(options)
    except (AttributeError, TypeError, KeyError) as error:  # MMEngine replaces dicts in lists alone
        raise ValueError(
            f'The options {", ".join(options)} cannot be put into the config: a number or word in a list has no name '
            'of its own. Give the whole list.'
        ) from error
    check_settings(cfg)


def forget_workers(cfg: Config) -> None:
    """Take out, in place, what torch refuses in a data loader without workers: settings of workers."""
    for part in ('train', 'val', 'test'):
        loader = cfg.get(f'{part}_dataloader') or {}
        if loader.get('num_workers') == 0:
            for name in ('persistent_workers', 'prefetch_factor', 'multiprocessing_context'):
                loader.pop(name, None)


def check_options(cfg: Config, options: dict) -> None:
    """Check that each option, by its dotted name, is a setting of the config, or one that could be.

    Args:
        cfg (Config): As it was read, before the options are put into it.
        options (dict): As ``--cfg-options`` gives them: ``{'train_dataloader.batch_size': 64}``.

    Raises:
        ValueError: If an option would be without effect, naming settings that have one.
    """
    for option in options:
        if not _could_be(option.split('.'), cfg):
            known = _meant(option, cfg)
            hint = f'These have an effect: {", ".join(known)}.' if known else 'Nothing in the config is like it.'
            raise ValueError(f'The option {option} would be without effect. {hint}')


def _could_be(parts: list[str], cfg: Config) -> bool:
    if parts[0] not in _accepted('', {}):
        return False  # also a variable of the config file, whose value is elsewhere by now
    node = cfg
    for depth, part in enumerate(parts):
        if isinstance(node, list | tuple):
            if not part.isdigit() or int(part) >= len(node):
                return False
            node = node[int(part)]
        elif isinstance(node, dict | Config) and part in node:
            node = node[part]
        elif node is None:
            return True
        else:
            return isinstance(node, dict | Config) and _is_new(part, '.'.join(parts[:depth]), node)
    return True


def _is_new(name: str, path: str, node: dict) -> bool:
    """Whether an object that a config describes takes a setting that the config does not have yet."""
    names = _accepted(path, node)
    return name in names if names is not None else 'type' in node or path.endswith(('_keys', '_hooks', '_cfg'))


def _meant(option: str, cfg: Config) -> list[str]:
    """The settings that someone may mean: where a variable went, those of the same last name, or of a similar one."""
    settings = dict(_settings(cfg))
    first, _, rest = option.partition('.')
    found = []
    if first not in _accepted('', {}) and first in cfg:
        value = cfg[first]
        found = [path for path, other in settings.items() if other == value and type(other) is type(value)]
        if isinstance(value, str) and value:
            found = [path for path, other in settings.items() if isinstance(other, str) and other.startswith(value)]
        found = [f'{path}.{rest}' if rest else path for path in found]
    parent, _, last = option.rpartition('.')
    node = settings.get(parent)
    siblings = (isinstance(node, dict) and _accepted(parent, node)) or ()
    found = found or [f'{parent}.{name}' for name in difflib.get_close_matches(last, siblings, n=3)]
    found = found or [path for path in settings if path.rpartition('.')[-1] == last]
    return found[:5] or difflib.get_close_matches(option, settings, n=3, cutoff=0.7)


def _settings(node, path: str = '') -> Iterator[tuple[str, object]]:
    """All that a config has below the names that the runner reads, as dotted name and value."""
    if path:
        yield path, node
    items = enumerate(node) if isinstance(node, list | tuple) else node.items() if hasattr(node, 'items') else ()
    for key, value in items:
        if (path or key in _accepted('', {})) and not (path.endswith('metainfo') or value is node):
            yield from _settings(value, f'{path}.{key}'.lstrip('.'))


def check_variables(cfg: Config, path: str | None = None, read_below: frozenset[str] = frozenset()) -> None:
    """Check that what a config and its bases define is read: by the runner, there, or in a file that inherits.

    A file without a base may define what nothing reads, as a config that MMEngine has written beside a checkpoint does;
    but not what looks like a misspelt name.

    Args:
        cfg (Config): As it was read.
        path (str, optional): One of its files. Defaults to the config's own.
        read_below (frozenset[str]): What the files that inherit from this one read as ``_base_.NAME``.

    Raises:
        ValueError: If a name would be without effect.
    """
    path = path or cfg.filename
    text = Path(path).read_text(encoding='utf-8')
    if not path.endswith('.py') or 'read_base()' in text:  # in pure Python what is inherited is imported
        return
    tree = ast.parse(text)
    names = [each for each in ast.walk(tree) if isinstance(each, ast.Name)]
    bases = [ast.literal_eval(each.value) for each in tree.body if re.match(r'_base_\s*=', ast.unparse(each))]
    bases = [base for each in bases for base in ([each] if isinstance(each, str) else each)]
    read = {each.id for each in names if isinstance(each.ctx, ast.Load)} | _accepted('', {}) | read_below | {'_base_'}
    defined = [each.id for each in names if isinstance(each.ctx, ast.Store) and each.id in cfg]
    for name in defined:
        near = difflib.get_close_matches(name, _accepted('', {}), n=1, cutoff=0.85)
        if name not in read and (near or bases):
            hint = ', '.join(near or _meant(name, cfg)) or 'nothing in the config is like it'
            raise ValueError(f'{path} defines {name}, which nothing reads. What would have an effect: {hint}.')
    inherited = read_below | set(re.findall(r'_base_\.(\w+)', text))
    for base in bases:
        if '::' not in base:  # MMPose's own are as they are
            check_variables(cfg, str(Path(path).parent / base), frozenset(inherited))


def check_settings(cfg: Config) -> None:
    """Check that every setting below a name that the runner reads is one that its reader knows, and all counts.

    What a dict with a ``type`` may have is what the constructor of that class takes. Settings of other dicts are those
    that MMEngine documents.

    Raises:
        ValueError: If a setting is unknown, a type is in no registry, or a count is out of range.
    """
    for path, node in _settings(cfg):
        for pattern, least in COUNTS.items():
            if re.fullmatch(pattern, path) and node is not None and (type(node) is not int or node < least):
                raise ValueError(f'{path} is {node!r}, but should be a whole number from {least}.')
        if isinstance(node, dict):
            _check_dict(path, node, cfg)


def _check_dict(path: str, node: dict, cfg: Config) -> None:
    names, reader = _accepted(path, node), node.get('type', 'MMEngine')
    if re.fullmatch(r'model\.(test|train)_cfg', path):
        names, reader = _asked_for(path.rpartition('.')[-1], cfg.model), 'the model'
    if re.fullmatch(r'default_hooks\.\w+', path) and 'type' not in node:
        near = difflib.get_close_matches(path, [f'default_hooks.{name}' for name in cfg.default_hooks], n=2)[1:]
        raise ValueError(
            f'{path} has no type. If it is no new hook, but misspelt: is it {", ".join(near) or "another"}?'
        )
    for name in set(node) - (set(node) if names is None else names):
        near = difflib.get_close_matches(str(name), names, n=1) or sorted(names - BUILDERS_KEYS)
        raise ValueError(f'{path}.{name} would be without effect: {reader} does not know it, but {", ".join(near)}.')


def _asked_for(name: str, model: dict) -> set[str] | None:
    """What estimator and head ask for in their ``test_cfg`` or ``train_cfg``, to them any dict; None if unknown."""
    heads = _find((model.get('head') or {}).get('type'))
    if not any(issubclass(each, tuple(_find('HeatmapHead'))) for each in heads):
        return None
    classes = [base for each in (*_find(model.type), *heads) for base in each.__mro__]
    modules = {inspect.getmodule(each) for each in classes if not each.__module__.startswith(('torch.', 'builtins'))}
    return {key for each in modules for key in re.findall(rf"{name}(?:\.get\(|\[)'(\w+)'", inspect.getsource(each))}


@cache
def _named(function) -> frozenset[str] | None:
    """The names of the parameters of a function or class, with those of base classes that get the other keywords.

    None if it takes any.
    """
    names = set()
    is_class = inspect.isclass(function)
    for owner in [each for each in function.__mro__ if '__init__' in vars(each)] if is_class else [function]:
        if owner is object:
            return None if names else frozenset()
        parameters = list(inspect.signature(owner.__init__ if is_class else owner).parameters.values())
        if owner is CheckpointHook:
            parameters.pop()  # its keywords go to Runner.save_checkpoint, which has got them all already
        names |= {each.name for each in parameters if each.kind in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY)}
        if not any(each.kind is each.VAR_KEYWORD for each in parameters):
            return frozenset(names - {'self'})
    return None


@cache
def _find(name) -> list:
    """The classes and functions of this ``type``, in all registries; raises a ValueError if it looks misspelt."""
    if not isinstance(name, str):
        return [name] if name else []
    rooms = [*vars(mmpose.registry).values(), *vars(mmengine.registry).values()]
    rooms = [room for room in rooms if isinstance(room, Registry)]
    found = {id(each): each for each in (room.get(name) for room in rooms) if each is not None}
    known = [] if found or '.' in name else [key for room in rooms for key in room.module_dict]
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.85)
    if near:  # else it may be of a library that has no registry, or is not installed
        raise ValueError(f'type={name!r} is not known. Is it {near[0]}?')
    return list(found.values())


@cache
def _places() -> dict[str, frozenset[str]]:
    """What MMEngine reads in dicts that have no type, by a pattern of their dotted names."""
    by_name = {'custom_imports', 'compile', 'sync_bn', 'find_unused_parameters', 'model_wrapper_cfg'}
    by_name |= {'activation_checkpointing', 'efficient_conv_bn_eval'}
    loader = {'dataset', 'sampler', 'batch_sampler', 'num_batch_per_epoch', 'disable_subprocess_warning'}
    return {
        '': _named(Runner) | by_name,
        '(train|val|test)_dataloader': _named(DataLoader) | loader,
        'val_cfg': _named(ValLoop),
        'test_cfg': _named(TestLoop),
        'randomness': _named(Runner.set_randomness),
        'env_cfg': {'cudnn_benchmark', 'mp_cfg', 'dist_cfg', 'resource_limit'},
        r'env_cfg\.mp_cfg': _named(set_multi_processing),
        'auto_scale_lr': {'enable', 'base_batch_size'},
        'optim_wrapper': _named(OptimWrapper) | {'type', 'constructor', 'paramwise_cfg', 'optimizer'},
        r'optim_wrapper\.paramwise_cfg\.custom_keys\..+': {'lr_mult', 'decay_mult'},
        r'.+\.data_prefix': {'img'},
        r'model\.head\.prompt_learner\.prompt_encoder': _named(PromptEncoder),
        r'model\.head\.prompt_learner\.cross_attention': _named(ImageCrossAttention),
        r'model\.data_preprocessor\.auxiliary': _named(AuxiliaryKeypoints) - {'names'},
        r'model\.data_preprocessor\.absent': _named(AbsentNames),
    }


def _accepted(path: str, node: dict) -> set[str] | None:
    """The names of the settings that a dict of a config may have; None if any, or if that is not known."""
    names = set()
    for pattern, known in _places().items():
        if re.fullmatch(pattern, path):
            names |= known
    if path == 'train_cfg' and 'type' not in node:
        return names | {'by_epoch'} | _named(EpochBasedTrainLoop if node.get('by_epoch', True) else IterBasedTrainLoop)
    if 'type' not in node:
        return names or None
    classes = _find(node['type'])
    for each in classes:
        known = None if each.__module__.startswith('torch.nn') else _named(each)  # mmcv takes out keys of its own
        if known is None:
            return None
        names |= known
    return names | BUILDERS_KEYS if classes else None
