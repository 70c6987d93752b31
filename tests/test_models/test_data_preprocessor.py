import numpy as np
import pytest
import torch
from mmengine.dataset import default_collate
from mmpose.codecs import MSRAHeatmap
from mmpose.models.data_preprocessors import PoseDataPreprocessor
from mmpose.registry import MODELS
from mmpose.testing import get_packed_inputs

from clamp.models.data_preprocessor import HeatmapDataPreprocessor, draw_heatmaps
from tests.tiny_models import tiny_head

COLOURS = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], bgr_to_rgb=True)


def preprocessor(**codec) -> HeatmapDataPreprocessor:
    return HeatmapDataPreprocessor(
        **COLOURS, codec=dict(type='MSRAHeatmap', input_size=(32, 48), heatmap_size=(8, 12), sigma=2) | codec
    )


@pytest.mark.parametrize(('sigma', 'heatmap_size'), [(2, (8, 12)), (1.5, (8, 12)), (2, (16, 12))])
def test_targets_are_those_of_mmposes_codec(sigma, heatmap_size):
    """Also on borders, on half cells, outside, where a Gaussian just leaves the heatmap, and in cells of 2x4 pixels."""
    rng = np.random.default_rng(0)
    sizes = dict(input_size=(32, 48), heatmap_size=heatmap_size, sigma=sigma)
    keypoints = rng.uniform(-50, 90, (60, 17, 2)).astype(np.float32)
    keypoints[30:] = keypoints[30:].round() // 2 * 2  # multiples of half a cell
    weights = (rng.random((60, 17)) < 0.8).astype(np.float32)
    batch = dict(inputs=torch.zeros(60, 3, 48, 32), keypoints=keypoints, keypoint_weights=weights)
    data = preprocessor(**sizes)({name: torch.as_tensor(value) for name, value in batch.items()}, training=True)
    codec = MSRAHeatmap(**sizes)
    expected = [codec.encode(keypoints[i : i + 1], weights[i : i + 1]) for i in range(60)]
    got = np.stack([sample.gt_fields.heatmaps for sample in data['data_samples']])
    np.testing.assert_allclose(got, np.stack([each['heatmaps'] for each in expected]), atol=1e-6)
    got = np.concatenate([sample.gt_instance_labels.keypoint_weights for sample in data['data_samples']])
    np.testing.assert_array_equal(got, np.concatenate([each['keypoint_weights'] for each in expected]))
    assert 0.1 < (got != weights).mean() < 0.9  # some were outside


def test_heatmap_by_hand():
    """Sigma 1 at (1.4, 2.6) of 5x4 cells: the nearest cell is (1, 3)."""
    x, y, weights = torch.tensor([[1.4]]), torch.tensor([[2.6]]), torch.tensor([[1.0]])
    heatmaps, kept = draw_heatmaps(x, y, weights, (5, 4), sigma=1)
    assert heatmaps.shape == (1, 1, 4, 5)
    assert heatmaps[0, 0, 3, 1] == 1
    assert heatmaps[0, 0, 3, 0] == pytest.approx(np.exp(-0.5))
    assert heatmaps[0, 0, 1, 2] == pytest.approx(np.exp(-2.5))
    assert heatmaps[0, 0, 3, 4] == pytest.approx(np.exp(-4.5))
    assert kept.item() == 1
    unlabelled, _ = draw_heatmaps(x, y, torch.zeros(1, 1), (5, 4), sigma=1)
    assert unlabelled.max() == 0


def test_images_are_normalised_as_mmpose_does():
    images = torch.randint(0, 256, (2, 3, 48, 32), dtype=torch.uint8)
    samples = get_packed_inputs(2, num_keypoints=3, with_heatmap=False)['data_samples']
    expected = PoseDataPreprocessor(**COLOURS)(dict(inputs=list(images), data_samples=samples))['inputs']
    training = dict(inputs=images, keypoints=torch.zeros(2, 3, 2), keypoint_weights=torch.ones(2, 3))
    torch.testing.assert_close(preprocessor()(training)['inputs'], expected, rtol=0, atol=0)
    validation = preprocessor()(dict(inputs=list(images), data_samples=samples))
    torch.testing.assert_close(validation['inputs'], expected, rtol=0, atol=0)
    assert validation['data_samples'][1].metainfo['img_path'] == samples[1].metainfo['img_path']


@pytest.mark.parametrize('head_type', ['CLAMPHead', 'HeatmapHead'])
def test_both_pipelines_give_the_same_losses(head_type):
    """Three tensors, or MMPose's samples with heatmaps: the heads read one as the other."""
    from mmpose.registry import TRANSFORMS

    codec = dict(type='MSRAHeatmap', input_size=(32, 32), heatmap_size=(8, 8), sigma=1)
    rng = np.random.default_rng(0)
    short, classic = [], []
    for _ in range(2):
        results = dict(
            img=rng.integers(0, 256, (32, 32, 3), dtype=np.uint8),
            transformed_keypoints=rng.uniform(-4, 36, (1, 3, 2)).astype(np.float32),
            keypoints_visible=np.array([[1, 1, 0]], np.float32),
            input_size=(32, 32),
        )
        short.append(TRANSFORMS.build(dict(type='PackKeypointInputs'))(dict(results)))
        results = TRANSFORMS.build(dict(type='GenerateTarget', encoder=codec))(dict(results))
        classic.append(TRANSFORMS.build(dict(type='PackPoseInputs', pack_transformed=True))(results))
    prepare = preprocessor(**codec)
    batches = [
        prepare(default_collate(short), True),
        prepare(dict(inputs=[d['inputs'] for d in classic], data_samples=[d['data_samples'] for d in classic]), True),
    ]
    torch.testing.assert_close(batches[0]['inputs'], batches[1]['inputs'])
    if head_type == 'CLAMPHead':
        head, feats = (
            MODELS.build(tiny_head()),
            (torch.randn(2, 24), torch.randn(2, 24, 4, 4), torch.randn(2, 32, 4, 4)),
        )
    else:
        head = MODELS.build(
            dict(type=head_type, in_channels=32, out_channels=3, deconv_out_channels=(8,), deconv_kernel_sizes=(4,))
        )
        feats = (torch.randn(2, 32, 4, 4),)
    losses = [head.eval().loss(feats, batch['data_samples'], train_cfg=dict(compute_acc=False)) for batch in batches]
    torch.testing.assert_close(losses[0], losses[1])
    assert len(losses[0]) == (3 if head_type == 'CLAMPHead' else 1)


def test_other_codecs_are_refused():
    for codec in (dict(type='UDPHeatmap'), dict(unbiased=True)):
        with pytest.raises(ValueError, match='GenerateTarget and PackPoseInputs'):
            preprocessor(**codec)
    with pytest.raises(ValueError, match='needs the codec'):
        HeatmapDataPreprocessor(**COLOURS)(
            dict(inputs=torch.zeros(1, 3, 8, 8), keypoints=torch.zeros(1, 3, 2), keypoint_weights=torch.ones(1, 3))
        )
