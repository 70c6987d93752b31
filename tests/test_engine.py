import os
from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import LoggerHook
from mmengine.logging import MessageHub
from mmengine.model import convert_sync_batchnorm
from mmengine.structures import PixelData
from mmpose.registry import MODELS, OPTIM_WRAPPER_CONSTRUCTORS
from timm.layers import BatchNormAct2d
from torch import nn

from clamp import engine
from clamp.datasets.sampler import SeededSampler
from clamp.engine import (
    BFloat16OptimWrapper,
    CompileHook,
    DeferredRuntimeInfoHook,
    EpochSeedHook,
    MatmulPrecisionHook,
    check_launcher,
    check_loop,
    check_sync_bn,
    keep_hooks,
)
from tests.tiny_models import estimator, samples


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


def test_hooks_of_ones_own_do_not_replace_ours():
    own = dict(type='EMAHook', momentum=0.01)
    ours = [dict(type='SyncBuffersHook'), dict(type='EpochSeedHook')]
    for written, expected in (([own], [*ours, own]), ([], ours), ([*ours, own], [*ours, own]), (None, ours)):
        cfg = Config(dict(custom_hooks=written))
        keep_hooks(cfg)
        assert cfg.custom_hooks == expected
    cfg = Config(dict(custom_hooks=[ours[1], own]))
    keep_hooks(cfg)
    assert cfg.custom_hooks == [ours[0], ours[1], own]


def test_a_training_by_iterations_counts_nothing_by_epochs():
    by_iterations = dict(
        train_cfg=dict(by_epoch=False, max_iters=9),
        default_hooks=dict(checkpoint=dict(by_epoch=False), logger=dict(log_metric_by_epoch=False)),
        param_scheduler=[dict(type='MultiStepLR', by_epoch=False)],
    )
    check_loop(Config(by_iterations))
    check_loop(Config(dict(by_iterations, train_cfg=dict(type='IterBasedTrainLoop', max_iters=9))))
    for change, name in (
        (dict(default_hooks=dict(checkpoint=dict(), logger=dict(log_metric_by_epoch=False))), 'checkpoint.by_epoch'),
        (dict(default_hooks=dict(checkpoint=dict(by_epoch=False))), 'logger.log_metric_by_epoch'),
        (dict(param_scheduler=dict(type='MultiStepLR')), r'param_scheduler\.0\.by_epoch'),
    ):
        with pytest.raises(ValueError, match=f'counts iterations, but .*{name} is True'):
            check_loop(Config(by_iterations | change))
        check_loop(Config(by_iterations | change | dict(train_cfg=dict(by_epoch=True, max_epochs=2))))


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


def test_keys_that_match_no_parameter_are_refused():
    with pytest.raises(
        ValueError, match=r'custom_keys has backbon\.1, which would be.* logit_scale, backbone, head, frozen'
    ):
        groups(Block(), custom_keys={'backbone': dict(lr_mult=0.1), 'backbon.1': dict(lr_mult=0.1)})


@pytest.mark.parametrize('diff_rank_seed', [False, True])
def test_four_processes_see_all_images_once_and_draw_differently(diff_rank_seed, monkeypatch):
    seen, seeds = [], set()
    for rank in range(4):
        monkeypatch.setattr(engine, 'get_rank', lambda: rank)  # noqa: B023
        sampler = SeededSampler(range(1000), seed=0)
        sampler.rank, sampler.world_size, sampler.num_samples = rank, 4, 250
        runner = SimpleNamespace(
            seed=7 + diff_rank_seed * rank,  # as MMEngine's set_random_seed returns it
            _randomness_cfg=dict(seed=None, diff_rank_seed=diff_rank_seed),
            train_dataloader=SimpleNamespace(sampler=sampler),
        )
        hook = EpochSeedHook()
        hook.before_train(runner)
        seen += [int(index) for index in sampler]
        for runner.epoch in (2, 3):
            hook.before_train_iter(runner, 0)
            seeds.add(seed := torch.initial_seed())
            hook.before_train_iter(runner, 1)
            assert torch.initial_seed() == seed
    assert sorted(seen) == list(range(1000))
    assert len(seeds) == 8  # of four processes in two epochs


def test_a_resumed_training_by_iterations_draws_differently_in_each_process(monkeypatch):
    seeds = set()
    for rank in range(2):
        monkeypatch.setattr(engine, 'get_rank', lambda: rank)  # noqa: B023
        loader = SimpleNamespace(sampler=SimpleNamespace())
        runner = SimpleNamespace(seed=7, epoch=0, _randomness_cfg={}, train_dataloader=loader)
        for step in (0, 5):
            hook = EpochSeedHook()
            hook.before_train(runner)
            hook.before_train_iter(runner, step)
            seeds.add(torch.initial_seed())
    assert len(seeds) == 4


@pytest.mark.parametrize(
    ('launcher', 'starter'), [('pytorch', 'dist_train'), ('slurm', 'slurm_train'), ('mpi', 'mpirun')]
)
def test_a_launcher_that_did_not_start_the_process_is_named(launcher, starter, monkeypatch):
    for name in engine.LAUNCHERS[launcher][1]:
        monkeypatch.delenv(name, raising=False)
    check_launcher('none')
    with pytest.raises(ValueError, match=rf'--launcher {launcher} is for processes that .*{starter}'):
        check_launcher(launcher)


def test_more_processes_than_gpus_are_refused(monkeypatch):
    for name, value in dict(RANK='2', WORLD_SIZE='3', MASTER_ADDR='x', MASTER_PORT='1', LOCAL_RANK='2').items():
        monkeypatch.setenv(name, value)
    check_launcher('pytorch')  # on CPUs as many as one likes
    monkeypatch.setattr(torch.cuda, 'device_count', lambda: 2)
    with pytest.raises(ValueError, match='no GPU for process 3: this machine has 2'):
        check_launcher('pytorch')


def test_mpi_tells_which_gpu_is_a_process_s_own(monkeypatch):
    for name in engine.LAUNCHERS['mpi'][1]:
        monkeypatch.setenv(name, '3')
    monkeypatch.setattr(torch.cuda, 'device_count', lambda: 4)
    monkeypatch.setenv('LOCAL_RANK', '0')  # as the tools set it where nobody has
    check_launcher('mpi')
    assert os.environ['LOCAL_RANK'] == '3'
    monkeypatch.setattr(torch.cuda, 'device_count', lambda: 3)
    with pytest.raises(ValueError, match='no GPU for process 4: this machine has 3'):
        check_launcher('mpi')


def test_synchronised_batch_norms_that_lost_their_activation_are_refused():
    plain = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.ReLU())
    check_sync_bn(convert_sync_batchnorm(plain, 'torch'))
    check_sync_bn(convert_sync_batchnorm(nn.ModuleDict(dict(norm=BatchNormAct2d(4, apply_act=False))), 'torch'))
    with pytest.raises(ValueError, match=r'place of 1 that hold an activation, such as norm: .* Take sync_bn out'):
        check_sync_bn(convert_sync_batchnorm(nn.ModuleDict(dict(norm=BatchNormAct2d(4))), 'torch'))


class TinyRunner(SimpleNamespace):
    """What the hooks ask of a runner, on an epoch of five batches, logged every two."""

    def __init__(self, **kwargs):
        super().__init__(
            message_hub=MessageHub('test_engine'), hooks=[LoggerHook(interval=2)], train_dataloader=range(5), **kwargs
        )


def test_deferred_losses_are_the_same_losses():
    losses = torch.arange(10.0).view(5, 2)
    hook, runner, seen = DeferredRuntimeInfoHook(), TinyRunner(), []
    for step, (loss, loss_kpt) in enumerate(losses):
        hook.after_train_iter(runner, step, outputs=dict(loss=loss.requires_grad_(), loss_kpt=loss_kpt))
        scalars = runner.message_hub.log_scalars
        seen.append(len(scalars['train/loss'].data[0]) if scalars else 0)
    assert seen == [0, 2, 2, 4, 5]  # when it is logged, and at the end of the epoch
    assert scalars['train/loss'].data[0].tolist() == [0, 2, 4, 6, 8]
    assert scalars['train/loss_kpt'].data[0].tolist() == [1, 3, 5, 7, 9]


@pytest.mark.slow
@pytest.mark.parametrize('head_type', ['CLAMPHead', 'HeatmapHead'])
def test_compiled_step_is_one_graph_a_part_and_in_training_alone(kind, head_type):
    model = estimator(kind).train()
    if head_type == 'HeatmapHead':  # SimpleBaseline
        channels, deconvs = (32, 1) if kind == 'vit' else (256, 3)
        deconvs = dict(deconv_out_channels=(8,) * deconvs, deconv_kernel_sizes=(4,) * deconvs)
        model.head = MODELS.build(dict(type=head_type, in_channels=channels, out_channels=3, **deconvs))
        model.train_cfg = dict(compute_acc=False)
    size = 32 if kind == 'vit' else 64
    targets = samples(size=size)
    for sample in targets:
        sample.gt_fields = PixelData(heatmaps=torch.rand(3, *(2 * (8 if kind == 'vit' else 16,))))
    images, graphs = torch.randn(2, 3, size, size), []

    def backend(graph, inputs):
        graphs.append(graph)
        return graph.forward

    hook, runner = CompileHook(enable=True, backend=backend), TinyRunner(model=model)
    torch.manual_seed(1)
    eager = model.loss(images, targets)
    hook.before_train(runner)

    def train_iter(number):
        batch = dict(inputs=images[:number])
        hook.before_train_iter(runner, 0, batch)
        losses = model.loss(images[:number], targets[:number])
        hook.after_train_iter(runner, 0, batch)
        return losses

    torch.manual_seed(1)
    compiled = train_iter(2)
    assert len(graphs) == 2
    torch.testing.assert_close(compiled, eager)
    train_iter(1)  # an epoch's last batch
    assert len(graphs) == 2
    train_iter(2)
    model.eval()(images, None)
    assert len(graphs) == 2


@pytest.mark.slow
def test_models_of_other_sizes_are_compiled_for_their_own_sizes():
    """torch takes what differs between two calls of a method for dynamic, also between two models' calls."""
    shapes = []

    def backend(graph, inputs):
        shapes.append([value for value in inputs if not isinstance(value, torch.Tensor)])
        return graph.forward

    for kind, size in (('vit', 32), ('resnet', 64), ('vit', 48)):
        model, batch = estimator(kind).train(), dict(inputs=torch.randn(2, 3, size, size))
        hook, runner = CompileHook(enable=True, backend=backend), TinyRunner(model=model)
        hook.before_train(runner)
        hook.before_train_iter(runner, 0, batch)
        model.backbone(batch['inputs'])
    assert shapes == [[], [], []]  # no symbolic sizes among the inputs


def test_bfloat16_step_on_the_cpu():
    model = nn.Linear(4, 4)
    wrapper = BFloat16OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.5))
    with wrapper.optim_context(model):
        output = model(torch.ones(1, 4))
    assert output.dtype == torch.bfloat16
    before = model.bias.detach().clone()
    wrapper.update_params(output.sum())
    torch.testing.assert_close(model.bias, before - 0.5)
    assert model.bias.dtype == torch.float32


def test_matmul_precision():
    try:
        MatmulPrecisionHook('high').before_run(None)
        assert torch.get_float32_matmul_precision() == 'high'
    finally:
        MatmulPrecisionHook().before_run(None)
    assert torch.get_float32_matmul_precision() == 'highest'
