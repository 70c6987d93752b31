"""What all tests share: no network, CPUs alone, seeds, and configs that are parsed once."""

import copy
import functools
import gc
import os
import re
from pathlib import Path

os.environ.setdefault('HF_HUB_OFFLINE', '1')  # no test may reach for the network
os.environ['CUDA_VISIBLE_DEVICES'] = ''  # CPUs alone: the same bits each time, and any number of processes
if 'PYTEST_XDIST_WORKER' in os.environ:
    os.environ.setdefault('OMP_NUM_THREADS', '1')  # the processes share the cores

import pytest
import torch
from mmengine.config import Config
from mmengine.config import utils as config_utils
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope

import clamp.register  # noqa: F401

pytest.register_assert_rewrite('tests.repository')
from tests.repository import CONFIGS  # noqa: E402

MMLogger.get_current_instance()  # now, lest it write for ever into what one test captures
gc.freeze()  # each data set of MMEngine collects garbage: 0.3 s among the objects of the modules
config_utils.load = functools.cache(config_utils.load)  # a base of MMPose's has its 149 metafiles parsed, each time
_file2dict = Config._file2dict
VARIABLES = {name for path in CONFIGS.rglob('*.py') for name in re.findall(r'{{\$(\w+)', path.read_text())}


@functools.cache
def _parse(path: str, environment: frozenset) -> tuple[dict, str, dict]:
    return _file2dict(path)


def _parse_once(filename: str, *args, **kwargs) -> tuple[dict, str, dict]:
    """Configs of the repository, with all their bases, are written to disk, rewritten and parsed once a run."""
    path = Path(filename).resolve()
    if not path.is_relative_to(CONFIGS):
        return _file2dict(filename, *args, **kwargs)
    return copy.deepcopy(_parse(str(path), frozenset((name, os.environ.get(name)) for name in VARIABLES)))


Config._file2dict = _parse_once


@pytest.fixture(autouse=True)
def _scope_and_seed():
    init_default_scope('mmpose')
    torch.manual_seed(0)


@pytest.fixture(params=['vit', 'resnet'])
def kind(request) -> str:
    return request.param
