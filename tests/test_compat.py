import importlib
import importlib.util
import os
import pickle
import subprocess
import sys
import warnings
import zipfile

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer
from mmpose.registry import MODELS
from mmpose.visualization.opencv_backend_visualizer import OpencvBackendVisualizer

from clamp import compat
from tests.repository import ROOT

without_mmdet = pytest.mark.skipif(importlib.util.find_spec('mmdet') is not None, reason='mmdet is installed')
without_mmcv_ops = pytest.mark.skipif(importlib.util.find_spec('mmcv._ext') is not None, reason='mmcv is the full one')


def test_mmposes_models_are_all_there():
    for name in ('TopdownPoseEstimator', 'HeatmapHead', 'ResNet', 'RTMCCHead', 'EDPoseHead', 'RTMOHead'):
        assert name in MODELS
    MODELS.build(dict(type='ResNet', depth=18))


@without_mmdet
@without_mmcv_ops
def test_no_placeholder_is_left_behind():
    for name in ('mmdet', 'mmdet.utils', 'mmcv.ops'):
        assert name not in sys.modules
    assert importlib.util.find_spec('mmdet') is None  # a placeholder has no spec, and would raise here
    with pytest.raises(ImportError):
        importlib.import_module('mmdet.utils')


@without_mmcv_ops
def test_what_needs_mmcvs_operators_says_so():
    layers = importlib.import_module('mmpose.models.heads.transformer_heads.transformers.deformable_detr_layers')
    with pytest.raises(ImportError, match='MultiScaleDeformableAttention comes from mmcv, which is not installed'):
        layers.DeformableDetrTransformerEncoder(
            num_layers=1, layer_cfg=dict(self_attn_cfg=dict(embed_dims=8), ffn_cfg=dict(embed_dims=8))
        )


@without_mmdet
def test_what_needs_mmdet_says_so():
    rtmo_head = importlib.import_module('mmpose.models.heads.hybrid_heads.rtmo_head')
    with pytest.raises(ImportError, match='reduce_mean comes from mmdet, which is not installed'):
        rtmo_head.reduce_mean(torch.zeros(1))


def test_the_real_packages_are_left_alone(monkeypatch):
    """With them installed, nothing takes their place."""
    real = object()
    monkeypatch.setattr(compat.importlib.util, 'find_spec', lambda name: real)
    for name in ('mmdet', 'mmdet.utils', 'mmcv.ops'):
        monkeypatch.setitem(sys.modules, name, real)
    compat.import_mmpose_models()
    assert sys.modules['mmdet'] is sys.modules['mmcv.ops'] is real


@pytest.fixture
def content() -> dict:
    """What MMEngine's runner saves besides tensors."""
    buffer = HistoryBuffer()
    for value in (0.5, np.float64(0.25), 2):
        buffer.update(value, count=2)
    return dict(
        state_dict=dict(weight=torch.ones(2)),
        message_hub=dict(log_scalars={'train/loss': buffer}, runtime_info=dict(iter=np.int64(7), seed=3)),
        meta=dict(best=np.float64(0.75), ap=np.float32(0.5), classes=np.arange(3), done=np.bool_(True)),
    )


def assert_same(loaded: dict, content: dict) -> None:
    buffer, expected = (d['message_hub']['log_scalars']['train/loss'] for d in (loaded, content))
    for ours, theirs in zip(buffer.data, expected.data):
        np.testing.assert_array_equal(ours, theirs)
    assert buffer.mean(3) == expected.mean(3)
    assert loaded['message_hub']['runtime_info'] == content['message_hub']['runtime_info']
    np.testing.assert_equal(loaded['meta'], content['meta'])


def test_mmengines_checkpoints_load_safely(content, tmp_path):
    path = tmp_path / 'epoch_1.pth'
    torch.save(content, path)
    assert_same(torch.load(path, weights_only=True), content)


def test_checkpoints_of_numpy_1_load_too(content, tmp_path):
    new, old = tmp_path / 'numpy2.pth', tmp_path / 'numpy1.pth'
    torch.save(content, new)
    with zipfile.ZipFile(new) as source, zipfile.ZipFile(old, 'w') as target:
        for name in source.namelist():
            member = source.read(name)
            if name.endswith('data.pkl'):
                assert b'numpy._core.multiarray' in member
                member = member.replace(b'cnumpy._core.multiarray\n', b'cnumpy.core.multiarray\n')
                assert b'numpy._core' not in member
            target.writestr(name, member)
    assert_same(torch.load(old, weights_only=True), content)


class Reduced:
    """Pickled as the call of a function."""

    def __init__(self, *call):
        self.call = call

    def __reduce__(self):
        return self.call[0], self.call[1:]


@pytest.mark.parametrize(
    'call',
    [
        (os.mkdir, 'harm'),
        (eval, '1 + 1'),
        (getattr, HistoryBuffer, '__init__'),
        (getattr, HistoryBuffer, 'register_statistics'),
        (getattr, torch.Tensor, 'mean'),
    ],
)
def test_code_in_a_checkpoint_is_still_refused(call, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save(dict(state_dict={}, meta=Reduced(*call)), 'bad.pth')
    with pytest.raises(pickle.UnpicklingError):
        torch.load('bad.pth')
    assert not os.path.exists('harm')


class BrokenOpenCV:
    """An import hook by which OpenCV does not load."""

    def __init__(self, message: str):
        self.message = message

    def find_spec(self, name, path=None, target=None):
        if name == 'cv2':
            raise ImportError(self.message)


@pytest.mark.parametrize(
    ('message', 'has_help'),
    [
        ('libGL.so.1: cannot open shared object file: No such file or directory', True),
        ('libgthread-2.0.so.0: cannot open shared object file: No such file or directory', True),
        ('numpy.core.multiarray failed to import (/usr/lib/python3/cv2)', False),
    ],
)
def test_opencv_without_its_libraries(monkeypatch, message, has_help):
    monkeypatch.delitem(sys.modules, 'cv2')
    monkeypatch.setattr(sys, 'meta_path', [BrokenOpenCV(message), *sys.meta_path])
    with pytest.raises(ImportError) as error:
        compat.check_opencv()
    assert message.split(':')[0] in str(error.value)
    assert ('apt-get install libgl1' in str(error.value)) == has_help
    assert ('opencv-python-headless' in str(error.value)) == has_help


@pytest.mark.slow
@without_mmdet
def test_an_mmdet_that_refuses_this_mmcv_is_done_without(tmp_path):
    (tmp_path / 'mmdet').mkdir()
    (tmp_path / 'mmdet/__init__.py').write_text("raise AssertionError('MMCV==2.2.0 is used but incompatible')")
    code = 'import clamp.register, sys; print([name for name in sys.modules if name.startswith("mmdet.")])'
    environment = os.environ | dict(PYTHONPATH=os.pathsep.join([str(tmp_path), str(ROOT)]))
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout == '[]\n'
    assert 'mmdet is installed, but cannot be imported, and is done without: MMCV==2.2.0 is used' in done.stderr


def test_other_versions_than_those_whose_parts_are_replaced_are_named(monkeypatch):
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        compat.check_versions()
    monkeypatch.setattr('mmpose.__version__', '1.4.0')
    with pytest.warns(UserWarning, match=r'mmpose 1\.4\.0 is installed\. This code was made for 1\.3\.2'):
        compat.check_versions()


@pytest.mark.slow
def test_import_is_quiet():
    result = subprocess.run([sys.executable, '-c', 'import clamp.register'], capture_output=True, text=True, check=True)
    assert result.stdout + result.stderr == ''


@pytest.mark.slow
def test_each_of_seven_modules_may_be_the_first_to_be_imported():
    """Also before MMEngine."""
    script = """
import importlib, open_clip, os
for name in ('checkpoints', 'checks', 'inference.predictor', 'models', 'onnx.estimator', 'onnx.export', 'settings'):
    if not os.fork():
        importlib.import_module(f'clamp.{name}')
        os._exit(0)
    print(name, os.wait()[1])
"""
    lines = subprocess.run([sys.executable, '-c', script], capture_output=True, text=True).stdout.splitlines()
    assert len(lines) == 7
    assert all(line.endswith(' 0') for line in lines)


@pytest.mark.slow
def test_a_config_registers_the_package():
    """Whatever was imported before."""
    script = """
import clamp
from mmengine.config import Config
Config.fromfile('configs/demo/clamp_tiny.py')
from mmpose.apis import init_model
init_model('configs/demo/clamp_tiny.py', device='cpu')
"""
    subprocess.run([sys.executable, '-c', script], cwd=ROOT, check=True)


def test_mmpose_draws_predictions():
    """MMPose 1.3.2 passes a radius that is an array of one element, which numpy >= 2.4 does not take for a number."""
    visualizer = OpencvBackendVisualizer(backend='opencv')
    visualizer.set_image(np.zeros((20, 20, 3), np.uint8))
    visualizer.draw_circles(np.array([10, 12]), radius=np.array([3]), face_colors=(255, 0, 0))
    assert visualizer.get_image()[12, 10].tolist() == [255, 0, 0]
    assert not visualizer.get_image()[2, 10].any()
