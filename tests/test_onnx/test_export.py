import copy
import json

import numpy as np
import pytest
import torch
from mmpose.codecs import MSRAHeatmap
from mmpose.registry import MODELS

from clamp.onnx.export import decode_heatmaps, export_onnx, fold_prompts, verify
from tests.conftest import NAMES, tiny_clip, tiny_head

SIZES = dict(vit=(32, 8), resnet=(64, 16))  # of the input, of the heatmaps
METAINFO = dict(
    dataset_name='mice',
    keypoint_id2name=dict(enumerate(['L_Eye', 'Nose', 'R_Paw'])),
    sigmas=np.array([0.025, 0.026, 0.1], dtype=np.float32),
    flip_indices=[2, 1, 0],
    skeleton_links=[(0, 1)],
)


def tiny_model(kind: str) -> torch.nn.Module:
    """A CLAMP whose weights are all random, so that heatmaps depend on each part."""
    input_size, heatmap_size = SIZES[kind]
    codec = dict(type='MSRAHeatmap', input_size=[input_size] * 2, heatmap_size=[heatmap_size] * 2, sigma=2)
    model = MODELS.build(
        dict(
            type='TopdownPoseEstimator',
            data_preprocessor=dict(
                type='PoseDataPreprocessor',
                mean=[123.675, 116.28, 103.53],
                std=[58.395, 57.12, 57.375],
                bgr_to_rgb=True,
            ),
            backbone=dict(type='CLIPBackbone', clip=tiny_clip(kind), input_size=(input_size, input_size)),
            head=tiny_head(kind, decoder=codec),
            test_cfg=dict(flip_test=False, shift_heatmap=True),
        )
    )
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.2)
    return model.eval()


def test_decoding_by_hand():
    heatmaps = torch.zeros(1, 2, 8, 8)
    heatmaps[0, 0, 5, 3], heatmaps[0, 0, 5, 4], heatmaps[0, 0, 4, 3] = 0.9, 0.4, 0.2  # higher to the right and above
    keypoints, scores = decode_heatmaps(heatmaps)
    assert keypoints.tolist() == [[[3.25, 4.75], [-1, -1]]]
    torch.testing.assert_close(scores, torch.tensor([[0.9, 0]]))


def test_decoding_is_mmposes():
    codec = MSRAHeatmap(input_size=(48, 32), heatmap_size=(12, 8), sigma=2)
    heatmaps = torch.randn(4, 96, 8, 12)
    heatmaps[0].flatten(1)[torch.arange(96), torch.arange(96)] = 9  # a peak in each cell, borders too
    heatmaps[1, :4] = -heatmaps[1, :4].abs()
    keypoints, scores = decode_heatmaps(heatmaps)
    for i in range(4):
        expected = codec.decode(heatmaps[i].numpy())
        np.testing.assert_array_equal(keypoints[i].numpy() * codec.scale_factor, expected[0][0])
        np.testing.assert_array_equal(scores[i].numpy(), expected[1][0])


def test_folded_prompts_are_the_same_and_need_no_text_encoder(kind):
    model = tiny_model(kind)
    before = {name: parameter.requires_grad for name, parameter in model.named_parameters()}
    folded = fold_prompts(model)
    images = torch.randn(2, 3, *[SIZES[kind][0]] * 2)
    with torch.no_grad():
        torch.testing.assert_close(folded.head(folded.backbone(images)), model.head(model.backbone(images)))
        prompts = [estimator.head.prompt_learner.encode_prompts() for estimator in (folded, model)]
        torch.testing.assert_close(*prompts)
    assert not any('text_encoder' in name or 'prompt_encoder' in name for name, _ in folded.named_parameters())
    after = {name: parameter.requires_grad for name, parameter in model.named_parameters()}
    assert after == before  # the model is as it was
    assert folded.backbone.tower.conv1.weight is model.backbone.tower.conv1.weight  # and nothing is there twice


def test_a_codec_that_the_graph_cannot_decode_is_refused():
    model = tiny_model('vit')
    model.head.decoder.unbiased = True
    with pytest.raises(ValueError, match='Leave --decode out'):
        export_onnx(model, METAINFO, decode=True)


@pytest.mark.slow
@pytest.mark.parametrize(('flip_test', 'decode'), [(False, False), (True, True)])
def test_the_graph_is_the_model(kind, flip_test, decode):
    onnx = pytest.importorskip('onnx')
    pytest.importorskip('onnxscript')
    pytest.importorskip('onnxruntime')
    model = tiny_model(kind)
    file = export_onnx(model, METAINFO, flip_test, decode)
    for batch_size in (1, 3):
        assert verify(file, model, METAINFO, flip_test, batch_size) < 1e-4
    graph = onnx.load_from_string(file)
    assert [o.name for o in graph.graph.output] == ['keypoints', 'scores', 'heatmaps'][0 if decode else 2 :]
    assert 49408 not in {size for tensor in graph.graph.initializer for size in tensor.dims}  # no token embeddings
    values = {entry.key: json.loads(entry.value) for entry in graph.metadata_props}
    assert values['keypoint_names'] == ['L_Eye', 'Nose', 'R_Paw']
    assert values['prompts'] == NAMES
    assert values['sigmas'] == [0.025, 0.026, 0.1]
    assert values['input_size'] == [SIZES[kind][0]] * 2
    assert values['mean'] == pytest.approx([123.675, 116.28, 103.53])
    assert values['std'] == pytest.approx([58.395, 57.12, 57.375])
    assert (values['flip_test'], values['decoded']) == (flip_test, decode)

    other = copy.deepcopy(model)  # of another training
    other.head.final_layer.bias.data.add_(1e-3)
    with pytest.raises(ValueError, match='ONNX Runtime and PyTorch differ by'):
        verify(file, other, METAINFO, flip_test, 1)


def test_any_names_are_exported_if_they_are_the_trained_ones():
    model = torch.nn.Module()
    model.head = MODELS.build(tiny_head(type='OpenVocabularyHead')).eval()
    feats = torch.randn(2, 24), torch.randn(2, 24, 4, 4), torch.randn(2, 32, 4, 4)
    with torch.no_grad():
        folded = fold_prompts(model)
        assert folded.head.prompt_learner.text_encoder is None
        torch.testing.assert_close(folded.head(feats), model.head(feats))
    model.head.set_keypoint_names(['nose', 'hoof'])
    with pytest.raises(ValueError, match="not others, such as 'hoof'"):
        fold_prompts(model)
