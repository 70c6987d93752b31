"""The step on a GPU that need not be there: fake tensors have a device but no values, so that tensors of two devices do
not go together, and whoever waits for a value (``.item()``, a boolean index) gets an error. torch's backward pass asks
for the GPU itself; it is tried on fake tensors of the CPU, where who waits for a value is found out as well."""

import pytest
import torch
from mmpose.registry import MODELS
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode, unset_fake_temporarily

from tests.pretended_gpu import GPU, Transfers, needs_pretence, pretend_on, training_batch
from tests.tiny_models import estimator, msra_codec, packed_samples

pytestmark = needs_pretence


@pytest.fixture
def real_model(kind):
    codec = msra_codec(kind)
    model = estimator(kind, decoder=codec)
    model.data_preprocessor = MODELS.build(
        dict(type='HeatmapDataPreprocessor', mean=[120] * 3, std=[60] * 3, codec=codec)
    )
    return model


@pytest.fixture
def model(real_model):
    with FakeTensorMode(allow_non_fake_inputs=True):
        pretend_on(GPU, real_model)
        yield real_model


@pytest.fixture(params=[False, pytest.param(True, marks=pytest.mark.slow)], ids=['float32', 'bfloat16'])
def amp(request, monkeypatch) -> bool:
    """Whether to train under autocast, which turns itself off where no GPU is."""
    monkeypatch.setattr(torch.cuda.amp.common, 'amp_definitely_not_available', lambda: False)
    monkeypatch.setattr(torch.cuda, 'is_bf16_supported', lambda: True)
    return request.param


def test_training_sends_three_tensors_and_waits_for_nothing(model, kind, amp):
    batch, precisions = training_batch(kind), set()
    model.head.deconv_layers.register_forward_hook(lambda module, inputs, output: precisions.add(output.dtype))
    with Transfers() as transfers, torch.autocast('cuda', torch.bfloat16, enabled=amp):
        losses = model.train()(**model.data_preprocessor(batch, True), mode='loss')
        model.parse_losses(losses)
    assert transfers.seen == [('cpu', 'cuda', tuple(tensor.shape), False) for tensor in batch.values()]
    assert {loss.device.type for loss in losses.values()} == {'cuda'}
    assert {loss.dtype for loss in losses.values()} == {torch.float32}
    assert precisions == {torch.bfloat16 if amp else torch.float32}


def test_names_drawn_for_a_step_are_sent_without_waiting(model, monkeypatch):
    learner = model.head.prompt_learner
    encoder, names = learner.text_encoder, ['between the nose and the left eye', 'wing']
    with unset_fake_temporarily():
        layout = encoder.layout(encoder.text_cfg, names, encoder.num_context_tokens)
    monkeypatch.setattr(encoder, 'layout', lambda *args: layout)
    with Transfers() as transfers:
        encoder(learner.context, names)
    assert transfers.seen == [('cpu', 'cuda', tuple(tensor.shape), False) for tensor in layout.values()]


@pytest.mark.slow
def test_the_backward_pass_waits_for_nothing(real_model, kind, amp):
    with FakeTensorMode(allow_non_fake_inputs=True):
        pretend_on(torch.device('cpu'), real_model)
        with torch.autocast('cpu', torch.bfloat16, enabled=amp):
            data = real_model.data_preprocessor(training_batch(kind), True)
            loss, _ = real_model.parse_losses(real_model.train()(**data, mode='loss'))
        loss.backward()
        trained = [parameter for parameter in real_model.parameters() if parameter.requires_grad]
        assert all(parameter.grad is not None for parameter in trained)
        assert not any(
            parameter.requires_grad for parameter in real_model.head.prompt_learner.text_encoder.parameters()
        )

        real_model.head.prompt_learner.context.register_hook(lambda gradient: gradient * gradient.sum().item())
        loss, _ = real_model.parse_losses(real_model(**data, mode='loss'))
        with pytest.raises(DataDependentOutputException):
            loss.backward()


def test_prediction_waits_for_the_heatmaps(model, kind, monkeypatch):
    codec, samples = msra_codec(kind), packed_samples(kind, 2)
    batch = dict(inputs=[torch.zeros(3, *codec['input_size'], dtype=torch.uint8)] * 2, data_samples=samples)

    def decode(heatmaps):
        decode.shape = tuple(heatmaps.cpu().shape)
        return [samples[0].gt_instances] * len(samples)

    monkeypatch.setattr(model.head, 'decode', decode)
    monkeypatch.setattr(model, 'add_pred_to_datasample', lambda predictions, fields, samples: samples)
    monkeypatch.setattr(torch.Tensor, 'data_ptr', lambda tensor: 0)  # by which prompts are kept; fake ones have none
    with torch.no_grad(), Transfers() as transfers:
        model.eval().test_step(batch)
    waited = [(source, shape) for source, _, shape, waits in transfers.seen if waits]
    flip_indices = ('cpu', (3,))  # a list, which MMPose's flip_heatmaps indexes with
    assert waited == [flip_indices, ('cuda', (2, 3, *codec['heatmap_size']))]
    assert decode.shape == (2, 3, *codec['heatmap_size'])


def test_who_waits_is_found_out(model):
    with pytest.raises(DataDependentOutputException):
        model.head.prompt_learner.context.sum().item()
    with pytest.raises(RuntimeError, match='cuda'):
        model.head.prompt_learner.context + torch.zeros(32)
