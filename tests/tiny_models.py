"""Tiny sizes: a whole CLAMP here has 3 M parameters, nearly all of them token embeddings."""

from pathlib import Path

import numpy as np
import open_clip
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData, PixelData
from mmpose.registry import MODELS
from mmpose.structures import PoseDataSample
from mmpose.testing import get_packed_inputs

import clamp.register  # noqa: F401

TEXT_CFG = dict(width=32, heads=2, layers=2, context_length=20, vocab_size=49408)
SIZES = dict(
    vit=dict(embed_dim=24, vision_cfg=dict(layers=2, width=32, head_width=16, patch_size=8, image_size=32)),
    resnet=dict(embed_dim=24, vision_cfg=dict(layers=(1, 1, 1, 1), width=8, head_width=16, image_size=64)),
)
NAMES = ['left eye', 'nose', 'right back paw']
K, D = 3, 24


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


def features(batch: int = 2) -> tuple:
    return torch.randn(batch, D), torch.randn(batch, D, 4, 4), torch.randn(batch, 32, 4, 4)


def samples(batch: int = 2, size: int = 32) -> list:
    """Targets of 8x8 heatmaps; the last keypoint is unlabelled."""
    rng = np.random.default_rng(0)
    result = []
    for _ in range(batch):
        sample = PoseDataSample(metainfo=dict(input_size=(size, size), flip_indices=[1, 0, 2]))
        sample.gt_instances = InstanceData(transformed_keypoints=rng.uniform(4, 28, (1, K, 2)))
        sample.gt_instance_labels = InstanceData(keypoint_weights=torch.tensor([[1.0, 1.0, 0.0]]))
        sample.gt_fields = PixelData(heatmaps=torch.rand(K, 8, 8))
        result.append(sample)
    return result


def msra_codec(kind: str) -> dict:
    """The codec of :func:`estimator`'s heatmaps."""
    size, heatmap = (32, 8) if kind == 'vit' else (64, 16)
    return dict(type='MSRAHeatmap', input_size=(size, size), heatmap_size=(heatmap, heatmap), sigma=1)


def packed_samples(kind: str, number: int) -> list:
    """MMPose's own samples to predict, of :func:`estimator`'s input size."""
    size = msra_codec(kind)['input_size']
    packed = get_packed_inputs(number, num_keypoints=K, img_shape=size, input_size=size)['data_samples']
    for sample in packed:
        sample.set_metainfo(dict(flip_indices=[1, 0, 2]))
    return packed


def estimator(kind: str, **head) -> torch.nn.Module:
    size = 32 if kind == 'vit' else 64
    model = dict(
        type='TopdownHeatmapEstimator',
        backbone=dict(type='CLIPBackbone', clip=tiny_clip(kind), input_size=(size, size)),
        head=tiny_head(kind, **head),
        test_cfg=dict(flip_test=True, flip_mode='heatmap', shift_heatmap=True),
    )
    return MODELS.build(model)


def make_nonzero(tower: torch.nn.Module) -> torch.nn.Module:
    """Draw what an initialisation left at zero or one, so that no part of a tower is without effect."""
    with torch.no_grad():
        for name, tensor in tower.state_dict().items():
            if tensor.is_floating_point() and len(tensor.unique()) == 1:
                tensor.uniform_(0.5, 1.5) if name.endswith(('var', 'weight', 'gamma')) else tensor.normal_(std=0.1)
    return tower


def save_checkpoint(config: str | Config, path: str | Path, seed: int = 0, peaks: bool = False) -> str:
    """Save a config's model with random weights; with ``peaks``, its heatmaps are not nearly flat."""
    init_default_scope('mmpose')  # also in fixtures of a module, which run before those of a test
    torch.manual_seed(seed)
    model = MODELS.build((Config.fromfile(config) if isinstance(config, str) else config).model)
    if peaks:
        torch.nn.init.normal_(model.head.kernels if hasattr(model.head, 'kernels') else model.head.final_layer.weight)
    torch.save(dict(state_dict=model.state_dict(), meta={}), path)
    return str(path)
