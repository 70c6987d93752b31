"""How MMEngine's runner trains our models."""

import gc
import os
from contextlib import contextmanager

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dist import get_rank
from mmengine.hooks import Hook, LoggerHook, RuntimeInfoHook
from mmengine.logging import print_log
from mmengine.model import is_model_wrapper
from mmengine.optim import DefaultOptimWrapperConstructor, OptimWrapper
from mmengine.registry import HOOKS
from mmpose.registry import OPTIM_WRAPPER_CONSTRUCTORS, OPTIM_WRAPPERS
from torch import distributed, nn

LAUNCHERS = {
    'none': ('nothing', ()),
    'pytorch': (
        'torchrun (tools/dist_train.sh, tools/dist_test.sh)',
        ('RANK', 'WORLD_SIZE', 'MASTER_ADDR', 'MASTER_PORT'),
    ),
    'slurm': ('srun (tools/slurm_train.sh)', ('SLURM_PROCID', 'SLURM_NTASKS', 'SLURM_NODELIST')),
    'mpi': (
        'mpirun (with -x MASTER_ADDR=HOST)',
        ('OMPI_COMM_WORLD_LOCAL_RANK', 'OMPI_COMM_WORLD_SIZE', 'OMPI_COMM_WORLD_RANK', 'MASTER_ADDR'),
    ),
}


def leave_process_group() -> None:
    """Stop the threads of ``torch.distributed``, once nothing else refers to the runner and its model.

    MMEngine leaves them to the interpreter's shutdown. A thread that then still frees a tensor aborts the process.
    """
    if distributed.is_initialized():
        gc.collect()  # runner, loops and hooks refer to each other; the wrapped model keeps the threads alive
        distributed.destroy_process_group()


def check_launcher(launcher: str) -> None:
    """Check that a process was started by what ``--launcher`` names, and has a GPU if there are any.

    Of mpirun's processes, it tells MMEngine which GPU is theirs.

    Raises:
        ValueError: If not.
    """
    starter, variables = LAUNCHERS[launcher]
    absent = [name for name in variables if name not in os.environ]
    if absent:
        raise ValueError(
            f'--launcher {launcher} is for processes that {starter} has started; {absent[0]} is not in the environment.'
        )
    if launcher == 'mpi':
        os.environ['LOCAL_RANK'] = os.environ['OMPI_COMM_WORLD_LOCAL_RANK']  # by which MMEngine wraps the model
    rank, gpus = int(os.environ.get('LOCAL_RANK', 0)), torch.cuda.device_count()
    if launcher in ('pytorch', 'mpi') and 0 < gpus <= rank:
        raise ValueError(f'There is no GPU for process {rank + 1}: this machine has {gpus}. Start as many processes.')


def check_sync_bn(model: nn.Module) -> None:
    """Check that MMEngine, asked for ``sync_bn``, has put synchronised batch norms in the place of plain ones alone.

    timm's batch norms hold the activation behind them, which would no longer be called.

    Raises:
        ValueError: If another kind was replaced.
    """
    norms = {name: each for name, each in model.named_modules() if type(each) is nn.SyncBatchNorm}
    lost = [name for name, norm in norms.items() if any(type(child) is not nn.Identity for child in norm.children())]
    if lost:
        raise ValueError(
            f'sync_bn has put plain batch norms in the place of {len(lost)} that hold an activation, such as '
            f'{lost[0]}: it would be left out. Take sync_bn out of the config: it is not for this image tower of timm.'
        )


def keep_hooks(cfg: Config) -> None:
    """Put our hooks back where a config's own ``custom_hooks`` has replaced them: a list replaces a list as a whole.

    Without ``EpochSeedHook`` a resumed training would not be what one is that was not cut off, and without MMEngine's
    ``SyncBuffersHook`` the processes of several GPUs would keep statistics of their own.
    """
    hooks = cfg.get('custom_hooks') or []
    there = [hook.get('type') for hook in hooks if isinstance(hook, dict)]
    missing = [dict(type=name) for name in ('SyncBuffersHook', 'EpochSeedHook') if name not in there]
    if missing:
        cfg.custom_hooks = [*missing, *hooks]


def check_loop(cfg: Config) -> None:
    """Check that a training by iterations saves, logs and schedules by iterations.

    Raises:
        ValueError: If something counts epochs. It would do so once, at the end, or never.
    """
    loop = cfg.train_cfg
    if loop.get('type') != 'IterBasedTrainLoop' and loop.get('by_epoch', True):
        return
    hooks, schedulers = cfg.default_hooks, cfg.get('param_scheduler') or []
    schedulers = schedulers if isinstance(schedulers, list) else [schedulers]
    counts = {
        'default_hooks.checkpoint.by_epoch': hooks.get('checkpoint', {}).get('by_epoch', True),
        'default_hooks.logger.log_metric_by_epoch': hooks.get('logger', {}).get('log_metric_by_epoch', True),
    }
    counts |= {f'param_scheduler.{n}.by_epoch': each.get('by_epoch', True) for n, each in enumerate(schedulers)}
    if wrong := [name for name, by_epoch in counts.items() if by_epoch]:
        raise ValueError(
            f'The training counts iterations, but {", ".join(wrong)} is True, in effect or by default: no checkpoint '
            'would be kept before the end, or no learning rate changed. Set it to False, and what it counts (interval, '
            'begin, end, milestones) to iterations.'
        )


@HOOKS.register_module()
class EpochSeedHook(Hook):
    """Seed dropout and stochastic depth at the start of each epoch.

    With :class:`clamp.datasets.sampler.SeededSampler`, which does so for the augmentation, a resumed training goes on
    exactly as if it had not been cut off, as far as the device's kernels are deterministic.
    """

    def before_train(self, runner) -> None:
        """Give the sampler the run's seed: if that was drawn, a resumed run has just taken it over.

        It is the same in all processes, which so share out one permutation of the images; with ``diff_rank_seed=True``
        MMEngine has added the rank to it.
        """
        self.seed = runner.seed
        if runner._randomness_cfg.get('diff_rank_seed'):
            self.seed -= get_rank()
        runner.train_dataloader.sampler.seed = self.seed
        self.is_seeded = False

    def before_train_iter(self, runner, batch_idx: int, data_batch: dict | None = None) -> None:
        """Seed torch on all devices by the run's seed, the epoch and the rank, at the first step of an epoch.

        A training by iterations is one epoch, of which a resumed one begins at another step.

        Not before the epoch: a loader that starts its workers draws from torch's generator, and one whose workers go on
        from the epoch before does not.
        """
        if batch_idx > 0 and self.is_seeded:
            return
        self.is_seeded, step = True, [batch_idx] if batch_idx else []
        seed = np.random.SeedSequence([self.seed, runner.epoch, get_rank(), *step]).generate_state(1, np.uint64)
        torch.manual_seed(int(seed[0]))


@HOOKS.register_module()
class CompileHook(Hook):
    """Compile the tensors' part of the training step by ``torch.compile``: the backbone, and the head with its losses.

    Each is one graph, which torch splits for ``DistributedDataParallel``. MMEngine's own option ``compile`` takes the
    whole ``train_step``, which data samples and optimiser break into many. Validation and an epoch's last batch, where
    it is smaller than the others, are run operator by operator: to compile for them takes longer than they do.

    Args:
        enable (bool): Defaults to False.
        **options: Of :func:`torch.compile`, such as ``mode='max-autotune-no-cudagraphs'``. A graph break is an error,
            unless ``fullgraph=False`` is among them.
    """

    def __init__(self, enable: bool = False, **options):
        self.enable = enable
        # one batch size, hence static shapes; torch would take for dynamic what differs between two models of a process
        self.options = dict(fullgraph=True, dynamic=False) | options
        self.compiled: list[tuple[nn.Module, str, object]] = []
        self.batch_size: int | None = None

    def before_train(self, runner) -> None:
        """Compile what MMPose's ``loss`` calls; torch does so when it is first called."""
        if not self.enable:
            return
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        head_part = 'compute_losses' if hasattr(model.head, 'compute_losses') else 'forward'
        for module, name in ((model.backbone, 'forward'), (model.head, head_part)):
            self.compiled.append((module, name, torch.compile(getattr(module, name), **self.options)))

    def before_train_iter(self, runner, batch_idx: int, data_batch: dict) -> None:
        """Put the compiled methods in the place of the modules' own, if the batch is as large as the first was."""
        size = len(data_batch['inputs'])
        self.batch_size = self.batch_size or size
        if size == self.batch_size:
            for module, name, compiled in self.compiled:
                setattr(module, name, compiled)

    def after_train_iter(self, runner, batch_idx: int, data_batch: dict, outputs: dict | None = None) -> None:
        """Give the modules their own methods back."""
        for module, name, _ in self.compiled:
            vars(module).pop(name, None)


@HOOKS.register_module()
class MatmulPrecisionHook(Hook):
    """Set the precision of float32 matrix products, see :func:`torch.set_float32_matmul_precision`.

    Args:
        precision (str): ``'high'`` is TF32 on GPUs that have it. Defaults to ``'highest'``, float32.
    """

    def __init__(self, precision: str = 'highest'):
        self.precision = precision

    def before_run(self, runner) -> None:
        """Set it, for this process."""
        torch.set_float32_matmul_precision(self.precision)


@HOOKS.register_module()
class DeferredRuntimeInfoHook(RuntimeInfoHook):
    """MMEngine's hook, but the losses are fetched from the device when they are logged, all steps' in one transfer.

    MMEngine fetches each loss at each step, and so waits for the device to finish the step before it prepares the
    next. What is logged is the same.
    """

    def __init__(self):
        self.pending: list[tuple[str, torch.Tensor]] = []

    def after_train_iter(self, runner, batch_idx: int, data_batch=None, outputs: dict | None = None) -> None:
        """Keep the losses of a step and, when :class:`mmengine.hooks.LoggerHook` is about to log, pass them on."""
        self.pending += [(f'train/{name}', value.detach()) for name, value in (outputs or {}).items()]
        interval = next((hook.interval for hook in runner.hooks if isinstance(hook, LoggerHook)), 1)
        due = self.every_n_inner_iters(batch_idx, interval) or self.end_of_epoch(runner.train_dataloader, batch_idx)
        if due and self.pending:
            names, values = zip(*self.pending)
            for name, value in zip(names, torch.stack(values).tolist()):
                runner.message_hub.update_scalar(name, value)
            self.pending.clear()


@OPTIM_WRAPPERS.register_module()
class BFloat16OptimWrapper(OptimWrapper):
    """Train under bfloat16 autocast, on GPUs and on CPUs.

    MMEngine's ``AmpOptimWrapper`` is for GPUs alone, and it scales the loss, which float16 needs and bfloat16, with the
    exponents of float32, does not.
    """

    @contextmanager
    def optim_context(self, model: nn.Module):
        """Enter autocast, on the device of the model."""
        device = next(model.parameters()).device.type
        with super().optim_context(model), torch.autocast(device, torch.bfloat16):
            yield


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class GroupedOptimWrapperConstructor(DefaultOptimWrapperConstructor):
    """MMEngine's constructor, with a few large parameter groups in place of one per parameter.

    Learning rates and weight decays come from ``paramwise_cfg=dict(custom_keys=...)`` as in MMEngine. On top of that,
    vectors and scalars (norms, biases, scales) never decay, whatever ``custom_keys`` they match, and frozen parameters
    are in no group. Few groups let a fused or ``foreach`` optimiser update all parameters in a few kernels.

    Raises:
        ValueError: If ``paramwise_cfg`` has other keys, or ``custom_keys`` what is in no parameter's name. They would
            be without effect.
    """

    def __init__(self, optim_wrapper_cfg: dict, paramwise_cfg: dict | None = None):
        if unknown := set(paramwise_cfg or {}) - {'custom_keys'}:
            raise ValueError(
                f'{type(self).__name__} knows custom_keys alone, paramwise_cfg has {", ".join(sorted(unknown))} too. '
                "For these, set optim_wrapper.constructor to MMEngine's DefaultOptimWrapperConstructor."
            )
        # an empty paramwise_cfg would bypass add_params
        super().__init__(optim_wrapper_cfg, paramwise_cfg or dict(custom_keys={}))

    def add_params(self, params: list[dict], module: nn.Module, prefix: str = '', **kwargs) -> None:
        """Append the parameter groups of ``module`` to ``params``, in place."""
        custom_keys, names = self.paramwise_cfg.get('custom_keys', {}), [name for name, _ in module.named_parameters()]
        if unmatched := [key for key in custom_keys if not any(key in name for name in names)]:
            raise ValueError(
                f'custom_keys has {", ".join(unmatched)}, which would be without effect: no parameter has that in its '
                f'name. The first parts are {", ".join(dict.fromkeys(name.split(".")[0] for name in names))}.'
            )
        groups: dict[tuple[float, float], list[nn.Parameter]] = {}
        for name, parameter in module.named_parameters():
            if not parameter.requires_grad:
                continue
            key = max((key for key in custom_keys if key in name), key=len, default=None)
            options = custom_keys.get(key, {})
            lr = self.base_lr * options.get('lr_mult', 1)
            decay = 0 if parameter.ndim <= 1 else (self.base_wd or 0) * options.get('decay_mult', 1)
            groups.setdefault((lr, decay), []).append(parameter)
        for (lr, decay), members in groups.items():
            count = sum(parameter.numel() for parameter in members)
            print_log(f'optimizer: lr {lr:g}, weight decay {decay:g}: {count / 1e6:.2f} M parameters', 'current')
            params.append(dict(params=members, lr=lr, weight_decay=decay))
