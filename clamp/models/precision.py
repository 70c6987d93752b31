from contextlib import AbstractContextManager, nullcontext

import torch


def without_autocast(device: torch.device) -> AbstractContextManager:
    """Return a context in which operators on a device keep the precision of their inputs, under autocast too.

    The meta device, on which operators are counted, has no autocast, and none to turn off.
    """
    if not torch.amp.is_autocast_available(device.type):
        return nullcontext()
    return torch.autocast(device.type, enabled=False)
