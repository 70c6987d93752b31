"""Archives are written by torch.jit itself and compared with what torch.jit.load, which runs them, reads."""

import zipfile

import pytest
import torch

from clamp.models.clip_weights import read_weights
from clamp.models.torchscript import read_torchscript
from tests.tiny_models import random_clip, tiny_clip


class Inner(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.randn(3, 4).half())
        self.register_buffer('number', torch.tensor(7))
        self.sizes, self.name = [1, 2], 'inner'

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x @ self.weight.float()


class Tricky(torch.nn.Module):
    """Writes a file when torch loads it."""

    def __init__(self, marker: str):
        super().__init__()
        self.marker, self.training, self.kept = marker, False, torch.zeros(1)

    @torch.jit.export
    def __getstate__(self):
        return (self.marker, self.training)

    @torch.jit.export
    def __setstate__(self, state: tuple[str, bool]):
        self.marker, self.training = state[0], state[1]
        self.kept = torch.from_file(self.marker, True, 4, dtype=torch.uint8).fill_(65)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


class Outer(torch.nn.Module):
    def __init__(self, *extra: torch.nn.Module):
        super().__init__()
        self.blocks = torch.nn.Sequential(Inner(), *extra)
        whole = torch.randn(6, 5)
        self.register_buffer('part', whole[1:4].t())  # a view: offset and strides
        self.register_buffer('bools', torch.tensor([True, False]))
        self.register_buffer('none', torch.empty(0, 3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.blocks(x) + self.part.sum()


pytestmark = pytest.mark.filterwarnings('ignore::torch.jit.TracerWarning')


def test_tensors_are_those_of_torch(tmp_path):
    path = str(tmp_path / 'outer.pt')
    torch.jit.save(torch.jit.script(Outer()), path)
    expected = torch.jit.load(path).state_dict()
    found = read_torchscript(path)
    assert found.keys() == expected.keys() >= {'blocks.0.weight', 'blocks.0.number', 'part', 'bools', 'none'}
    for name, tensor in expected.items():
        assert found[name].dtype == tensor.dtype
        torch.testing.assert_close(found[name], tensor, rtol=0, atol=0)


def test_a_whole_clip_traced_as_openai_did(tmp_path):
    clip = random_clip(tiny_clip())
    path = str(tmp_path / 'clip.pt')
    images, texts = torch.zeros(1, 3, 32, 32), torch.zeros(1, 20, dtype=torch.long)
    torch.jit.trace(clip, (images, texts), check_trace=False).save(path)
    state_dict, quick_gelu = read_weights(path)
    assert quick_gelu
    for name, tensor in clip.visual.state_dict().items():
        torch.testing.assert_close(state_dict[f'visual.{name}'], tensor, rtol=0, atol=0)


def test_code_of_the_archive_is_not_run(tmp_path):
    marker, path = tmp_path / 'marker', str(tmp_path / 'tricky.pt')
    torch.jit.save(torch.jit.script(Outer(Tricky(str(marker)))), path)
    assert 'blocks.0.weight' in read_torchscript(path)
    assert not marker.exists()


@pytest.mark.parametrize(('module', 'name'), [('os', 'system'), ('builtins', 'eval'), ('torch', 'load')])
def test_python_s_own_names_are_refused(module, name, tmp_path):
    path = tmp_path / 'evil.pt'
    call = f'c{module}\n{name}\n(V{tmp_path}/marker\ntR.'.encode()
    with zipfile.ZipFile(path, 'w') as archive:
        archive.writestr('evil/data.pkl', call)
        archive.writestr('evil/constants.pkl', b'I1\n.')
    with pytest.raises(ValueError, match=f'cannot be read as CLIP weights.*asks for {module}.{name}'):
        read_weights(str(path))


def test_damaged_archives_are_one_error(tmp_path):
    path = tmp_path / 'outer.pt'
    torch.jit.save(torch.jit.script(Outer()), str(path))
    with zipfile.ZipFile(path) as archive:
        records = {name: archive.read(name) for name in archive.namelist()}
    storage = next(name for name in records if name.endswith('/data/0'))
    other = tmp_path / 'cut.pt'
    for change in ({storage: records[storage][:2]}, {storage: None}):
        with zipfile.ZipFile(other, 'w') as archive:
            for name, content in (records | change).items():
                if content is not None:
                    archive.writestr(name, content)
        with pytest.raises(ValueError, match='cannot be read as CLIP weights'):
            read_weights(str(other))
        read_weights.cache_clear()
