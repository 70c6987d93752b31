"""What several data sets in one batch lose is what each loses alone: nobody pays for what another one labels."""

import pytest
import torch
from mmpose.registry import MODELS

from tests.tiny_models import NAMES, D, tiny_head

K, SIZE = len(NAMES), 8
PARTS = dict(mice=([0, 1], 2), rats=([1, 2], 3))  # the names that each data set has, and its animals in the batch


def features(number: int) -> tuple[torch.Tensor, ...]:
    torch.manual_seed(1)
    shapes = (number, D), (number, D, 4, 4), (number, 32, 4, 4)
    return tuple(torch.randn(shape).requires_grad_() for shape in shapes)


def targets() -> tuple[torch.Tensor, ...]:
    """Heatmaps, weights as PackKeypointInputs leaves them, and places; where a data set has no such name, anything."""
    number = sum(count for _, count in PARTS.values())
    torch.manual_seed(2)
    heatmaps, keypoints = torch.rand(number, K, SIZE, SIZE), torch.rand(number, K, 2)
    weights, start = torch.zeros(number, K), 0
    for places, count in PARTS.values():
        labelled = (torch.rand(count, len(places)) < 0.8).float()
        labelled[0] = 1
        weights[start : start + count, places] = labelled * K / len(places)
        start += count
    return heatmaps, weights, keypoints


def compare(losses: dict, alone: list[tuple[dict, int, int]], inputs: list[torch.Tensor]) -> None:
    """Compare losses of a batch, and their gradients, with those of its parts: by animals, or by labelled points."""
    animals, points = (sum(numbers) for numbers in list(zip(*alone))[1:])
    for name, loss in losses.items():
        shares = [n / points if name == 'loss_feature' else m / animals for _, m, n in alone]
        expected = sum(share * part[name] for share, (part, *_) in zip(shares, alone))
        torch.testing.assert_close(loss, expected)
        got, wanted = (
            torch.autograd.grad(each, inputs, retain_graph=True, allow_unused=True) for each in (loss, expected)
        )
        assert any(each is not None and each.abs().max() > 0 for each in got)
        for ours, theirs in zip(got, wanted):
            assert (ours is None) == (theirs is None)
            if ours is not None:
                torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=1e-4)


def slices() -> list[tuple[slice, list[int]]]:
    rows, start = [], 0
    for places, count in PARTS.values():
        rows.append((slice(start, start + count), places))
        start += count
    return rows


@pytest.mark.parametrize('kind', ['CLAMPHead', 'OpenVocabularyHead'])
def test_a_batch_of_several_data_sets_loses_what_they_lose_alone(kind):
    """With the same K names. Batch normalisation, which sees a whole batch, stands still."""
    head = MODELS.build(tiny_head(type=kind)).eval()
    feats, (heatmaps, weights, keypoints) = features(5), targets()
    losses = head.compute_losses(feats, heatmaps, weights, keypoints)
    assert set(losses) == {'loss_kpt', 'loss_spatial', 'loss_feature'}
    alone = [
        (
            head.compute_losses(tuple(f[rows] for f in feats), heatmaps[rows], weights[rows], keypoints[rows]),
            rows.stop - rows.start,
            int((weights[rows] > 0).sum()),
        )
        for rows, _ in slices()
    ]
    compare(losses, alone, [*feats, *(p for p in head.parameters() if p.requires_grad)])


def test_a_data_set_loses_what_it_would_if_there_were_no_other_names():
    """Asked for its own names alone, with weights of 1: the union's K and the others' labels make no difference."""
    head = MODELS.build(tiny_head(type='OpenVocabularyHead')).eval()
    feats, (heatmaps, weights, keypoints) = features(5), targets()
    losses = head.compute_losses(feats, heatmaps, weights, keypoints)
    alone = []
    for rows, places in slices():
        own = (weights[rows][:, places] > 0).float()
        names = [NAMES[place] for place in places]
        part = tuple(f[rows] for f in feats), heatmaps[rows][:, places], own, keypoints[rows][:, places]
        alone.append((head.compute_losses(*part, names), rows.stop - rows.start, int(own.sum())))
    compare(losses, alone, [*feats, *(p for p in head.parameters() if p.requires_grad)])


@pytest.mark.parametrize('kind', ['CLAMPHead', 'OpenVocabularyHead'])
def test_what_a_data_set_does_not_label_takes_no_part(kind):
    head = MODELS.build(tiny_head(type=kind)).eval()
    feats, (heatmaps, weights, keypoints) = features(5), targets()
    losses = head.compute_losses(feats, heatmaps, weights, keypoints)
    unlabelled = weights == 0
    heatmaps = torch.where(unlabelled[..., None, None], 0.5 * heatmaps, heatmaps)
    keypoints = torch.where(unlabelled[..., None], keypoints + 3, keypoints)
    for name, loss in head.compute_losses(feats, heatmaps, weights, keypoints).items():
        assert loss == losses[name]
