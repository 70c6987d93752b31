import pytest
import torch
from mmpose.registry import OPTIM_WRAPPER_CONSTRUCTORS
from torch import nn


class Block(nn.Module):
    """Parameters of every kind: matrices, vectors, a scalar, a frozen one, and one used twice."""

    def __init__(self):
        super().__init__()
        self.backbone = nn.Sequential(nn.Linear(2, 3), nn.LayerNorm(3))
        self.head = nn.Linear(3, 2)
        self.shared = self.head
        self.frozen = nn.Linear(2, 2).requires_grad_(False)
        self.logit_scale = nn.Parameter(torch.ones(()))


def groups(model: nn.Module, **paramwise_cfg) -> list:
    """The optimiser's groups as sorted (lr, weight decay, names of parameters)."""
    constructor = OPTIM_WRAPPER_CONSTRUCTORS.build(
        dict(
            type='GroupedOptimWrapperConstructor',
            optim_wrapper_cfg=dict(optimizer=dict(type='AdamW', lr=0.01, weight_decay=0.5)),
            paramwise_cfg=paramwise_cfg or None,
        )
    )
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return sorted(
        (group['lr'], group['weight_decay'], [names[id(parameter)] for parameter in group['params']])
        for group in constructor(model).optimizer.param_groups
    )


def test_groups_without_options():
    assert groups(Block()) == [
        (0.01, 0, ['logit_scale', 'backbone.0.bias', 'backbone.1.weight', 'backbone.1.bias', 'head.bias']),
        (0.01, 0.5, ['backbone.0.weight', 'head.weight']),
    ]


def test_groups_with_a_slow_backbone():
    assert groups(Block(), custom_keys=dict(backbone=dict(lr_mult=0.1))) == [
        (0.001, 0, ['backbone.0.bias', 'backbone.1.weight', 'backbone.1.bias']),
        (0.001, 0.5, ['backbone.0.weight']),
        (0.01, 0, ['logit_scale', 'head.bias']),
        (0.01, 0.5, ['head.weight']),
    ]


def test_the_longest_key_counts_and_vectors_never_decay():
    keys = {'backbone': dict(lr_mult=0.1), 'backbone.0': dict(decay_mult=2), 'head': dict(lr_mult=0, decay_mult=0.5)}
    assert groups(Block(), custom_keys=keys) == [
        (0, 0, ['head.bias']),
        (0, 0.25, ['head.weight']),
        (0.001, 0, ['backbone.1.weight', 'backbone.1.bias']),
        (0.01, 0, ['logit_scale', 'backbone.0.bias']),
        (0.01, 1.0, ['backbone.0.weight']),
    ]


def test_every_trainable_parameter_is_in_one_of_few_groups():
    model = nn.ModuleDict({'backbone': nn.Sequential(*(Block() for _ in range(9))), 'head': Block()})
    found = groups(model, custom_keys=dict(backbone=dict(lr_mult=0.1)))
    assert len(found) == 4
    members = [name for *_, names in found for name in names]
    trainable = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    assert sorted(members) == sorted(trainable)


def test_options_that_would_be_without_effect_are_refused():
    with pytest.raises(ValueError, match=r'custom_keys alone.* has norm_decay_mult too'):
        groups(Block(), norm_decay_mult=0.0, custom_keys={})
