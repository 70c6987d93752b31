"""How many operators CLAMP's step has: small ones cost a GPU's queue as much as large ones. Views are none."""

from collections import Counter

import pytest
import torch
from mmpose.registry import MODELS
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from tests.tiny_models import tiny_clip, tiny_head

K, D = 3, 24
NO_WORK = ('_unsafe_view', 'detach', 'empty', 'empty_like', 'empty_strided', 'new_empty_strided')


class Operators(TorchDispatchMode):
    """Count the operators that compute or copy, and keep the shapes that convolutions get."""

    def __init__(self):
        super().__init__()
        self.counts, self.convolved = Counter(), []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func.namespace == 'aten' and not func.is_view and func._opname not in NO_WORK:
            self.counts[func._opname] += 1
        if func is torch.ops.aten.convolution.default:
            self.convolved.append(args[0])
        return func(*args, **(kwargs or {}))


def count(run, amp: bool) -> tuple[int, int]:
    """Operators of a forward pass and of its backward pass."""
    with Operators() as forward, torch.autocast('cpu', torch.bfloat16, enabled=amp):
        output = run()
    with Operators() as backward:
        output.backward()
    return forward.counts.total(), backward.counts.total()


@pytest.mark.slow
@pytest.mark.parametrize('amp', [False, True])
def test_head_in_training(amp):
    """CLAMP's head with the depth of the paper's: 12 layers of text encoder, 1 of prompt encoder, 3 of cross-attention.
    Dropout, which is one operator on a GPU and three on a CPU, is left out.
    """
    clip = tiny_clip()
    clip['text_cfg'] = clip['text_cfg'] | dict(layers=12)
    prompts = dict(text_encoder=clip, cross_attention=dict(width=16, num_layers=3, num_heads=2, dropout=0.0))
    config = tiny_head(deconv_out_channels=(8, 8), deconv_kernel_sizes=(4, 4))
    head = MODELS.build({**config, 'prompt_learner': config['prompt_learner'] | prompts}).train()
    with FakeTensorMode(allow_non_fake_inputs=True):
        feats = [torch.empty(2, D), torch.empty(2, 4, 4, D).movedim(-1, 1), torch.empty(2, 4, 4, 32).movedim(-1, 1)]
        feats = [each.requires_grad_() for each in feats]
        batch = feats, torch.empty(2, K, 16, 16), torch.ones(2, K), torch.rand(2, K, 2)
        forward, backward = count(lambda: sum(head.compute_losses(*batch).values()), amp)
    # with torch 2.14.1: 327 and 486 with autocast, 265 and 423 without; others of it may have a few more
    assert forward + backward <= (820 if amp else 695)


@torch.no_grad()
def test_tensor_cores_can_take_the_first_deconvolution():
    head = MODELS.build(tiny_head()).eval()
    feats = torch.randn(2, D), torch.randn(2, D, 4, 4), torch.randn(2, 4, 4, 32).movedim(-1, 1)
    with Operators() as operators:
        head(feats)
    assert operators.convolved[0].shape == (2, 40, 4, 4)  # 32 + K, to a multiple of 8
    assert operators.convolved[0].is_contiguous(memory_format=torch.channels_last)
    assert not operators.convolved[0][:, 32 + K :].any()
    assert head.state_dict()['deconv_layers.0.weight'].shape[0] == 32 + K
