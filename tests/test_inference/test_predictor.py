import json
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import PIL.Image
import pytest
import torch
from mmengine.dataset import pseudo_collate
from mmpose.registry import DATASETS

from clamp.checks import read_config
from clamp.datasets.synthetic import generate_dataset
from clamp.inference import Pose, PosePredictor, ScoreMap, cells_to_image, check_boxes, check_image, clip_box
from clamp.onnx.estimator import ONNXHead
from tests.repository import DEMO
from tests.tiny_models import save_checkpoint

BASELINE = DEMO.replace('clamp_tiny', 'simplebaseline_tiny')


@pytest.fixture(scope='module')
def root(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp('data')
    generate_dataset(root, 1, 2)
    return root


@pytest.fixture(scope='module')
def predictor(root) -> PosePredictor:
    options = {'test_dataloader.dataset.data_root': f'{root}/'}
    return PosePredictor(DEMO, save_checkpoint(DEMO, root / 'clamp.pth'), 'cpu', options)


def val_images(root: Path) -> tuple[list[str], list[list]]:
    coco = json.loads((root / 'annotations/ap10k-val-split1.json').read_text())
    paths = [str(root / 'data' / image['file_name']) for image in coco['images']]
    animals = coco['annotations']
    return paths, [[one['bbox'] for one in animals if one['image_id'] == image['id']] for image in coco['images']]


def test_poses_are_those_of_a_test_on_the_data_set(predictor, root):
    paths, boxes = val_images(root)
    poses = predictor(paths, boxes, batch_size=2)
    dataset = DATASETS.build(predictor.cfg.test_dataloader.dataset)
    expected = predictor.model.test_step(pseudo_collate(list(dataset)))
    flat = [pose for found in poses for pose in found]
    assert [len(found) for found in poses] == [len(found) for found in boxes]
    assert len(flat) == len(expected) > 0
    for pose, sample in zip(flat, expected):
        np.testing.assert_allclose(pose.keypoints, sample.pred_instances.keypoints[0], atol=1e-3)
        np.testing.assert_allclose(pose.scores, sample.pred_instances.keypoint_scores[0], atol=1e-5)


def test_any_names_in_the_place_of_the_models_own(root, predictor):
    config = DEMO.replace('clamp_tiny', 'openvocab_tiny')
    options = {'test_dataloader.dataset.data_root': f'{root}/'}
    named = PosePredictor(config, save_checkpoint(config, root / 'openvocab.pth'), 'cpu', options)
    paths, _ = val_images(root)
    [[own]] = named(paths[:1])
    assert own.keypoints.shape == (17, 2)
    named.set_keypoint_names(['hoof', 'left eye', 'right hock', 'hoof'])
    [[pose]] = named(paths[:1])
    assert pose.keypoints.shape == (4, 2)
    place = named.model.head.prompt_learner.keypoint_names.index('left eye')
    np.testing.assert_allclose(pose.keypoints[1], own.keypoints[place], atol=1e-3)  # whatever is asked for beside it
    np.testing.assert_array_equal(pose.keypoints[0], pose.keypoints[3])
    assert named.keypoint_names == ['hoof', 'left eye', 'right hock', 'hoof']
    assert len(named.metainfo['skeleton_links']) == 0
    with pytest.raises(ValueError, match='at least one name'):
        named.set_keypoint_names([])
    assert len(named.keypoint_names) == 4
    named.set_keypoint_names(tuple(named.model.head.prompt_learner.keypoint_names))
    assert len(named.metainfo['skeleton_links']) > 0
    with pytest.raises(ValueError, match='CLAMPHead predicts its own keypoints alone'):
        predictor.set_keypoint_names(['hoof'])


def test_names_in_a_language_without_left_and_right_keep_the_pairs_of_the_data_set(root):
    """The flip test asks the mirror image for the other eye, whatever is asked for beside it and in which order."""
    cfg = read_config(DEMO.replace('clamp_tiny', 'openvocab_tiny'))
    spanish = {'left': 'izquierdo', 'right': 'derecho'}
    names = [' '.join(spanish.get(word, word) for word in name.split()) for name in cfg.keypoint_names]
    cfg.model.head.prompt_learner.keypoint_names = names
    predictor = PosePredictor(cfg, save_checkpoint(cfg, root / 'spanish.pth'), 'cpu')
    image = np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8)
    [[own]] = predictor([image])
    for asked in (['izquierdo eye'], ['derecho eye', 'izquierdo eye'], names[::-1], ['Izquierdo_Eye', 'hoof']):
        predictor.set_keypoint_names(asked)
        [[pose]] = predictor([image])
        place = [name.lower().replace('_', ' ') for name in asked].index('izquierdo eye')
        np.testing.assert_allclose(pose.keypoints[place], own.keypoints[names.index('izquierdo eye')], atol=1e-3)
    predictor.set_keypoint_names(['derecho eye', 'nose', 'izquierdo eye'])
    assert predictor.metainfo['flip_indices'] == [2, 1, 0]


def test_arrays_are_rgb_and_no_box_is_the_whole_image(predictor, root):
    paths, _ = val_images(root)
    image = cv2.imread(paths[0])[..., ::-1]
    height, width = image.shape[:2]
    [[by_path]] = predictor(paths[:1])
    [[by_array]] = predictor([image], [[[0, 0, width, height]]])
    np.testing.assert_array_equal(by_array.keypoints, by_path.keypoints)
    assert by_path.box.tolist() == [0, 0, width, height]
    assert predictor([image], [[]]) == [[]]


def test_names_and_metainfo(predictor, root):
    assert predictor.keypoint_names[:3] == ['left eye', 'right eye', 'nose']
    assert predictor.metainfo['flip_indices'][:3] == [1, 0, 2]
    baseline = PosePredictor(BASELINE, save_checkpoint(BASELINE, root / 'baseline.pth'), 'cpu')
    assert baseline.keypoint_names == predictor.keypoint_names
    with pytest.raises(ValueError, match='HeatmapHead has no prompts'):
        baseline.score_maps([np.zeros((8, 8, 3), np.uint8)])
    with pytest.raises(ValueError, match='of another model than the config'):
        PosePredictor(DEMO, str(root / 'baseline.pth'), 'cpu')


def test_score_maps_of_names_and_other_texts(predictor, root):
    paths, boxes = val_images(root)
    maps = predictor.score_maps(paths, boxes, batch_size=1)
    asked = predictor.score_maps(paths, boxes, ['nose', 'left ear tip'])
    assert maps[0][0].values.shape == (17, 4, 4)
    assert maps[0][0].texts[2] == asked[0][0].texts[0] == 'nose'
    np.testing.assert_allclose(asked[0][0].values[0], maps[0][0].values[2], atol=1e-5)
    assert np.abs(asked[0][0].values).max() <= 1
    for texts in ([], 'nose', ['nose ' * 80]):
        with pytest.raises(ValueError, match=r'nose|\[\]'):
            predictor.score_maps(paths, boxes, texts)


def test_cells_to_image_by_hand():
    # 128 x 128 pixels of input show 64 x 64 of the image, around (100, 50); 4 x 4 cells of 32 pixels of input each
    meta = dict(input_size=(128, 128), input_center=np.array([100.0, 50.0]), input_scale=np.array([64.0, 64.0]))
    affine = cells_to_image(meta, (4, 4))
    # the first cell spans pixels 0 to 31 of the input: its centre is at 15.5, in the image at 68 + 15.5 / 2
    np.testing.assert_allclose(affine @ [0, 0, 1], [75.75, 25.75])
    np.testing.assert_allclose(affine @ [1, 3, 1], [91.75, 73.75])


def score_map(values: np.ndarray) -> ScoreMap:
    """Of cells 10 pixels wide, the first one's centre at (14.5, 24.5), in a box around all of them."""
    box = np.array([10.0, 20.0, 10 * values.shape[2], 10 * values.shape[1]])
    return ScoreMap(box, ['a', 'b'], values.astype(np.float32), np.array([[10, 0, 14.5], [0, 10, 24.5]]))


def test_peaks_are_between_cells_and_in_the_box():
    values = np.zeros((2, 5, 6))
    values[0, 1, 4] = 1  # its centre is (54.5, 34.5)
    values[1, 2, 2] = values[1, 2, 3] = 1  # between (34.5, 44.5) and (44.5, 44.5)
    places = score_map(values).peaks()
    np.testing.assert_allclose(places, [[54.5, 34.5], [39.5, 44.5]], atol=0.9)
    narrow = ScoreMap(np.array([10, 20, 20, 50.0]), ['a', 'b'], values, score_map(values).to_image)
    assert (narrow.peaks()[:, 0] <= 30).all()


def test_score_maps_on_the_image():
    values = np.arange(60).reshape(2, 5, 6) / 60
    image = score_map(values).on_image(100, 80)
    assert image.shape == (2, 100, 80)
    inside = np.isfinite(image[0])
    assert inside[20:70, 10:70].all()
    assert inside.sum() == 50 * 60
    # (19.5, 34.5) is half way between the first two cells of the second row; the mean of the four pixels around it
    assert image[0, 34:36, 19:21].mean() == pytest.approx(6.5 / 60, abs=1e-3)
    half = score_map(values).on_image(50, 40, 0.5)  # each of its pixels is two by two of the image
    means = image.reshape(2, 50, 2, 40, 2).mean((2, 4))
    np.testing.assert_array_equal(np.isfinite(half), np.isfinite(means))
    np.testing.assert_allclose(half, means, atol=4e-3)


def test_score_of_a_pose_is_that_of_coco_metric():
    assert Pose(np.zeros(4), np.zeros((3, 2)), np.array([0.6, 0.1, 0.4])).score == pytest.approx(0.5)
    assert Pose(np.zeros(4), np.zeros((2, 2)), np.array([0.1, 0.2])).score == 0


def test_boxes_are_clipped_as_mmpose_does():
    assert clip_box(np.array([-5, 10, 20, 200]), 100, 60).tolist() == [0, 10, 15, 59]
    with pytest.raises(ValueError, match='outside the image of 100x60'):
        clip_box(np.array([100, 10, 20, 20]), 100, 60)
    for boxes in ([1, 2, 3, 4], [[1, 2, 3, 0]], [[1, 2, 3, float('nan')]], [[1, 2, 3]]):
        with pytest.raises(ValueError, match=r'Boxes should be \(N, 4\)'):
            check_boxes(boxes)
    assert check_boxes([]).shape == (0, 4)


@pytest.mark.parametrize('image', [np.zeros((4, 4)), np.zeros((4, 4, 3)), np.zeros((4, 4, 4), np.uint8)])
def test_other_arrays_are_refused(image):
    with pytest.raises(ValueError, match='uint8, RGB'):
        check_image(image)


def test_one_entry_of_boxes_for_each_image(predictor):
    with pytest.raises(ValueError, match='There are 1 images, but boxes of 2'):
        predictor([np.zeros((8, 8, 3), np.uint8)], [None, None])


def test_images_of_pillow_and_others(predictor):
    pixels = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    image = PIL.Image.fromarray(pixels)
    turned = PIL.Image.fromarray(np.rot90(pixels).copy())
    turned.getexif()[0x0112] = 6  # a quarter clockwise
    poses = [pose for [pose] in predictor([pixels, image, image.convert('RGBA'), turned])]
    for pose in poses[1:]:
        np.testing.assert_array_equal(pose.keypoints, poses[0].keypoints)
    assert len(predictor(one for one in (pixels, image))) == 2  # a generator, which can be looked at once
    with pytest.raises(ValueError, match="a path, an array or Pillow's, but is a Tensor"):
        predictor([torch.zeros(3, 40, 60)])


@pytest.mark.parametrize('one', ['x.jpg', Path('x.jpg'), np.zeros((4, 4, 3), np.uint8), PIL.Image.new('RGB', (4, 4))])
def test_one_image_is_no_list(predictor, one):
    with pytest.raises(ValueError, match=r'images should be a list: predictor\(\[image\]\)'):
        predictor(one)


def test_the_size_of_a_batch(predictor):
    with pytest.raises(ValueError, match='batch_size is 0'):
        predictor([np.zeros((4, 4, 3), np.uint8)], batch_size=0)


def test_an_exported_model_has_no_prompts_and_says_why(predictor, monkeypatch):
    monkeypatch.setattr(predictor, 'model', SimpleNamespace(head=ONNXHead.__new__(ONNXHead)))
    with pytest.raises(ValueError, match=r'In an exported model they are constants: give the checkpoint \(\.pth\)'):
        predictor.check_texts(['nose'])
