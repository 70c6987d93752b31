"""The method of one's own that docs/extend.md shows: its code is run, and what it says of it is so."""

import re

import pytest
import torch
from mmpose.registry import MODELS

from clamp.onnx.export import fold_prompts
from tests.repository import ROOT
from tests.tiny_models import NAMES, tiny_clip, tiny_head

PAGE = (ROOT / 'docs/extend.md').read_text(encoding='utf-8')
CODE, CONFIG = re.findall(r'```python\n(.*?)```', PAGE, re.DOTALL)[:2]


@pytest.fixture
def model():
    before = set(MODELS.module_dict)
    exec(CODE, dict(__name__='mine'))
    config = {}
    exec(CONFIG, config)
    head = tiny_head()
    own = config['model']['head']
    head |= dict(own, prompt_learner=head['prompt_learner'] | own['prompt_learner'])
    backbone = dict(type='CLIPBackbone', clip=tiny_clip(), input_size=(32, 32))
    yield MODELS.build(dict(type='TopdownHeatmapEstimator', backbone=backbone, head=head))
    for name in set(MODELS.module_dict) - before:
        MODELS.module_dict.pop(name)


def test_all_parts_are_trained(model):
    feats = model.extract_feat(torch.randn(2, 3, 32, 32))
    points, weights = torch.rand(2, 3, 2), torch.tensor([[1.0, 1, 1], [1, 0, 1]])
    losses = model.head.compute_losses(feats, torch.rand(2, 3, 8, 8), weights, points)
    assert set(losses) == {'loss_kpt', 'loss_spatial', 'loss_feature', 'loss_sharp'}
    sum(losses.values()).backward()
    assert model.head.prompt_learner.others.grad.abs().sum() > 0
    assert torch.isfinite(torch.stack(list(losses.values()))).all()


def test_prompts_are_the_mean_over_contexts_and_follow_the_weights(model):
    learner = model.head.prompt_learner.eval()
    with torch.no_grad():
        encoded = [learner.text_encoder(context) for context in (learner.context, *learner.others)]
        torch.testing.assert_close(learner.encode_texts(), torch.stack(encoded).mean(0))
        before = learner.encode_prompts()
        assert learner.encode_prompts() is before  # kept in evaluation
        learner.others.add_(1)
        assert not torch.allclose(learner.encode_prompts(), before)
        assert learner.encode_prompts(('hoof',)).shape == (len(NAMES) + 1, 24)
        with pytest.raises(ValueError, match=r'The context has the shape \(1, 8, 32\), .* share it'):
            learner.text_encoder(learner.others)


def test_it_is_exported(model):
    model.eval()
    folded, images = fold_prompts(model), torch.randn(1, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(folded.head(folded.backbone(images)), model.head(model.backbone(images)))
