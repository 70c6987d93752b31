import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmengine.structures import InstanceData, PixelData
from mmpose.registry import MODELS
from mmpose.structures import PoseDataSample

from clamp.models.clamp_head import cosine_similarity, keypoint_fractions
from clamp.models.feature_contrastive_loss import sample_features
from tests.tiny_models import D, K, estimator, features, samples, tiny_head


def test_the_score_map_is_fused_as_in_figure_2():
    head = MODELS.build(tiny_head()).eval()
    global_embed, image_embeds, feature_map = feats = features()
    text_embeds = head.prompt_learner(global_embed, image_embeds)
    score_map = F.cosine_similarity(image_embeds[:, None], text_embeds[..., None, None], dim=2)
    heatmaps, our_score_map, our_text_embeds = head._forward(feats)
    torch.testing.assert_close(our_text_embeds, text_embeds)
    torch.testing.assert_close(our_score_map, score_map, atol=1e-5, rtol=1e-4)
    fused = torch.cat([feature_map, score_map], 1)
    torch.testing.assert_close(heatmaps, head.final_layer(head.deconv_layers(fused)), atol=1e-5, rtol=1e-4)
    assert heatmaps.shape == (2, K, 8, 8)
    assert head.deconv_layers[0].in_channels == 32 + K


def test_score_map_is_float32_under_autocast_too():
    image_embeds, text_embeds = 20 * torch.randn(2, D, 4, 4), torch.randn(2, K, D)
    with torch.autocast('cpu', torch.bfloat16):
        score_map = cosine_similarity(image_embeds, text_embeds)
    expected = F.cosine_similarity(image_embeds[:, None], text_embeds[..., None, None], dim=2)
    torch.testing.assert_close(score_map, expected, atol=1e-6, rtol=0)
    assert not cosine_similarity(torch.zeros(1, D, 4, 4), text_embeds[:1]).any()  # and not 0 / 0


def test_loss_values():
    head = MODELS.build(tiny_head(upsample='bilinear')).eval()
    feats, targets = features(), samples()
    losses = head.loss(feats, targets)
    heatmaps, score_map, text_embeds = head._forward(feats)
    target = torch.stack([sample.gt_fields.heatmaps for sample in targets])
    weights = torch.tensor([1.0, 1.0, 0.0]).view(1, 3, 1, 1)
    upsampled = F.interpolate(score_map, scale_factor=2, mode='bilinear')
    assert list(losses) == ['loss_kpt', 'loss_spatial', 'loss_feature']
    torch.testing.assert_close(losses['loss_kpt'], ((heatmaps - target) ** 2 * weights).mean())
    torch.testing.assert_close(losses['loss_spatial'], 2 * ((upsampled - target) ** 2 * weights).mean())

    points = torch.from_numpy(np.concatenate([s.gt_instances.transformed_keypoints for s in targets])).float()
    sampled = sample_features(feats[1], (points + 0.5) / 32)[:, :2]  # the labelled ones
    logits = F.normalize(sampled, dim=-1) @ F.normalize(text_embeds[:, :2], dim=-1).mT / 0.07
    labels = torch.arange(2).expand(2, -1)
    expected = 5e-4 * (F.cross_entropy(logits, labels) + F.cross_entropy(logits.mT, labels)) / 2
    torch.testing.assert_close(losses['loss_feature'], expected)


def test_learned_upsampling_is_for_training_only():
    feats = features()
    head = MODELS.build(tiny_head()).eval()
    assert head.upsample_score_map(torch.randn(2, K, 4, 4), torch.empty(2, K, 8, 8)).shape == (2, K, 8, 8)
    expected = head(feats)
    head.upsample = None
    torch.testing.assert_close(head(feats), expected)
    with pytest.raises(ValueError, match="'nearest'"):
        MODELS.build(tiny_head(upsample='nearest'))


def test_losses_can_be_left_out():
    head = MODELS.build(tiny_head(spatial_loss=None, feature_loss=None))
    assert list(head.loss(features(), samples())) == ['loss_kpt']
    assert not any('upsample' in name or 'logit_scale' in name for name, _ in head.named_parameters())


def test_pixels_to_fractions():
    """Pixel 0 of 4 has its centre at 1/8, pixel 3 at 7/8."""
    sample = PoseDataSample(metainfo=dict(input_size=(4, 8)))
    sample.gt_instances = InstanceData(transformed_keypoints=np.array([[[0.0, 0.0], [3.0, 7.0]]]))
    assert keypoint_fractions([sample]).tolist() == [[[0.125, 0.0625], [0.875, 0.9375]]]
    sample.gt_instances = InstanceData(keypoints=np.zeros((1, 2, 2)))
    with pytest.raises(ValueError, match='pack_transformed=True'):
        keypoint_fractions([sample])


def test_number_of_names_is_checked():
    with pytest.raises(ValueError, match='out_channels=4 keypoints, but prompt_learner has 3 keypoint_names: left eye'):
        MODELS.build(tiny_head(out_channels=4))
    nameless = tiny_head()
    del nameless['prompt_learner']['keypoint_names']
    with pytest.raises(ValueError, match='has 0 keypoint_names: none'):
        MODELS.build(nameless)


def test_one_step_reaches_everything_but_the_text_encoder(kind):
    model = estimator(kind).train()
    size = 32 if kind == 'vit' else 64
    targets = samples(size=size)
    for sample in targets:
        scale = size // (8 if kind == 'vit' else 32) * (2 if kind == 'vit' else 8)
        sample.gt_fields = PixelData(heatmaps=torch.rand(K, scale, scale))
    with torch.no_grad():  # far from its start at 1e-3, at which the gradients behind it vanish
        model.head.prompt_learner.cross_attention.gamma.fill_(1.0)
    sum(model.loss(torch.randn(2, 3, size, size), targets).values()).backward()
    for name, parameter in model.named_parameters():
        if 'text_encoder' in name:
            assert parameter.grad is None, name
        else:
            # exact zeros: bn3 of a ResNet starts at 0, attention forgets the bias of its keys
            assert parameter.grad is not None, name
    for name in ('prompt_learner.context', 'prompt_learner.cross_attention.gamma', 'feature_loss.logit_scale'):
        assert model.head.get_parameter(name).grad.abs().max() > 0, name
    for part in (
        model.head.prompt_learner.prompt_encoder,
        model.head.deconv_layers,
        model.backbone,
        model.head.upsample,
    ):
        assert max(parameter.grad.abs().max() for parameter in part.parameters()) > 0


def test_state_dict_round_trip_with_prompts(kind):
    model, other = estimator(kind).eval(), estimator(kind).eval()
    images = torch.randn(1, 3, *(2 * (32 if kind == 'vit' else 64,)))
    with torch.no_grad():
        before = other(images, None)
        other.load_state_dict(model.state_dict())
        after = other(images, None)
        torch.testing.assert_close(after, model(images, None))
    assert not torch.allclose(before, after)


@pytest.mark.parametrize('upsample', ['deconv', 'bilinear'])
def test_each_loss_alone_reaches_what_it_should(upsample):
    """Eq. 5 and 6-8 train prompts and image embeddings; the heatmaps' loss trains all."""
    head = MODELS.build(tiny_head(upsample=upsample)).eval()
    feats = tuple(each.requires_grad_() for each in features())
    inputs = dict(zip(('global', 'dense', 'map'), feats)) | dict(context=head.prompt_learner.context)
    reached = {}
    for name, loss in head.loss(feats, samples()).items():
        grads = torch.autograd.grad(loss, list(inputs.values()), retain_graph=True, allow_unused=True)
        reached[name] = {key for key, grad in zip(inputs, grads) if grad is not None and grad.abs().max() > 0}
    prompts = {'global', 'dense', 'context'}
    assert reached == dict(loss_kpt={*prompts, 'map'}, loss_spatial=prompts, loss_feature=prompts)


def test_the_upsampling_starts_as_torch_starts_it():
    """As released: its last convolution is far from the 0.001 of MMPose's heads."""
    head = MODELS.build(tiny_head())
    head.init_weights()
    assert head.upsample.final_layer.weight.abs().max() > 0.05
    assert head.final_layer.weight.abs().max() < 0.01


def test_the_upsampling_starts_as_it_is_told_to():
    head = MODELS.build(tiny_head(upsample_init_cfg=dict(type='Normal', layer=['Conv2d', 'ConvTranspose2d'], std=1e-3)))
    head.init_weights()
    assert 0 < max(parameter.abs().max() for parameter in head.upsample.final_layer.parameters()) < 0.01
