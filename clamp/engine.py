"""How MMEngine's runner optimises our models."""

import numpy as np
import torch
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.optim import DefaultOptimWrapperConstructor
from mmengine.registry import HOOKS
from mmpose.registry import OPTIM_WRAPPER_CONSTRUCTORS
from torch import nn


@HOOKS.register_module()
class EpochSeedHook(Hook):
    """Seed dropout and stochastic depth at the start of each epoch.

    With :class:`clamp.datasets.SeededSampler`, which does so for the augmentation, a resumed training goes on exactly
    as if it had not been cut off, as far as the device's kernels are deterministic.
    """

    def before_train(self, runner) -> None:
        """Give the sampler the run's seed: if that was drawn, a resumed run has just taken it over."""
        runner.train_dataloader.sampler.seed = runner.seed

    def before_train_epoch(self, runner) -> None:
        """Seed torch on all devices by the run's seed, the epoch and the rank."""
        seed = np.random.SeedSequence([runner.seed, runner.epoch, get_rank()]).generate_state(1, np.uint64)
        torch.manual_seed(int(seed[0]))


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class GroupedOptimWrapperConstructor(DefaultOptimWrapperConstructor):
    """MMEngine's constructor, with a few large parameter groups in place of one per parameter.

    Learning rates and weight decays come from ``paramwise_cfg=dict(custom_keys=...)`` as in MMEngine. On top of that,
    vectors and scalars (norms, biases, scales) never decay, whatever ``custom_keys`` they match, and frozen parameters
    are in no group. Few groups let a fused or ``foreach`` optimiser update all parameters in a few kernels.

    Raises:
        ValueError: If ``paramwise_cfg`` has other keys, which would be without effect.
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
        custom_keys = self.paramwise_cfg.get('custom_keys', {})
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
