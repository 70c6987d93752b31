"""Weights of single towers, made here: a timm tower's file and a text model's folder."""

import re

import pytest
import timm
import torch

from clamp.models.clip import check_weights
from clamp.models.clip_backbone import CLIPBackbone
from clamp.models.prompt_learner import PromptLearner
from tests.tiny_models import NAMES, make_nonzero, tiny_clip
from tests.tiny_texts import save_model
from tests.tiny_timm import tiny_timm_clip


def test_an_image_tower_from_a_file_of_timms(tmp_path, caplog, monkeypatch):
    said = []
    monkeypatch.setattr('clamp.models.clip.print_log', lambda message, logger: said.append(message))
    trunk = make_nonzero(timm.create_model('test_efficientnet', num_classes=10))  # as saved, with a classifier
    torch.save(trunk.state_dict(), tmp_path / 'timm.pth')
    clip = tiny_timm_clip('efficientnet', pretrained=dict(image=str(tmp_path / 'timm.pth')))
    backbone = CLIPBackbone(clip, input_size=(64, 64))
    backbone.init_weights()
    images = torch.randn(1, 3, 64, 64)
    torch.testing.assert_close(backbone.eval()(images)[-1], trunk.eval().forward_features(images))
    assert said == [
        f'Loaded the visual tower from {tmp_path}/timm.pth',
        'No file holds head.proj.weight of the visual tower: it starts at random',
    ]


def test_a_text_tower_from_a_folder(tmp_path):
    transformers = pytest.importorskip('transformers')
    folder = save_model(tmp_path)
    text_cfg = dict(hf_model_name=folder, hf_pooler_type='mean_pooler', hf_proj_type=None)
    clip = tiny_clip(pretrained=dict(text=folder)) | dict(embed_dim=32, text_cfg=text_cfg)
    learner = PromptLearner(NAMES, clip, num_context_tokens=0, prompt_encoder=None, cross_attention=None)
    learner.init_weights()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    tokens = tokenizer(NAMES[:1], return_tensors='pt')
    hidden = transformers.AutoModel.from_pretrained(folder).eval()(**tokens).last_hidden_state
    torch.testing.assert_close(learner.encode_prompts()[0], hidden[0].mean(0), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ('pretrained', 'error', 'message'),
    [
        (dict(image='nowhere.pth'), FileNotFoundError, r'nowhere\.pth.* are neither a file here .*: r160_in1k'),
        (dict(image='r160_in1k'), FileNotFoundError, r'\.r160_in1k is neither a folder .*pretrained\.image'),
        (dict(visual='a.pth'), ValueError, "has {'visual'}; it takes image and text"),
        (dict(text='a/folder'), ValueError, 'is for a tower with hf_model_name, which this CLIP does not have'),
    ],
)  # fmt: skip
def test_weights_that_are_not_there_are_named(pretrained, error, message):
    clip = tiny_timm_clip('efficientnet', pretrained=pretrained)
    with pytest.raises(error, match=message):
        check_weights(clip, clip)


def test_a_file_of_another_tower_or_cut_short_is_named(tmp_path):
    path = tmp_path / 'timm.pth'
    clip = tiny_timm_clip('efficientnet', pretrained=dict(image=str(path)))
    backbone = CLIPBackbone(clip, input_size=(64, 64))
    torch.save(timm.create_model('tiny_convnext').state_dict(), path)
    with pytest.raises(ValueError, match=rf'{re.escape(str(path))} does not hold the visual tower of .* and \d+ more'):
        backbone.init_weights()
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ValueError, match=r'timm\.pth cannot be read as weights; it may be cut short'):
        backbone.init_weights()
