import pytest
import torch
from torch.utils.data import default_collate

from clamp.models import HeatmapDataPreprocessor, OpenVocabularyDataPreprocessor

NAMES = ['left ear', 'right ear', 'nose', 'tail']
CODEC = dict(type='MSRAHeatmap', input_size=(32, 32), heatmap_size=(8, 8), sigma=1)
# the tail is unlabelled in the first animal, and outside of the crop in the second
KEYPOINTS = torch.tensor(
    [[[4, 4], [12, 8], [20, 28], [0, 0]], [[0, 16], [16, 16], [24, 8], [90, 90]]], dtype=torch.float
)
WEIGHTS = torch.tensor([[1.0, 1, 1, 0], [1, 1, 1, 1]])


def prepare(cls=OpenVocabularyDataPreprocessor, **kwargs) -> tuple:
    """The names of a batch, its heatmaps (B, P, 8, 8), weights (B, P) and keypoints (B, P, 2)."""
    if cls is OpenVocabularyDataPreprocessor:
        kwargs = dict(keypoint_names=NAMES) | kwargs
    data = [
        dict(inputs=torch.zeros(3, 32, 32, dtype=torch.uint8), keypoints=points, keypoint_weights=weights)
        for points, weights in zip(KEYPOINTS, WEIGHTS)
    ]
    samples = cls(mean=[0] * 3, std=[1] * 3, codec=CODEC, **kwargs)(default_collate(data), True)['data_samples']
    return (
        samples[0].metainfo.get('keypoint_names'),
        torch.stack([sample.gt_fields.heatmaps for sample in samples]),
        torch.cat([sample.gt_instance_labels.keypoint_weights for sample in samples]),
        torch.cat([sample.gt_instances.transformed_keypoints for sample in samples]),
    )


def test_without_more_names_it_is_the_plain_one():
    names, *targets = prepare()
    assert names == NAMES
    torch.testing.assert_close(targets, list(prepare(HeatmapDataPreprocessor)[1:]))


def test_auxiliary_keypoints_by_hand():
    pairs = [('left ear', 'nose'), ('nose', 'tail')]
    names, heatmaps, weights, keypoints = prepare(auxiliary=dict(pairs=pairs))
    assert names[:4] == NAMES
    assert names[4:] == ['between the left ear and the nose', 'between the nose and the tail']
    assert keypoints[:, 4].tolist() == [[12, 16], [12, 12]]
    # no middle without both; the outside one's middle, (57, 49), is outside too
    assert weights.tolist() == [[1, 1, 1, 0, 1, 0], [1, 1, 1, 0, 1, 0]]
    assert heatmaps[0, 4].argmax() == 8 * 4 + 3  # x = 12 / 4, y = 16 / 4
    assert (heatmaps[:, 5] == 0).all()


def test_a_keypoint_is_no_word_for_what_is_not_there():
    with pytest.raises(ValueError, match=r'absent\.words has nose, which the animals have'):
        prepare(absent=dict(words=['wing', 'nose']))


def test_pairs_and_words_are_drawn_for_each_step():
    assert len(prepare(auxiliary={})[0]) == 4 + 6  # all pairs of four
    torch.manual_seed(1)
    drawn = [prepare(auxiliary=dict(number=2))[0][4:] for _ in range(20)]
    torch.manual_seed(1)
    assert [prepare(auxiliary=dict(number=2))[0][4:] for _ in range(20)] == drawn
    assert len({tuple(texts) for texts in drawn}) > 5
    assert {len(set(texts)) for texts in drawn} == {2}
    words = [prepare(absent=dict(words=['wing', 'fin', 'trunk'], number=1))[0][4:] for _ in range(20)]
    assert {tuple(texts) for texts in words} == {('wing',), ('fin',), ('trunk',)}


def test_what_is_not_there():
    """Its heatmap is zero and counts: outside of the crop, words, and, if the data set's labels say so, unlabelled."""
    names, heatmaps, weights, _ = prepare(absent=dict(words=['wing', 'fin', 'trunk'], number=2))
    assert names[:4] == NAMES
    assert set(names[4:]) < {'wing', 'fin', 'trunk'}
    assert weights.tolist() == [[1, 1, 1, 0, 1, 1], [1, 1, 1, 1, 1, 1]]
    assert (heatmaps[:, 3:] == 0).all()
    assert (heatmaps[:, :3].amax((-2, -1)) == 1).all()
    _, heatmaps, weights, _ = prepare(absent=dict(unlabelled=True), auxiliary=dict(pairs=[('nose', 'tail')]))
    # of the middle of an unlabelled one nothing is known; that of an outside one is outside
    assert weights.tolist() == [[1, 1, 1, 1, 0], [1, 1, 1, 1, 1]]
    assert (heatmaps[:, 3:] == 0).all()


@pytest.mark.parametrize(
    ('kwargs', 'message'),
    [
        (
            dict(auxiliary=dict(pairs=[('nose', 'hoof')])),
            r"\('nose', 'hoof'\); expected 'all', or pairs of two",
        ),
        (dict(auxiliary=dict(pairs=[('nose', 'nose')])), r"\('nose', 'nose'\)"),
        (dict(auxiliary=dict(number=7)), 'number=7 pairs cannot be drawn from 6'),
        (dict(auxiliary=dict(template='next to {}')), 'two places'),
        (dict(absent=dict(words=['wing'], number=2)), 'number=2 words cannot be drawn from 1'),
        (dict(absent=dict(words=['wing', ' '])), "' ' is no name"),
        (dict(keypoint_names=NAMES[:3]), 'There are 4 keypoints, but 3 names'),
        (dict(keypoint_names=[]), 'at least one name'),
    ],
)
def test_what_cannot_be_is_refused(kwargs, message):
    with pytest.raises(ValueError, match=message):
        prepare(**kwargs)
