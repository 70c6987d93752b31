"""Where crops are cut and what their annotations become; the files: tests/test_tools/test_build_crops.py"""

import numpy as np
import pytest
from mmpose.registry import TRANSFORMS
from mmpose.structures.bbox import get_warp_matrix

from clamp.datasets.crops import Augmentation, Crop, crop_annotation

LOAD, BOX, AFFINE = dict(type='LoadTrainImage'), dict(type='GetBBoxCenterScale'), dict(type='FastTopdownAffine')
PLAIN = [LOAD, BOX, dict(AFFINE, input_size=(64, 64))]
FULL = [
    LOAD,
    BOX,
    dict(type='RandomFlip', direction='horizontal'),
    dict(type='RandomHalfBody', prob=1.0),
    dict(type='FastRandomBBoxTransform', shift_prob=1.0, rotate_prob=1.0),
    dict(AFFINE, input_size=(64, 48)),
    dict(type='PackKeypointInputs'),
]


def animal(box, num_keypoints: int = 12, num_labelled: int | None = None) -> dict:
    """An animal in a box x1, y1, x2, y2: the first half of the keypoints are its upper body, in the left of the box."""
    rng = np.random.default_rng(0)
    low, high = np.array(box, np.float32).reshape(2, 2)
    at = rng.random((num_keypoints, 2)) * (0.4, 1)
    at[num_keypoints // 2 :, 0] += 0.6
    visible = (np.arange(num_keypoints) < (num_labelled or num_keypoints)).astype(np.float32)
    return dict(
        bbox=np.array([box], np.float32),
        keypoints=(low + at * (high - low))[None].astype(np.float32),
        keypoints_visible=visible[None],
        upper_body_ids=list(range(num_keypoints // 2)),
        lower_body_ids=list(range(num_keypoints // 2, num_keypoints)),
        flip_indices=list(range(num_keypoints)),
    )


def test_options_are_read_off_the_pipeline():
    augmentation = Augmentation.from_pipeline(FULL)
    assert (augmentation.padding, augmentation.shift_factor, augmentation.rotate_factor) == (1.25, 0.16, 80)
    assert (augmentation.input_size, augmentation.scale_factor) == ((64, 48), (0.5, 1.5))
    assert augmentation.half_body.padding == 1.5
    sometimes = dict(type='RandomBBoxTransform', scale_prob=0.5, scale_factor=(1.2, 1.5))
    assert Augmentation.from_pipeline([*PLAIN[:2], sometimes, PLAIN[2]]).scale_factor == (1.0, 1.5)


def test_a_transform_of_unknown_reach_is_refused():
    unknown = dict(type='BottomupRandomAffine', input_size=(64, 64))
    with pytest.raises(ValueError, match='BottomupRandomAffine'):
        Augmentation.from_pipeline([*PLAIN[:2], unknown, PLAIN[2]])
    with pytest.raises(ValueError, match='no TopdownAffine'):
        Augmentation.from_pipeline(PLAIN[:2])


def test_a_box_that_is_not_moved_by_hand():
    """Box 160 x 80 at (100, 100), padded to 200, is 200 x 200 for a square input: 80..280 and 40..240."""
    augmentation = Augmentation.from_pipeline(PLAIN)
    # 3.125 image pixels for one of the network; 79..281 and 39..241 with a pixel around
    expected = Crop(left=79, top=39, width=66, height=66, scale=0.32)
    assert augmentation.crop(animal((100, 100, 260, 180)), (1000, 1000)) == expected
    assert augmentation.crop(animal((100, 100, 260, 180)), (250, 150))[:4] == (79, 39, 56, 37)  # cut off by the image


def test_a_half_body_and_a_rotation_reach_further():
    few, all_ = animal((100, 100, 260, 180), num_labelled=8), animal((100, 100, 260, 180))
    augmentation = Augmentation.from_pipeline(FULL)
    assert len(augmentation.boxes(few)) == 1
    assert len(augmentation.boxes(all_)) == 3  # whole, upper, lower
    # padded to 200 x 100, so 200 x 150 for the input; turned by atan(150 / 200), 200 * 0.8 + 150 * 0.6 =
    # 250 across, in a view 1.5 times as wide, shifted by 0.16 * 200: 250 * 1.5 / 2 + 32 = 219.5 to each side
    assert augmentation.crop(few, (1000, 1000)).left == 0
    far = animal((400, 400, 560, 480), num_labelled=8)
    assert augmentation.crop(far, (1000, 1000)).left == 480 - 220 - 1


def test_the_halves_of_a_mirrored_body_are_the_mirrored_ones():
    sample = animal((100, 100, 260, 180)) | dict(flip_indices=[*range(5), 6, 5, *range(7, 12)])  # 5 is upper, 6 lower
    augmentation = Augmentation.from_pipeline(FULL)
    boxes = augmentation.boxes(sample)
    assert len(boxes) == 5
    of = augmentation.half_body._get_half_body_bbox
    for ids in ([0, 1, 2, 3, 4, 5], [0, 1, 2, 3, 4, 6], [6, 7, 8, 9, 10, 11], [5, 7, 8, 9, 10, 11]):
        expected = of(sample['keypoints'][0], ids)
        assert any(np.array_equal(expected[0], c) and np.array_equal(expected[1], s) for c, s in boxes)
    assert len(Augmentation.from_pipeline([step for step in FULL if step['type'] != 'RandomFlip']).boxes(sample)) == 3


@pytest.mark.parametrize('flip_indices', [None, [*range(5), 6, 5, *range(7, 12)]])
def test_all_that_training_sees_is_in_the_crop_with_its_pixels(flip_indices):
    rng, image_size = np.random.default_rng(0), np.array([300, 220])
    augmentation, pipeline = Augmentation.from_pipeline(FULL), [TRANSFORMS.build(step) for step in FULL[1:5]]
    for _ in range(150):
        low = rng.random(2) * 180
        sample = animal([*low, *np.minimum(low + 5 + rng.random(2) * 150, image_size - 1)])
        sample['flip_indices'] = flip_indices or sample['flip_indices']
        left, top, width, height, scale = augmentation.crop(sample, tuple(image_size))
        sample.update(img=np.zeros((220, 300, 3), np.uint8), img_shape=(220, 300))
        for transform in pipeline:
            sample = transform(sample)
        if sample['flip']:
            left = 299 - left - (width - 1) / scale
        fixed = (sample['bbox_scale'][0] / (64, 48)).max() * np.array([64, 48])
        inverse = get_warp_matrix(sample['bbox_center'][0], fixed, sample['bbox_rotation'][0], (64, 48), inv=True)
        corners = np.array([[0, 0, 1], [0, 47, 1], [63, 0, 1], [63, 47, 1]]) @ inverse.T
        seen = np.clip(corners, 0, image_size - 1)
        assert (seen >= np.array([left, top]) - 1e-3).all()
        assert (seen <= np.array([left + (width - 1) / scale, top + (height - 1) / scale]) + 1e-3).all()
        assert fixed[0] / 64 * scale >= min(1, fixed[0] / 64) - 1e-6  # a network pixel is at least a crop pixel


def test_cut_is_a_copy_or_bilinear():
    y, x = np.mgrid[:50, :60]
    image = np.dstack([2 * x, 3 * y, x + y]).astype(np.uint8)
    np.testing.assert_array_equal(Crop(10, 20, 30, 25, 1.0).cut(image), image[20:45, 10:40])
    half = Crop(10, 20, 15, 12, 0.5).cut(image)
    np.testing.assert_array_equal(half, image[20:44:2, 10:40:2])


def test_annotation_by_hand():
    raw = dict(id=7, image_id=3, category_id=5, num_keypoints=1, area=100.0, iscrowd=0, segmentation=[[1, 2, 3]])
    raw |= dict(bbox=[-10, 20, 60, 40], keypoints=[30, 40, 2, 0, 0, 0])
    sample = dict(id=7, bbox=np.array([[0, 20, 50, 60]], np.float32), raw_ann_info=raw)  # clipped to the image
    image, annotation = crop_annotation(sample, Crop(0, 20, 30, 20, 0.5), '7.bmp')
    assert image == dict(id=7, file_name='7.bmp', width=30, height=20, source_id=3)
    assert annotation == dict(
        id=7,
        image_id=7,
        category_id=5,
        num_keypoints=1,
        area=25.0,
        iscrowd=0,
        bbox=[0, 0, 25, 20],
        keypoints=[15, 10, 2, 0, 0, 0],
    )
