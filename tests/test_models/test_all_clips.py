"""All models of open_clip as a whole CLAMP, without memory for their weights (torch's meta device).

Tokenizers and sizes of Hugging Face's models are no part of open_clip: tokenizers with the same special tokens stand in
for them, and the sizes of the text models are written down here.
"""

import math
from types import SimpleNamespace

import open_clip
import pytest
import torch
from mmengine.config import Config
from mmpose.registry import MODELS
from open_clip.utils import to_2tuple

from clamp.checks import check_sizes
from clamp.models.clip import clip_config
from clamp.models.image_towers import image_tower_layout
from clamp.models.text_towers import check_prompts, tokens
from tests.conftest import NAMES
from tests.test_models.test_text_towers import save_tokenizer

COCA = ['coca_ViT-B-32', 'coca_ViT-L-14', 'coca_base', 'coca_roberta-ViT-B-32']
XLM_R = dict(model_type='xlm-roberta', vocab_size=250002, max_position_embeddings=514, pad_token_id=1)
NLLB = dict(
    model_type='m2m_100', vocab_size=256206, d_model=1024, encoder_attention_heads=16, decoder_attention_heads=16
)
TEXT_MODELS = {  # as their config.json on the hub
    'roberta-base': dict(model_type='roberta', vocab_size=50265, max_position_embeddings=514, pad_token_id=1),
    'xlm-roberta-base': XLM_R,
    'xlm-roberta-large': XLM_R
    | dict(hidden_size=1024, intermediate_size=4096, num_attention_heads=16, num_hidden_layers=24),
    'google/mt5-base': dict(model_type='mt5', vocab_size=250112, d_model=768, d_ff=2048, num_layers=12, num_heads=12),
    'google/mt5-xl': dict(model_type='mt5', vocab_size=250112, d_model=2048, d_ff=5120, num_layers=24, num_heads=32),
    'facebook/nllb-200-distilled-600M': NLLB
    | dict(encoder_layers=12, decoder_layers=12, encoder_ffn_dim=4096, decoder_ffn_dim=4096),
    'facebook/nllb-200-distilled-1.3B': NLLB
    | dict(encoder_layers=24, decoder_layers=24, encoder_ffn_dim=8192, decoder_ffn_dim=8192),
}


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """What the hub of Hugging Face has: tokenizers that begin and end a text as theirs do, and the models' sizes."""
    transformers = pytest.importorskip('transformers')

    def load_tokenizer(name, mode, options):
        if name is None:
            return load(name, mode, options)
        style = 'siglip' if 'SigLIP' in name else 'bert' if 'bert-base' in name else 't5' if 'mt5' in name else 'xlmr'
        return load(save_tokenizer(tmp_path / style, style), mode, options)

    load = tokens._load_tokenizer
    monkeypatch.setattr(tokens, '_load_tokenizer', load_tokenizer)
    monkeypatch.setattr('clamp.models.text_towers.hugging_face.find_hub_files', lambda *args: None)
    configs = SimpleNamespace(from_pretrained=lambda name: transformers.AutoConfig.for_model(**TEXT_MODELS[name]))
    monkeypatch.setattr(open_clip.hf_model, 'AutoConfig', configs)


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


@pytest.mark.parametrize('name', ['RN50', 'MobileCLIP2-S0', 'ViT-B-16-SigLIP2', 'ViT-H-14-worldwide', 'nllb-clip-base'])
def test_some_models(name, hub):
    check_and_build(name)


@pytest.mark.slow
def test_all_models_but_cocas(hub):
    refused = {}
    for name in open_clip.list_models():
        try:
            check_and_build(name)
        except ValueError as error:
            refused[name] = str(error)
    assert len(open_clip.list_models()) - len(refused) >= 135
    assert sorted(refused) == COCA
    for name, message in refused.items():
        assert message.startswith(f'The image tower of {name} is of no kind known here: CoCa pools all positions')
