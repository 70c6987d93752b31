import pytest
import torch
from mmpose.models import TopdownPoseEstimator
from mmpose.registry import MODELS

from tests.tiny_models import estimator, msra_codec, packed_samples


@pytest.mark.parametrize('flip_test', [True, False])
def test_predictions_are_mmposes_with_half_the_passes(kind, flip_test):
    codec = msra_codec(kind)
    model = estimator(kind, decoder=codec).eval()
    model.test_cfg = dict(model.test_cfg, flip_test=flip_test, output_heatmaps=True)
    images, passes = torch.randn(3, 3, *codec['input_size']), []
    model.backbone.register_forward_hook(lambda module, inputs, output: passes.append(len(inputs[0])))
    predictions = []
    for cls in (TopdownPoseEstimator, MODELS.get('TopdownHeatmapEstimator')):
        samples = packed_samples(kind, 3)
        with torch.no_grad():
            predictions.append(cls.predict(model, images, samples))
    for theirs, ours in zip(*predictions):
        torch.testing.assert_close(ours.pred_fields.heatmaps, theirs.pred_fields.heatmaps, atol=1e-6, rtol=1e-4)
        torch.testing.assert_close(ours.pred_instances.keypoint_scores, theirs.pred_instances.keypoint_scores)
    assert passes == ([3, 3, 6] if flip_test else [3, 3])


def test_a_head_that_is_not_asked_by_name_is_refused():
    config = dict(type='OpenVocabularyEstimator', backbone=dict(type='ResNet', depth=18))
    with pytest.raises(ValueError, match='asks its head by name, but HeatmapHead is none for that'):
        MODELS.build(config | dict(head=dict(type='HeatmapHead', in_channels=512, out_channels=2)))


@pytest.mark.parametrize('flip_test', [True, False])
def test_prediction_in_half_precision(kind, flip_test):
    codec = msra_codec(kind)
    model = estimator(kind, decoder=codec).eval()
    model.test_cfg = dict(model.test_cfg, flip_test=flip_test, output_heatmaps=True)
    packed = packed_samples(kind, 2)
    images, predictions = torch.randn(2, 3, *codec['input_size']), []
    for enabled in (False, True):
        with torch.no_grad(), torch.autocast('cpu', torch.bfloat16, enabled=enabled):
            samples = model.predict(images, [sample.clone() for sample in packed])
        predictions.append(torch.stack([sample.pred_fields.heatmaps for sample in samples]))
    assert predictions[1].dtype == torch.float32
    assert not torch.equal(*predictions)
    torch.testing.assert_close(*predictions, rtol=0, atol=0.03 * predictions[0].abs().max().item())
