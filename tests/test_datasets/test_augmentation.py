import cv2
import numpy as np
import pytest
from mmpose.registry import TRANSFORMS

BOX = dict(type='RandomBBoxTransform', shift_prob=1.0, rotate_prob=1.0)


def animal() -> dict:
    """One animal in a smooth image."""
    rng = np.random.default_rng(1)
    noise = rng.integers(0, 255, (10, 15, 3), np.uint8)
    return dict(
        img=cv2.resize(noise, (90, 60), interpolation=cv2.INTER_CUBIC),
        img_shape=(60, 90),
        flip_indices=[1, 0, 2],
        bbox=np.array([[10.0, 5, 70, 50]], np.float32),
        bbox_center=np.array([[40.0, 27.5]], np.float32),
        bbox_scale=np.array([[75.0, 56.25]], np.float32),
        keypoints=(rng.random((1, 3, 2)) * 50).astype(np.float32),
        keypoints_visible=np.array([[1.0, 0, 1]]),
    )


def run(seed: int, *pipeline: dict) -> dict:
    """The animal after some transforms, with the random numbers of a seed, and the number that follows them."""
    np.random.seed(seed)  # noqa: NPY002
    sample = animal()
    for config in pipeline:
        sample = TRANSFORMS.build(config)(sample)
    return sample | dict(next_number=np.random.rand())  # noqa: NPY002


def assert_same(ours: dict, theirs: dict) -> None:
    assert ours.keys() == theirs.keys()
    for key in theirs:
        np.testing.assert_array_equal(ours[key], theirs[key], err_msg=key)


@pytest.mark.parametrize('options', [{}, dict(shift_prob=1.0, scale_prob=0.5, scale_factor=(0.8, 1.25))])
def test_boxes_are_moved_as_mmpose_does(options):
    for seed in range(12):
        ours, theirs = (run(seed, dict(BOX, **options, type=f'{fast}{BOX["type"]}')) for fast in ('Fast', ''))
        assert_same(ours, theirs)


def test_normal_numbers_are_cut_off():
    np.random.seed(0)  # noqa: NPY002
    numbers = TRANSFORMS.build(dict(BOX, type='FastRandomBBoxTransform'))._truncnorm(size=(20000,))
    assert -1 < numbers.min() < -0.99 < 0.99 < numbers.max() < 1
    # of a standard normal between -1 and 1: sd 0.5397, and P(|x| < 0.5) = 0.3829 / 0.6827
    assert numbers.std() == pytest.approx(0.5397, abs=0.01)
    assert (abs(numbers) < 0.5).mean() == pytest.approx(0.5609, abs=0.015)


@pytest.mark.parametrize('flip', [None, 'horizontal', 'vertical', 'diagonal'])
@pytest.mark.parametrize('use_udp', [False, True])
def test_animals_are_cut_out_as_mmpose_does(flip, use_udp):
    before = [dict(type='RandomFlip', direction=flip, prob=1.0)] if flip else []
    for seed in range(6):
        affine = dict(input_size=(64, 48), use_udp=use_udp)
        ours = run(seed, *before, BOX, dict(affine, type='FastTopdownAffine'))
        theirs = run(seed, *before, BOX, dict(affine, type='TopdownAffine'))
        images = [np.int16(sample.pop('img')) for sample in (ours, theirs)]
        assert images[0].shape == (48, 64, 3)
        assert images[1].std() > 20  # there is something to see
        assert abs(images[0] - images[1]).max() <= (1 if flip in ('horizontal', 'diagonal') else 0)
        assert_same(ours, theirs)


def test_a_box_without_rotation():
    affine = dict(input_size=(32, 32))
    assert_same(run(0, dict(affine, type='FastTopdownAffine')), run(0, dict(affine, type='TopdownAffine')))
