"""Export and test of the demo's small CLAMP; what is in the graph: tests/test_onnx/"""

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmpose.apis import init_model
from mmpose.registry import DATASETS, MODELS

from clamp.inference import PosePredictor
from clamp.inference.exported import ExportedPredictor
from clamp.onnx.estimator import onnx_estimator
from tests.repository import DEMO, load_tool
from tests.tiny_models import save_checkpoint


def test_errors_are_one_line(tmp_path):
    pytest.importorskip('onnxscript')
    pytest.importorskip('onnxruntime')
    with pytest.raises(SystemExit, match=r'^error: The checkpoint .*clamp_tiny\.py cannot be read[^\n]*$'):
        load_tool('export_onnx').main([DEMO, DEMO, '--out', str(tmp_path / 'new.onnx')])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize('options', [[], ['--decode', '--flip-test']])
def test_an_exported_model_predicts_the_same(options, tmp_path, capsys):
    pytest.importorskip('onnxscript')
    pytest.importorskip('onnxruntime')
    from clamp.datasets.synthetic import generate_dataset

    generate_dataset(tmp_path, 4, 4)
    cfg = Config.fromfile(DEMO)
    dataset = DATASETS.build(dict(cfg.test_dataloader.dataset, data_root=str(tmp_path)))
    checkpoint, out = save_checkpoint(DEMO, tmp_path / 'checkpoint.pth', peaks=True), tmp_path / 'model.onnx'
    load_tool('export_onnx').main([DEMO, checkpoint, '--out', str(out), *options])
    assert 'largest difference' in capsys.readouterr().out

    model, exported = init_model(DEMO, checkpoint, 'cpu'), MODELS.build(onnx_estimator(cfg.model, str(out))).eval()
    batch = [dataset[i] for i in range(len(dataset))]
    with torch.no_grad():
        expected, got = (estimator.test_step(pseudo_collate(batch)) for estimator in (model, exported))
    for one, other in zip(expected, got):
        np.testing.assert_allclose(one.pred_instances.keypoints, other.pred_instances.keypoints, atol=0.01)
        np.testing.assert_allclose(one.pred_instances.keypoint_scores, other.pred_instances.keypoint_scores, atol=1e-3)
    predictors = [PosePredictor(DEMO, str(file), 'cpu') for file in (checkpoint, out)]
    image = np.random.default_rng(0).integers(0, 255, (90, 120, 3), np.uint8)
    [[one]], [[other]] = (predictor([image], [[[10, 5, 80, 70]]]) for predictor in predictors)
    np.testing.assert_allclose(one.keypoints, other.keypoints, atol=0.01)
    if '--decode' in options:
        [[alone]] = ExportedPredictor(str(out))([image], [[[10, 5, 80, 70]]])
        np.testing.assert_allclose(alone.keypoints, one.keypoints, atol=0.01)
    with pytest.raises(ValueError, match='has no prompts'):
        predictors[1].score_maps([image])
    with pytest.raises(ValueError, match=r'number of keypoints of .* is 17, that of the config 16'):
        onnx_estimator({**cfg.model, 'head': {**cfg.model.head, 'out_channels': 16}}, str(out))
