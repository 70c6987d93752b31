"""The pretrained pair of tools/prepare_lite_weights.py, where it was made: it computes what its makers' code does."""

from pathlib import Path

import pytest
import timm
import torch
from mmengine.config import Config
from mmpose.registry import MODELS

from clamp.models.clip import load_tower
from clamp.models.text_towers import build_text_encoder

CONFIG = 'configs/animalpose/clamp_lite0-minilm.py'
IMAGE, TEXT = 'weights/efficientnet_lite0.safetensors', 'weights/all-MiniLM-L6-v2'
pytestmark = pytest.mark.skipif(
    not (Path(IMAGE).exists() and Path(TEXT).exists()), reason='tools/prepare_lite_weights.py has not been run'
)


@torch.no_grad()
def test_image_tower_is_timms():
    backbone = MODELS.build(Config.fromfile(CONFIG).model.backbone)
    backbone.init_weights()
    reference = timm.create_model('tf_efficientnet_lite0', checkpoint_path=IMAGE).eval()
    reference.to(memory_format=torch.channels_last)  # as ours: convolutions in another order differ by 2e-5
    images = (torch.rand(2, 3, 128, 128) * 4 - 2).contiguous(memory_format=torch.channels_last)
    feature_map = backbone.eval()(images)[-1]
    torch.testing.assert_close(feature_map, reference.forward_features(images), atol=1e-5, rtol=0)
    assert feature_map.std() > 0.1  # and no constant


@torch.no_grad()
def test_prompts_without_context_are_sentence_embeddings():
    transformers = pytest.importorskip('transformers')
    names = ['left front elbow', 'hoof', 'the root of the tail']
    clip = Config.fromfile(CONFIG).model.backbone.clip
    encoder = build_text_encoder(clip, names, num_context_tokens=0)
    load_tower(encoder.tower, clip, 'text.')
    tokenizer, model = (getattr(transformers, auto).from_pretrained(TEXT) for auto in ('AutoTokenizer', 'AutoModel'))
    tokens = tokenizer(names, padding=True, return_tensors='pt')
    used = tokens['attention_mask'][..., None]
    expected = (model.eval()(**tokens).last_hidden_state * used).sum(1) / used.sum(1)
    torch.testing.assert_close(encoder(torch.empty(0, encoder.width)), expected, atol=1e-5, rtol=0)
