import json
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmpose.registry import MODELS

from clamp.keypoint_names import mirrored
from clamp.onnx import graph
from clamp.onnx.estimator import onnx_estimator
from clamp.onnx.graph import METADATA, load_session, open_graph
from tests.tiny_models import K, msra_codec, packed_samples


class Session:
    """A graph in the place of ONNX Runtime's. Its heatmaps have their peaks at (4, 2), and it says (1, 3) and 0.25."""

    def __init__(self, flip_test: bool, decoded: bool):
        self.decoded, self.passes = decoded, 0
        self.values = dict.fromkeys(METADATA) | dict(keypoint_names=['a', 'b', 'c'], input_size=[32, 32])
        self.values |= dict(flip_test=flip_test, decoded=decoded)

    def get_modelmeta(self) -> SimpleNamespace:
        values = self.values | dict(clamp_version='1')
        return SimpleNamespace(custom_metadata_map={name: json.dumps(value) for name, value in values.items()})

    def run(self, names: None, inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
        self.passes += 1
        batch = len(inputs['images'])
        heatmaps = np.zeros((batch, K, 8, 8), np.float32)
        heatmaps[..., 2, 4] = 1
        poisoned = np.tile(np.float32([1, 3]), (batch, K, 1)), np.full((batch, K), 0.25, np.float32)
        return [*poisoned, heatmaps] if self.decoded else [heatmaps]


@pytest.mark.parametrize('flip_test', [False, True])
@pytest.mark.parametrize('decoded', [False, True])
def test_what_the_graph_has_decoded_is_what_is_evaluated(decoded, flip_test, tmp_path, monkeypatch):
    """Heatmaps and keypoints of the graph say different things: the keypoints count, where there are any."""
    session, path = Session(flip_test, decoded), tmp_path / 'model.onnx'
    path.touch()
    monkeypatch.setattr(graph, 'load_session', lambda file, threads: session)
    config = dict(
        type='TopdownHeatmapEstimator',
        data_preprocessor=dict(type='HeatmapDataPreprocessor', mean=[0.0] * 3, std=[1.0] * 3),
        head=dict(decoder=msra_codec('vit'), out_channels=K),
        test_cfg=dict(flip_test=True, output_heatmaps=True),
    )
    model = MODELS.build(onnx_estimator(config, str(path))).eval()
    samples = packed_samples('vit', 2)
    for sample in samples:  # the input is the image
        sample.set_metainfo(dict(input_center=np.array([16.0, 16.0]), input_scale=np.array([32.0, 32.0])))
    with torch.no_grad():
        predicted = model.test_step(dict(inputs=[torch.zeros(3, 32, 32, dtype=torch.uint8)] * 2, data_samples=samples))
    for sample in predicted:
        poses = sample.pred_instances
        assert sample.pred_fields.heatmaps.shape == (K, 8, 8)
        if decoded:
            np.testing.assert_allclose(poses.keypoints, [[[1, 3]] * K], atol=1e-4)
            assert (poses.keypoint_scores == 0.25).all()
        elif flip_test:  # in the graph
            np.testing.assert_allclose(poses.keypoints, [[[16, 8]] * K], atol=1e-4)
            assert (poses.keypoint_scores == 1).all()
        else:  # outside: a mean over it and its mirror image, in which 4 is 3
            assert (poses.keypoint_scores == 0.5).all()
    assert session.passes == (1 if decoded or flip_test else 2)


@pytest.mark.parametrize(
    ('prompts', 'flip_test'), [(['left eye', 'hoof', 'right eye'], True), (['left hock', 'hoof', 'nose'], False)]
)
def test_other_names_are_mirrored_if_all_have_their_counterparts(prompts, flip_test, tmp_path, monkeypatch):
    session, path = Session(False, False), tmp_path / 'model.onnx'
    path.touch()
    session.values |= dict(prompts=prompts, keypoint_names=prompts, mirror_names=[mirrored(name) for name in prompts])
    monkeypatch.setattr(graph, 'load_session', lambda file, threads: session)
    head = dict(decoder=msra_codec('vit'), out_channels=K + 1)
    config = dict(data_preprocessor=dict(), head=head, test_cfg=dict(flip_test=True))
    assert onnx_estimator(config, str(path), any_names=True)['test_cfg']['flip_test'] is flip_test
    session.values['prompts'] = None  # of a model without prompts, which predicts the config's keypoints
    with pytest.raises(ValueError, match=r'The number of keypoints of .* is 3, that of the config 4'):
        onnx_estimator(config, str(path), any_names=True)


def test_without_onnx_runtime_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, 'onnxruntime', None)
    with pytest.raises(ImportError, match='pip install onnxruntime'):
        load_session('model.onnx')


def test_files_that_are_no_export_are_refused(tmp_path):
    pytest.importorskip('onnxruntime')
    onnx = pytest.importorskip('onnx')
    with pytest.raises(FileNotFoundError, match=r'none\.onnx is not there'):
        onnx_estimator({}, str(tmp_path / 'none.onnx'))
    path = tmp_path / 'model.onnx'
    path.write_bytes(b'no graph')
    with pytest.raises(ValueError, match=r'ONNX Runtime cannot load .*model\.onnx'):
        open_graph(str(path))
    value = onnx.helper.make_tensor_value_info('x', onnx.TensorProto.FLOAT, [1])
    other = onnx.helper.make_tensor_value_info('y', onnx.TensorProto.FLOAT, [1])
    graph = onnx.helper.make_graph([onnx.helper.make_node('Identity', ['x'], ['y'])], 'other', [value], [other])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid('', 18)], ir_version=10)
    onnx.save(model, path)
    with pytest.raises(ValueError, match=r'was not written by tools/export_onnx\.py'):
        open_graph(str(path))
