"""The tensors of a TorchScript archive, as OpenAI published CLIP, without the code that is in it.

``torch.jit.load`` runs what an archive brings along (a ``__setstate__``, for one), and ``torch.load`` with
``weights_only`` refuses archives. Here their pickle is read with no class but those of numbers, lists and tensors;
whatever it calls by the name of another class becomes a :class:`Part`, which holds what it was given and does nothing.
"""

import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Iterator

import torch
from torch import Tensor

STORAGES = {
    'DoubleStorage': torch.float64,
    'FloatStorage': torch.float32,
    'HalfStorage': torch.float16,
    'BFloat16Storage': torch.bfloat16,
    'LongStorage': torch.int64,
    'IntStorage': torch.int32,
    'ShortStorage': torch.int16,
    'CharStorage': torch.int8,
    'ByteStorage': torch.uint8,
    'BoolStorage': torch.bool,
}


class Part:
    """An object of the archive, in its place: its attributes are those of the module that it stands for."""

    def __setstate__(self, state: object) -> None:
        self.__dict__ = {str(name): value for name, value in state.items()} if isinstance(state, dict) else {}


def rebuild_tensor(storage: Tensor, offset: int, size: tuple, stride: tuple, *_) -> Tensor:
    """Return a tensor of its own on a part of a storage, a flat tensor."""
    return storage.as_strided(size, stride, offset).clone()


KNOWN = {
    ('collections', 'OrderedDict'): OrderedDict,
    ('torch._utils', '_rebuild_tensor_v2'): rebuild_tensor,
    ('torch.jit._pickle', 'restore_type_tag'): lambda value, _: value,
    **{('torch.jit._pickle', f'build_{kind}list'): list for kind in ('int', 'double', 'bool', 'tensor')},
    **{('torch', storage): dtype for storage, dtype in STORAGES.items()},
}


class TensorUnpickler(pickle.Unpickler):
    """Unpickle ``data.pkl`` of an archive.

    Args:
        archive (zipfile.ZipFile): The archive.
        folder (str): The folder in it that has all its records.
    """

    def __init__(self, archive: zipfile.ZipFile, folder: str):
        super().__init__(archive.open(f'{folder}/data.pkl'))
        self.archive, self.folder = archive, folder

    def find_class(self, module: str, name: str) -> object:
        """Return what stands for a name, never what it names in Python."""
        if module.split('.')[0] == '__torch__':
            return type(name, (Part,), {})
        if (module, name) not in KNOWN:
            raise pickle.UnpicklingError(f'it asks for {module}.{name}, which no weights need')
        return KNOWN[module, name]

    def persistent_load(self, pid: tuple) -> Tensor:
        """Return a storage as a flat tensor."""
        _, dtype, key, _, number = pid
        content = self.archive.read(f'{self.folder}/data/{key}')
        return (
            torch.frombuffer(bytearray(content), dtype=dtype, count=number) if number else torch.empty(0, dtype=dtype)
        )


def read_torchscript(path: str) -> dict[str, Tensor]:
    """Return the tensors of a TorchScript archive by their dotted names, as its ``state_dict`` has them.

    Raises:
        Exception: Of many kinds, if the archive is damaged or asks for anything but tensors.
    """
    with zipfile.ZipFile(path) as archive:
        [data] = [name for name in archive.namelist() if name.endswith('/data.pkl') and name.count('/') == 1]
        return dict(named_tensors(TensorUnpickler(archive, data.removesuffix('/data.pkl')).load()))


def named_tensors(part: Part, prefix: str = '') -> Iterator[tuple[str, Tensor]]:
    """Yield the tensors of a module and of those in it."""
    for name, value in vars(part).items():
        if isinstance(value, Tensor):
            yield prefix + name, value
        elif isinstance(value, Part):
            yield from named_tensors(value, f'{prefix}{name}.')
