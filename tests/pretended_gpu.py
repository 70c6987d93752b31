"""A GPU that need not be there: fake tensors have a device but no values."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from tests.tiny_models import msra_codec

GPU = torch.device('cuda')
needs_pretence = pytest.mark.skipif(
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


def pretend_on(device: torch.device, model: torch.nn.Module) -> None:
    """Put fake parameters and buffers on a device, of the same shapes, in the place of a model's own."""
    for module in model.modules():
        for tensors in (module._parameters, module._buffers):
            for name, tensor in tensors.items():
                if tensor is not None:
                    fake = torch.empty_like(tensor, device=device)
                    own = tensors is module._parameters
                    tensors[name] = torch.nn.Parameter(fake, tensor.requires_grad) if own else fake
    model.data_preprocessor._device = device


def training_batch(kind: str) -> dict[str, torch.Tensor]:
    return dict(
        inputs=torch.zeros(2, 3, *msra_codec(kind)['input_size'], dtype=torch.uint8),
        keypoints=torch.zeros(2, 3, 2),
        keypoint_weights=torch.ones(2, 3),
    )
