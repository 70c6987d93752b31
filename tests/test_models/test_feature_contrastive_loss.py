import math

import pytest
import torch

from clamp.models.feature_contrastive_loss import FeatureContrastiveLoss, sample_features

# 2x2 map of one-hot features: (0,0) -> e0, (1,0) -> e1, (0,1) -> e2, (1,1) -> e0 + e1, as (x, y)
MAP = torch.zeros(1, 3, 2, 2)
MAP[0, 0, 0, 0] = MAP[0, 1, 0, 1] = MAP[0, 2, 1, 0] = MAP[0, 0, 1, 1] = MAP[0, 1, 1, 1] = 1
CENTRES = torch.tensor([[[0.25, 0.25], [0.75, 0.25], [0.25, 0.75]]])  # of the first three cells


def test_sample_features_by_hand():
    points = torch.tensor([[[0.25, 0.25], [0.5, 0.25], [0.75, 0.25], [0.0, 1.0], [0.5, 0.5]]])
    expected = [[1, 0, 0], [0.5, 0.5, 0], [0, 1, 0], [0, 0, 1], [0.5, 0.5, 0.25]]
    assert sample_features(MAP, points)[0].tolist() == expected


def test_loss_by_hand():
    loss = FeatureContrastiveLoss(loss_weight=2.0, init_temperature=1.0)
    # features and prompts are the unit vectors: similarities are the identity, each row a softmax of (1, 0, 0)
    value = loss(MAP, 5 * torch.eye(3)[None], CENTRES, torch.ones(1, 3))
    assert value.item() == pytest.approx(2 * math.log(math.e + 2) - 2, abs=1e-6)


def test_both_directions_count():
    loss = FeatureContrastiveLoss(loss_weight=1.0, init_temperature=1.0)
    prompts = torch.tensor([[[1.0, 0, 0], [1.0, 0, 0], [0, 0, 1.0]]])  # the first two alike
    # similarities, keypoints by prompts: [[1, 1, 0], [0, 0, 0], [0, 0, 1]]
    over_prompts = [math.log(2 * math.e + 1) - 1, math.log(3), math.log(math.e + 2) - 1]
    over_keypoints = [math.log(math.e + 2) - 1, math.log(math.e + 2), math.log(math.e + 2) - 1]
    value = loss(MAP, prompts, CENTRES, torch.ones(1, 3)).item()
    assert value == pytest.approx((sum(over_prompts) + sum(over_keypoints)) / 6, abs=1e-6)


def test_unlabelled_keypoints_take_no_part():
    loss = FeatureContrastiveLoss(loss_weight=1.0)
    prompts = torch.randn(1, 3, 3)
    two = loss(MAP, prompts[:, :2], CENTRES[:, :2], torch.ones(1, 2))
    prompts.requires_grad_()
    masked = loss(MAP, prompts, CENTRES, torch.tensor([[1.0, 1.0, 0.0]]))
    torch.testing.assert_close(masked, two)
    masked.backward()
    assert prompts.grad[0, 2].abs().max() == 0  # not even as a negative
    assert prompts.grad[0, 0].abs().max() > 0


def test_nothing_labelled_is_zero_with_gradients():
    loss = FeatureContrastiveLoss()
    features = MAP.clone().requires_grad_()
    value = loss(features, torch.randn(1, 3, 3), CENTRES, torch.zeros(1, 3))
    value.backward()
    assert value.item() == 0
    assert torch.isfinite(features.grad).all()


def test_images_are_not_mixed():
    loss = FeatureContrastiveLoss()
    prompts, weights = torch.randn(2, 3, 3), torch.ones(2, 3)
    features, points = torch.cat([MAP, MAP.flip(1)]), CENTRES.expand(2, -1, -1)
    both = loss(features, prompts, points, weights)
    single = [loss(features[i : i + 1], prompts[i : i + 1], points[:1], weights[:1]) for i in range(2)]
    torch.testing.assert_close(both, sum(single) / 2)


def test_logit_scale_starts_and_stays_where_clips_does():
    loss = FeatureContrastiveLoss()
    assert loss.logit_scale.exp().item() == pytest.approx(1 / 0.07, rel=1e-6)
    with torch.no_grad():
        loss.logit_scale.fill_(6.0)
    loss.train()(MAP, torch.randn(1, 3, 3), CENTRES, torch.ones(1, 3)).backward()
    assert loss.logit_scale.exp().item() == pytest.approx(100, rel=1e-6)
    assert loss.logit_scale.grad != 0  # it can come down again


def test_same_loss_under_autocast():
    loss, prompts = FeatureContrastiveLoss(loss_weight=1.0), torch.randn(1, 3, 3)
    expected = loss(MAP, prompts, CENTRES, torch.ones(1, 3))
    with torch.autocast('cpu', torch.bfloat16):
        torch.testing.assert_close(loss(MAP, prompts, CENTRES, torch.ones(1, 3)), expected)
