"""The repository's own files: its configs, its commands and what their headers say."""

import importlib.util
import re
import shlex
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

import pytest
from mmengine.config import Config

ROOT = Path(__file__).parents[1]
CONFIGS = ROOT / 'configs'
DEMO = str(CONFIGS / 'demo/clamp_tiny.py')


def load_tool(name: str) -> ModuleType:
    """Import the command of this name from ``tools/``, which is no package."""
    spec = importlib.util.spec_from_file_location(f'tools_{name}', ROOT / f'tools/{name}.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def link_configs(folder: Path) -> None:
    """Put what ``tools/new_dataset.py`` reads of the repository's configs into a folder that it can write to."""
    datasets = Path('_base_/datasets')  # where it writes one more
    (folder / 'configs' / datasets).mkdir(parents=True)
    parts = [datasets / path.name for path in (CONFIGS / datasets).glob('*.py')]
    for part in (*parts, 'animalpose', '_base_/models', '_base_/schedules', '_base_/default_runtime.py'):
        (folder / 'configs' / part).symlink_to(CONFIGS / part)


def header_command(path: Path) -> list[str]:
    """The arguments of the ``tools/make_splits.py`` in a config's header."""
    header = re.match(r'(#.*\n)+', path.read_text())[0]
    lines = [line.removeprefix('#') for line in header.split('make_splits.py', 1)[1].splitlines()]
    end = next(number for number, line in enumerate(lines) if not line.endswith('\\'))
    return shlex.split(' '.join(line.rstrip('\\') for line in lines[: end + 1]))


def assert_recipe(cfg: Config, name: str) -> None:
    """Batch, learning rate, epochs, and what validation may choose, as docs/protocols.md says."""
    if '_tiny' in name or 'clamp_lite0' in name or 'openvocab_lite0' in name:
        batch, rate = 32, 2e-3
    elif 'simplebaseline_lite0' in name:
        batch, rate = 32, 4e-3
    elif name.endswith('_20shot'):
        batch, rate = 64, 5e-5 if '_vitb' in name else 5e-4
        assert cfg.auto_scale_lr.base_batch_size == 64
    else:
        batch, rate = 128, 5e-4
    assert (cfg.train_dataloader.batch_size, cfg.optim_wrapper.optimizer.lr) == (batch, rate)
    lr_mult = cfg.optim_wrapper.get('paramwise_cfg', {}).get('custom_keys', {}).get('backbone', {}).get('lr_mult', 1)
    assert lr_mult == (0.1 if '_vit' in name else 1)
    epochs = cfg.train_cfg.max_epochs
    assert cfg.param_scheduler[1].end == epochs
    assert (epochs == 210) == ('_tiny' not in name and '_lite0' not in name)
    assert epochs % cfg.train_cfg.val_interval == 0  # the last epoch is validated
    # nothing is chosen on the unseen family, nor on val in the comparison of the small pretrained models
    assert (cfg.default_hooks.checkpoint.save_best is None) == ('-to-' in name or '_lite0' in name)


def slow_except(values: Iterable[str], *quick: str) -> list:
    """Parameters of which some are in the quick suite, and all in the slow one."""
    return [value if value in quick else pytest.param(value, marks=pytest.mark.slow) for value in values]
