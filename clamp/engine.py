"""How MMEngine's runner optimises our models."""

from mmengine.logging import print_log
from mmengine.optim import DefaultOptimWrapperConstructor
from mmpose.registry import OPTIM_WRAPPER_CONSTRUCTORS
from torch import nn


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
