"""A whole CLAMP on every kind of image tower of timm, with each kind of text tower in turn: training and prediction."""

from itertools import cycle

import pytest
import torch
from mmpose.registry import MODELS
from torch._subclasses.fake_tensor import FakeTensorMode

from tests.pretended_gpu import GPU, Transfers, needs_pretence, pretend_on, training_batch
from tests.repository import slow_except
from tests.tiny_models import msra_codec, tiny_head
from tests.tiny_texts import save_model
from tests.tiny_timm import KINDS, tiny_timm_clip

TEXTS = dict(zip(KINDS, cycle(['packed', 'full length', 'hugging face'])))


def size_of(kind: str) -> str:
    """The tiny CLIP of tests.tiny_models with the same stride."""
    return 'vit' if KINDS[kind][1] == 8 else 'resnet'


def estimator_of(kind: str, folder) -> torch.nn.Module:
    clip, codec = tiny_timm_clip(kind), msra_codec(size_of(kind))
    if TEXTS[kind] == 'full length':
        clip['text_cfg'] |= dict(no_causal_mask=True)
    elif TEXTS[kind] == 'hugging face':
        pytest.importorskip('transformers')
        name = save_model(folder)
        clip['text_cfg'] = dict(hf_model_name=name, hf_pooler_type='mean_pooler', hf_proj_type='linear')
    head = tiny_head(size_of(kind), in_channels=KINDS[kind][2], decoder=codec)
    head['prompt_learner'] = head['prompt_learner'] | dict(text_encoder=clip)
    return MODELS.build(
        dict(
            type='TopdownHeatmapEstimator',
            data_preprocessor=dict(type='HeatmapDataPreprocessor', mean=[120] * 3, std=[60] * 3, codec=codec),
            backbone=dict(type='CLIPBackbone', clip=clip, input_size=codec['input_size']),
            head=head,
            test_cfg=dict(flip_test=True, shift_heatmap=True, output_heatmaps=True),
        )
    )


@pytest.fixture(params=slow_except(KINDS, 'efficientnet'))
def kind(request) -> str:
    return request.param


@pytest.fixture
def model(kind, tmp_path) -> torch.nn.Module:
    return estimator_of(kind, tmp_path)


def test_one_step_reaches_everything_but_the_text_encoder(model, kind):
    batch = training_batch(size_of(kind))
    batch['inputs'].random_(256)
    losses = model.train()(**model.data_preprocessor(batch, True), mode='loss')
    assert list(losses) == ['loss_kpt', 'loss_spatial', 'loss_feature']
    sum(losses.values()).backward()
    frozen = {name for name, parameter in model.named_parameters() if parameter.grad is None}
    assert frozen == {name for name, _ in model.named_parameters() if '.text_encoder.' in name}
    assert model.head.prompt_learner.context.grad.abs().max() > 0
    image_tower = {name: parameter for name, parameter in model.backbone.named_parameters() if parameter.ndim > 1}
    projection = [name for name in image_tower if '.head.' in name]
    assert len(projection) == dict(siglip=0, convnext_mlp=2).get(kind, 1)  # SigLIP's ends with its pooler
    for name in (next(iter(image_tower)), *projection):
        assert image_tower[name].grad.isfinite().all(), name
        assert image_tower[name].grad.abs().max() > 0, name


@torch.no_grad()
def test_state_dict_round_trip(model, kind, tmp_path):
    torch.manual_seed(1)
    other = estimator_of(kind, tmp_path).eval()
    images = torch.randn(1, 3, *model.head.decoder.input_size)
    before = other(images, None)
    other.load_state_dict(model.eval().state_dict())
    torch.testing.assert_close(other(images, None), model(images, None), rtol=0, atol=0)
    assert not torch.allclose(before, other(images, None))


@needs_pretence
def test_training_waits_for_nothing(model, kind):
    batch = training_batch(size_of(kind))
    with FakeTensorMode(allow_non_fake_inputs=True):
        pretend_on(GPU, model)
        with Transfers() as transfers:
            model.parse_losses(model.train()(**model.data_preprocessor(batch, True), mode='loss'))
    assert transfers.seen == [('cpu', 'cuda', tuple(tensor.shape), False) for tensor in batch.values()]


@pytest.mark.slow
def test_the_step_is_one_graph(model, kind):
    """For torch.compile; a text model of Hugging Face is left to itself."""
    if TEXTS[kind] == 'hugging face':
        pytest.skip('its text tower')
    images = torch.randn(1, 3, *model.head.decoder.input_size)
    explanation = torch._dynamo.explain(lambda images: model.head._forward(model.backbone(images)))(images)
    assert explanation.graph_break_count == 0, explanation.break_reasons
