"""The forward pass on a GPU that need not be there: fake tensors have a device but no values, so that tensors of two
devices do not go together, and whoever waits for a value (``.item()``, a boolean index) gets an error."""

import pytest
import torch
from mmpose.registry import MODELS
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from tests.test_models.test_clamp_head import estimator, msra_codec, packed_samples

GPU = torch.device('cuda')
pytestmark = pytest.mark.skipif(
    not torch.cuda.is_available() and not hasattr(torch._C, '_ensureCUDADeviceGuardSet'),
    reason='this torch cannot pretend a GPU where there is none',
)


class Transfers(TorchDispatchMode):
    """Keep what is copied from one device to another: (from, to, shape, whether the host waits for it)."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        if func in (torch.ops.aten._to_copy.default, torch.ops.aten.copy_.default):
            source = args[1] if func is torch.ops.aten.copy_.default else args[0]
            if source.device.type != result.device.type:
                waits = not kwargs.get('non_blocking', False)
                self.seen.append((source.device.type, result.device.type, tuple(source.shape), waits))
        return result


def pretend_on_gpu(model: torch.nn.Module) -> None:
    """Put fake parameters and buffers on a GPU, of the same shapes, in the place of a model's own."""
    for module in model.modules():
        for tensors in (module._parameters, module._buffers):
            for name, tensor in tensors.items():
                if tensor is not None:
                    fake = torch.empty_like(tensor, device=GPU, requires_grad=tensor.requires_grad)
                    tensors[name] = torch.nn.Parameter(fake) if tensors is module._parameters else fake
    model.data_preprocessor._device = GPU


@pytest.fixture
def model(kind):
    codec = msra_codec(kind)
    model = estimator(kind, decoder=codec)
    model.data_preprocessor = MODELS.build(
        dict(type='HeatmapDataPreprocessor', mean=[120] * 3, std=[60] * 3, codec=codec)
    )
    with FakeTensorMode(allow_non_fake_inputs=True):
        pretend_on_gpu(model)
        yield model


def test_training_sends_three_tensors_and_waits_for_nothing(model, kind):
    batch = dict(
        inputs=torch.zeros(2, 3, *msra_codec(kind)['input_size'], dtype=torch.uint8),
        keypoints=torch.zeros(2, 3, 2),
        keypoint_weights=torch.ones(2, 3),
    )
    with Transfers() as transfers:
        losses = model.train()(**model.data_preprocessor(batch, True), mode='loss')
        model.parse_losses(losses)
    assert transfers.seen == [('cpu', 'cuda', tuple(tensor.shape), False) for tensor in batch.values()]
    assert {loss.device.type for loss in losses.values()} == {'cuda'}


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
