"""Every config in docs/clip_models.md is built and makes a training step, and the table beside them is right."""

import re
import shutil
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.structures import InstanceData, PixelData
from mmpose.registry import MODELS
from mmpose.structures import PoseDataSample

from clamp.model_checks import check_sizes
from tests.repository import ROOT
from tools.complexity import TEXT_ENCODER, count_parameters

DOCS = (ROOT / 'docs/clip_models.md').read_text()
CONFIGS = dict(re.findall(r'```python\n# (configs/\S+)\n(.*?)```', DOCS, re.DOTALL))


@pytest.fixture
def configs(tmp_path):
    """A copy of the configs with the data set base that the page describes."""
    shutil.copytree(ROOT / 'configs', tmp_path / 'configs')
    folder = tmp_path / 'configs/_base_/datasets'
    base = (folder / 'ap10k_224x224.py').read_text().replace('224', '336')
    codec = 'codec = dict(input_size=(336, 336), heatmap_size=(96, 96))'
    assert codec in DOCS
    (folder / 'ap10k_336x336.py').write_text(re.sub('^codec = .*', codec, base, flags=re.MULTILINE))
    return tmp_path


def targets(cfg: Config) -> PoseDataSample:
    sample = PoseDataSample(metainfo=dict(input_size=cfg.codec.input_size))
    sample.gt_instances = InstanceData(transformed_keypoints=torch.rand(1, 17, 2).numpy() * cfg.codec.input_size)
    sample.gt_instance_labels = InstanceData(keypoint_weights=torch.ones(1, 17))
    sample.gt_fields = PixelData(heatmaps=torch.rand(17, *cfg.codec.heatmap_size[::-1]))
    return sample


@pytest.mark.slow
@pytest.mark.parametrize('path', CONFIGS)
def test_other_clips_train(path, configs, hub):
    (configs / path).write_text(CONFIGS[path])
    cfg = Config.fromfile(configs / path)
    check_sizes(cfg.model)
    assert cfg.model.head.prompt_learner.text_encoder == cfg.model.backbone.clip
    model = MODELS.build(cfg.model).train()
    counts = [f'{count_parameters(model, without) / 1e6:.1f}' for without in ((TEXT_ENCODER,), ())]
    for name, blocks in model.backbone.tower.named_modules():
        if name in ('transformer.resblocks', 'trunk.blocks'):
            del blocks[4:]  # more of the same, and a minute of ViT-L
    width, height = cfg.codec.input_size
    losses = model.loss(torch.randn(1, 3, height, width), [targets(cfg)])
    assert set(losses) == {'loss_kpt', 'loss_spatial', 'loss_feature'}
    sum(losses.values()).backward()
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name
    sizes = ['x'.join(map(str, size)) for size in (cfg.codec.input_size, cfg.codec.heatmap_size)]
    row = [f'`{Path(path).name}`', cfg.model.backbone.clip.model_name, *sizes, *counts]
    assert f'| {" | ".join(row)} |\n' in DOCS


def test_the_page_names_eight_configs():
    assert len(CONFIGS) == 8
