"""Tiny sizes: a whole CLAMP here has 3 M parameters, nearly all of them token embeddings."""

import copy
import functools
import gc
import importlib.util
import os
import re
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

os.environ.setdefault('HF_HUB_OFFLINE', '1')  # no test may reach for the network
os.environ['CUDA_VISIBLE_DEVICES'] = ''  # CPUs alone: the same bits each time, and any number of processes
if 'PYTEST_XDIST_WORKER' in os.environ:
    os.environ.setdefault('OMP_NUM_THREADS', '1')  # the processes share the cores

import open_clip
import pytest
import torch
from mmengine.config import Config
from mmengine.config import utils as config_utils
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope

import clamp.register  # noqa: F401

MMLogger.get_current_instance()  # now, lest it write for ever into what one test captures
gc.freeze()  # each data set of MMEngine collects garbage: 0.3 s among the objects of the modules
config_utils.load = functools.cache(config_utils.load)  # a base of MMPose's has its 149 metafiles parsed, each time
_file2dict = Config._file2dict

TEXT_CFG = dict(width=32, heads=2, layers=2, context_length=20, vocab_size=49408)
SIZES = dict(
    vit=dict(embed_dim=24, vision_cfg=dict(layers=2, width=32, head_width=16, patch_size=8, image_size=32)),
    resnet=dict(embed_dim=24, vision_cfg=dict(layers=(1, 1, 1, 1), width=8, head_width=16, image_size=64)),
)
CONFIGS = Path(__file__).parents[1] / 'configs'
VARIABLES = {name for path in CONFIGS.rglob('*.py') for name in re.findall(r'{{\$(\w+)', path.read_text())}
NAMES = ['left eye', 'nose', 'right back paw']


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


def load_tool(name: str) -> ModuleType:
    """Import the command of this name from ``tools/``, which is no package."""
    spec = importlib.util.spec_from_file_location(f'tools_{name}', Path(__file__).parents[1] / f'tools/{name}.py')
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


def slow_except(values: Iterable[str], *quick: str) -> list:
    """Parameters of which some are in the quick suite, and all in the slow one."""
    return [value if value in quick else pytest.param(value, marks=pytest.mark.slow) for value in values]


def tiny_clip(kind: str = 'vit', **kwargs) -> dict:
    """Config of a tiny CLIP with an image tower of the given kind."""
    return dict(**SIZES[kind], text_cfg=TEXT_CFG, **kwargs)


def random_clip(clip: dict) -> open_clip.CLIP:
    """open_clip's own model of a tiny CLIP, with random weights that are all different from zero."""
    sizes = {key: value for key, value in clip.items() if key != 'pretrained'}
    model = open_clip.CLIP(**sizes).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if not parameter.any():
                parameter.normal_(std=0.1)
        for module in model.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.running_mean.normal_(std=0.1)
                module.running_var.uniform_(0.5, 1.5)
    return model


def tiny_head(kind: str = 'vit', **kwargs) -> dict:
    """Config of a CLAMPHead on a tiny CLIP; its heatmaps are twice (ViT) or eight times as fine as the features."""
    deconvs = 1 if kind == 'vit' else 3
    config = dict(
        type='CLAMPHead',
        in_channels=32 if kind == 'vit' else 256,
        out_channels=len(NAMES),
        deconv_out_channels=(8,) * deconvs,
        deconv_kernel_sizes=(4,) * deconvs,
        prompt_learner=dict(
            type='PromptLearner',
            keypoint_names=NAMES,
            text_encoder=tiny_clip(kind),
            cross_attention=dict(width=16, num_layers=1, num_heads=2),
        ),
        spatial_loss=dict(type='KeypointMSELoss', use_target_weight=True, loss_weight=2.0),
        feature_loss=dict(type='FeatureContrastiveLoss'),
    )
    return config | kwargs
