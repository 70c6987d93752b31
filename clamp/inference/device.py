import torch
from mmengine.device import get_device


def check_device(name: str | None = None) -> torch.device:
    """Return the device of a name, without one the GPU if there is one.

    Raises:
        ValueError: If there is none of this name that torch can use.
    """
    try:
        device = torch.device(name or get_device())
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise ValueError(
            f'The device {name} cannot be used: take cpu or cuda. ({str(error).splitlines()[0]})'
        ) from error
    return device
