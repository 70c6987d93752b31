"""All models of open_clip as a whole CLAMP, without memory for their weights (torch's meta device).

Tokenizers and sizes of Hugging Face's models are no part of open_clip; conftest.py has stand-ins.
"""

import math

import open_clip
import pytest
import torch
from mmengine.config import Config
from mmpose.registry import MODELS
from open_clip.utils import to_2tuple

from clamp.model_checks import check_sizes
from clamp.models.clip import clip_config
from clamp.models.image_towers import image_tower_layout
from clamp.models.text_towers import check_prompts
from tests.tiny_models import NAMES

REFUSED = {
    'coca_ViT-B-32': 'The image tower of coca_ViT-B-32 is of no kind known here: CoCa pools all positions into queries',
    'coca_ViT-L-14': 'The image tower of coca_ViT-L-14 is of no kind known here: CoCa pools all positions into queries',
    'coca_base': "The text tower of coca_base is of no kind known here: CoCa's ends with a class token of its own",
}


def clamp_of(name: str) -> Config:
    """The config of a CLAMP on a model of open_clip, at its own input size or what whole cells of that cover."""
    clip = dict(model_name=name)
    stride, channels = image_tower_layout(clip)
    side = to_2tuple(clip_config(clip)['vision_cfg'].get('image_size', 224))[0] // stride * stride
    deconvs = round(math.log2(stride / 4))
    codec = dict(type='MSRAHeatmap', input_size=(side,) * 2, heatmap_size=(side // stride * 2**deconvs,) * 2, sigma=2)
    head = dict(
        type='CLAMPHead', in_channels=channels, out_channels=len(NAMES), decoder=codec,
        deconv_out_channels=(8,) * deconvs, deconv_kernel_sizes=(4,) * deconvs,
        prompt_learner=dict(type='PromptLearner', keypoint_names=NAMES, text_encoder=clip),
        spatial_loss=dict(type='KeypointMSELoss', use_target_weight=True),
        feature_loss=dict(type='FeatureContrastiveLoss'),
    )  # fmt: skip
    backbone = dict(type='CLIPBackbone', clip=clip, input_size=codec['input_size'])
    return Config(dict(model=dict(type='TopdownPoseEstimator', backbone=backbone, head=head))).model


def check_and_build(name: str) -> None:
    """Check the config of a CLAMP, build it, and run it on an image: all shapes fit, nothing is computed."""
    model = clamp_of(name)
    check_sizes(model)
    check_prompts(model.backbone.clip, NAMES, 8)
    with torch.device('meta'), torch.no_grad():
        estimator = MODELS.build(model).eval()
        assert {parameter.device.type for parameter in estimator.parameters()} == {'meta'}
        width, height = model.head.decoder.heatmap_size
        embeds = estimator.backbone(torch.empty(1, 3, *model.backbone.input_size))
        learner = estimator.head.prompt_learner
        learner.text_encoder.to('meta')
        assert estimator.head(embeds).shape == (1, len(NAMES), height, width)
    assert learner.text_encoder.embed_dim == embeds[0].shape[1] == clip_config(model.backbone.clip)['embed_dim']


@pytest.mark.parametrize('name', ['RN50', 'ViT-B-16-SigLIP2'])
def test_some_models(name, hub):
    check_and_build(name)


@pytest.mark.slow
def test_all_models_but_three(hub):
    refused = {}
    for name in open_clip.list_models():
        try:
            check_and_build(name)
        except ValueError as error:
            refused[name] = str(error)
    assert len(open_clip.list_models()) - len(refused) >= 135
    assert {name: message[: len(REFUSED[name])] for name, message in refused.items()} == REFUSED
