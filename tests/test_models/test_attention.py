import copy

import pytest
import torch
from torch import nn

from clamp.models.attention import BatchFirstAttention, simplify_attention


def random_pair(layer: nn.Module) -> tuple[nn.Module, nn.Module]:
    """A layer with large weights, and the same simplified."""
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.normal_(std=0.3)
    simple = copy.deepcopy(layer)
    simplify_attention(simple)
    return layer, simple


@pytest.mark.parametrize('masked', [False, True])
def test_values_and_gradients_are_torchs(masked):
    """In a decoder layer, which attends to itself and to a memory."""
    arguments = dict(dropout=0.0, activation='gelu', batch_first=True, norm_first=True)
    layers = random_pair(nn.TransformerDecoderLayer(16, 2, 32, **arguments))
    mask = torch.zeros(5, 5).index_fill_(1, torch.tensor([4]), float('-inf')) if masked else None
    queries, memory = torch.randn(2, 5, 16), torch.randn(2, 7, 16)
    outputs = [layer(queries, memory, tgt_mask=mask) for layer in layers]
    torch.testing.assert_close(*outputs)
    for output in outputs:
        output.square().sum().backward()
    named = [dict(layer.named_parameters()) for layer in layers]
    assert list(named[0]) == list(named[1])
    for name in named[0]:
        torch.testing.assert_close(named[0][name].grad, named[1][name].grad, atol=1e-4, rtol=1e-4, msg=name)


def test_dropout_is_of_the_attention_and_for_training_alone():
    layer = random_pair(nn.MultiheadAttention(16, 2, dropout=0.5, batch_first=True))[1]
    tokens = torch.randn(2, 5, 16)
    once, twice = (layer(tokens, tokens, tokens, need_weights=False)[0] for _ in range(2))
    assert not torch.allclose(once, twice)
    once, twice = (layer.eval()(tokens, tokens, tokens, need_weights=False)[0] for _ in range(2))
    assert torch.equal(once, twice)


def test_what_it_does_not_do_is_left_to_torch():
    theirs, ours = random_pair(nn.MultiheadAttention(16, 2, batch_first=True))
    tokens, padding = torch.randn(2, 5, 16), torch.tensor([[False] * 4 + [True]] * 2)
    assert type(ours) is BatchFirstAttention
    for options in (dict(), dict(key_padding_mask=padding, need_weights=False)):
        for got, expected in zip(*(layer(tokens, tokens, tokens, **options) for layer in (ours, theirs))):
            torch.testing.assert_close(got, expected)
    other = random_pair(nn.MultiheadAttention(16, 2, batch_first=False))[1]
    assert type(other) is nn.MultiheadAttention
