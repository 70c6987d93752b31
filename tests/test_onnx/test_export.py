import copy
import json

import numpy as np
import pytest
import torch
from mmpose.codecs import MSRAHeatmap
from mmpose.datasets.datasets.utils import parse_pose_metainfo
from mmpose.registry import MODELS

from clamp.datasets.keypoint_choice import describe_names
from clamp.models import PromptLearner
from clamp.onnx.export import box_padding, decode_heatmaps, export_onnx, fold_prompts, metadata, verify
from tests.tiny_models import NAMES, tiny_clip, tiny_head

CODEC = dict(input_size=[32, 32], heatmap_size=[8, 8], sigma=2)
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
            type='TopdownHeatmapEstimator',
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


def test_a_model_that_no_onnx_file_holds_is_refused_before_the_export(monkeypatch):
    model = tiny_model('vit')
    monkeypatch.setattr('clamp.onnx.export.LARGEST', 10_000)
    with pytest.raises(ValueError, match=r'The graph would be 0\.0 GB, but an ONNX file holds 0\.0 GB'):
        export_onnx(model, METAINFO)


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


def open_vocabulary_model(names: list[str]) -> torch.nn.Module:
    """A model of any names, with random weights, asked for some names."""
    model = tiny_model('vit')
    config = tiny_head(type='OpenVocabularyHead', decoder=dict(type='MSRAHeatmap', **CODEC))
    estimator = dict(
        type='OpenVocabularyEstimator',
        backbone=dict(type='CLIPBackbone', clip=tiny_clip(), input_size=(32, 32)),
        head=config,
        test_cfg=dict(flip_test=False, shift_heatmap=True),
    )
    estimator = MODELS.build(estimator)
    estimator.data_preprocessor = model.data_preprocessor
    with torch.no_grad():
        for parameter in estimator.parameters():
            parameter.normal_(std=0.2)
    estimator.eval().head.set_keypoint_names(names)
    return estimator


def test_folded_prompts_answer_to_any_names_and_their_mirror_images():
    """Among them one name trained on, and one whose mirror image is not asked for."""
    model = open_vocabulary_model(['hoof', 'nose', 'left hock'])
    folded, images = fold_prompts(model), torch.randn(2, 3, 32, 32)
    assert folded.head.prompt_learner.text_encoder is None
    with torch.no_grad():
        heatmaps = folded.head(folded.backbone(images))
        assert heatmaps.shape == (2, 3, 8, 8)
        torch.testing.assert_close(heatmaps, model.head(model.backbone(images)))
        torch.testing.assert_close(folded.flip_test(images), model.flip_test(images))


def test_prompts_that_are_no_constants_are_refused():
    model = open_vocabulary_model(['hoof'])

    class Gated(PromptLearner):
        def forward(self, global_embed, image_embeds, texts=None):
            return super().forward(global_embed, image_embeds, texts) * global_embed.mean()

    model.head.prompt_learner.__class__ = Gated
    with pytest.raises(ValueError, match='Gated has a forward of its own'):
        fold_prompts(model)


def test_the_padding_of_boxes_is_the_pipelines():
    box = dict(type='GetBBoxCenterScale')
    assert box_padding([dict(type='LoadImage'), box], True) == 1.25
    assert box_padding([dict(box, padding=1.5), dict(type='TopdownAffine', use_udp=True)], False) == 1.5
    with pytest.raises(ValueError, match='leave --decode out'):
        box_padding([box, dict(type='TopdownAffine', use_udp=True)], True)


@pytest.mark.slow
def test_the_graph_has_any_names():
    pytest.importorskip('onnxscript')
    pytest.importorskip('onnxruntime')
    names = ['hoof', 'nose', 'left hock']
    model, metainfo = open_vocabulary_model(names), parse_pose_metainfo(describe_names(names))
    file = export_onnx(model, metainfo, flip_test=True, decode=True)
    assert verify(file, model, metainfo, flip_test=True, batch_size=3) < 1e-4
    values = metadata(model, metainfo, True, True, 1.25)
    assert json.loads(values['keypoint_names']) == json.loads(values['prompts']) == names
