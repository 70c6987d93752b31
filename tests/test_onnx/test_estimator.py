import sys

import pytest

from clamp.onnx.estimator import load_session, onnx_estimator, read_metadata


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
        read_metadata(str(path))
    value = onnx.helper.make_tensor_value_info('x', onnx.TensorProto.FLOAT, [1])
    other = onnx.helper.make_tensor_value_info('y', onnx.TensorProto.FLOAT, [1])
    graph = onnx.helper.make_graph([onnx.helper.make_node('Identity', ['x'], ['y'])], 'other', [value], [other])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid('', 18)], ir_version=10)
    onnx.save(model, path)
    with pytest.raises(ValueError, match=r'was not written by tools/export_onnx\.py'):
        read_metadata(str(path))
