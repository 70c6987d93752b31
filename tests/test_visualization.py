"""Facts of the pictures, worked out by hand, and the hook on a runner of its own."""

from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from matplotlib.colors import Normalize
from mmengine.structures import InstanceData
from mmengine.visualization import Visualizer
from mmpose.registry import DATASETS, MODELS
from mmpose.structures import PoseDataSample

from clamp.models.clamp_head import keypoint_fractions
from clamp.visualization import SIDE_COLOURS, crop_animal, draw_names, draw_pose, keypoint_sides
from clamp.visualization.figures import overlay_score_map, plot_poses, plot_similarity, save_figure
from clamp.visualization.hook import ScoreMapHook
from clamp.visualization.identity import COLOURS, draw_identity
from clamp.visualization.prompts import mean_similarity, view_prompts
from tests.tiny_models import NAMES, tiny_clip, tiny_head

METAINFO = dict(
    num_keypoints=4,
    keypoint_id2name={0: 'L_Eye', 1: 'R_Eye', 2: 'Nose', 3: 'Tail'},
    flip_indices=[1, 0, 2, 3],
    skeleton_links=[(0, 2), (1, 2), (2, 3)],
)
POINTS = np.array([[10, 10], [50, 10], [30, 30], [30, 55]])


@pytest.mark.parametrize('names', [('L_Eye', 'R_Eye'), ('left_eye', 'right_eye'), ('eye left', 'eye right')])
def test_sides_follow_from_pairs_and_names(names):
    metainfo = METAINFO | dict(keypoint_id2name=dict(enumerate([*names, 'Nose', 'Collar'])))
    assert keypoint_sides(metainfo) == ['left', 'right', 'middle', 'middle']


def test_ap10k_and_animalpose_know_their_sides():
    from mmpose.datasets.datasets.utils import parse_pose_metainfo

    for name, number in (('AP10KDataset', 7), ('AnimalPoseDataset', 8)):
        metainfo = parse_pose_metainfo(dict(DATASETS.get(name).METAINFO))
        sides = keypoint_sides(metainfo)
        assert [sides[index] for index in metainfo['flip_indices']] == [
            {'left': 'right', 'right': 'left', 'middle': 'middle'}[side] for side in sides
        ]
        lefts = [metainfo['keypoint_id2name'][index] for index, side in enumerate(sides) if side == 'left']
        assert len(lefts) == number
        assert all(left.startswith('L_') for left in lefts)


def test_an_identity_is_a_box_a_number_and_the_way_it_came():
    image = np.full((64, 64, 3), 100, np.uint8)
    drawn = draw_identity(image, np.array([20, 20, 10, 30]), 7, [np.array([5, 60]), np.array([15, 60])])
    assert (image == 100).all()
    colour = COLOURS[2]  # the sixth is the first again
    assert {tuple(drawn[y, x]) for x, y in ((20, 50), (30, 50), (25, 50), (20, 40), (30, 40))} == {colour}
    np.testing.assert_allclose(drawn[60, 10], colour, atol=15)  # between the two places, its edges smooth
    assert tuple(drawn[40, 25]) == (100, 100, 100)  # inside of the box
    assert (drawn[8:20, 20:30] == 0).all(-1).any()  # the number, black, above the box
    assert (draw_identity(image, np.array([20, 20, 10, 30]), 7)[55:] == 100).all()


def test_a_pose_is_drawn_where_and_as_it_is():
    image = np.full((64, 64, 3), 100, np.uint8)
    drawn = draw_pose(image, POINTS, METAINFO, visible=[True, True, True, False])
    assert (image == 100).all()
    assert [tuple(drawn[y, x]) for x, y in POINTS[:3]] == [SIDE_COLOURS[side] for side in ('left', 'right', 'middle')]
    assert tuple(drawn[20, 20]) == SIDE_COLOURS['left']  # on the line from the left eye to the nose
    assert tuple(drawn[20, 40]) == SIDE_COLOURS['right']
    assert (drawn[40:] == 100).all()  # the tail is not visible: neither a point nor a line
    assert (draw_pose(image, POINTS * np.nan, METAINFO) == 100).all()


def test_a_side_without_its_partner_has_its_colour():
    names = ['left hock', 'hoof', 'R_Paw']
    metainfo = dict(num_keypoints=3, flip_indices=[0, 1, 2], keypoint_id2name=dict(enumerate(names)))
    assert keypoint_sides(metainfo) == ['left', 'middle', 'right']


def test_scores_are_opacities():
    image = np.full((64, 64, 3), 100, np.uint8)
    drawn = draw_pose(image, POINTS, METAINFO, scores=np.array([0.5, 0, 1, 7]))
    assert drawn[10, 10] == pytest.approx(100 + 0.7 * (np.array(SIDE_COLOURS['left']) - 100), abs=1)
    assert drawn[10, 50] == pytest.approx(100 + 0.4 * (np.array(SIDE_COLOURS['right']) - 100), abs=1)
    assert drawn[55, 30] == pytest.approx(100 + (np.array(SIDE_COLOURS['middle']) - 100), abs=1)


def test_a_white_line_on_white_has_a_black_edge():
    drawn = draw_pose(np.full((64, 64, 3), 255, np.uint8), POINTS, METAINFO)
    across = drawn[43, 20:41].mean(1)  # the line from the nose to the tail is at column 30
    assert across[10] == 240
    assert across.min() < 60
    assert (across[[0, -1]] == 255).all()


def test_names_are_beside_their_keypoints():
    image = np.full((64, 200, 3), 100, np.uint8)
    drawn = draw_names(image, np.array([[20.0, 30.0]]), ['nose'])
    changed = np.argwhere((drawn != 100).any(2))
    assert (image == 100).all()
    assert 20 < changed[:, 1].min() < 30
    assert changed[:, 0].min() > 15
    assert changed[:, 0].max() < 45


def test_the_overlay_is_half_pixel_aligned_and_keeps_the_order():
    grey = np.full((8, 8, 3), 90, np.uint8)
    drawn = overlay_score_map(grey, np.array([[-1.0, -1.0], [-1.0, 1.0]], np.float32), Normalize(-1, 1))
    purple, yellow = (np.array(colour) * 0.65 + 0.35 * 90 for colour in ((68, 1, 84), (253, 231, 37)))  # viridis' ends
    assert drawn[0, 0] == pytest.approx(purple, abs=1)
    assert drawn[7, 7] == pytest.approx(yellow, abs=1)
    assert (np.diff(drawn[7, :, 0].astype(int))[-3:] >= 0).all()


def test_a_heatmaps_cell_is_its_first_pixel():
    heatmap = np.zeros((4, 4), np.float32)
    heatmap[1, 2] = 1
    drawn = overlay_score_map(np.zeros((24, 24, 3), np.uint8), heatmap, Normalize(0, 1), is_heatmap=True)
    assert np.unravel_index(drawn[..., 0].argmax(), (24, 24)) == (6, 12)


def test_means_are_over_labelled_pairs():
    nan = np.nan
    similarity = np.array([[[0.2, nan], [nan, nan]], [[0.4, 0.1], [nan, nan]]])
    assert mean_similarity(similarity) == pytest.approx(np.array([[0.3, 0.1], [nan, nan]]), nan_ok=True)


def make_sample(path: str, visible: list[float]) -> PoseDataSample:
    """A square animal of 64 pixels, centred at (60, 50), whose crop is the network's input of 32 pixels."""
    sample = PoseDataSample(
        gt_instances=InstanceData(
            keypoints=np.array([[[30.0, 20.0], [59.0, 49.0], [90.0, 80.0]]], np.float32),
            keypoints_visible=np.array([visible], np.float32),
        )
    )
    sample.set_metainfo(
        dict(
            img_path=path, input_size=(32, 32), input_center=np.array([60.0, 50.0]), input_scale=np.array([64.0, 64.0])
        )
    )
    return sample


@pytest.fixture
def model() -> torch.nn.Module:
    """A tiny CLAMP whose image input is 32 pixels wide."""
    config = dict(
        type='TopdownPoseEstimator',
        data_preprocessor=dict(type='PoseDataPreprocessor', mean=[0, 0, 0], std=[255, 255, 255]),
        backbone=dict(type='CLIPBackbone', clip=tiny_clip(), input_size=(32, 32)),
        head=tiny_head(),
    )
    return MODELS.build(config).eval()


@pytest.fixture
def batch(tmp_path) -> dict:
    path = str(tmp_path / 'animal.png')
    cv2.imwrite(path, np.random.default_rng(0).integers(0, 255, (100, 120, 3), np.uint8))
    samples = [make_sample(path, [1, 1, 0]), make_sample(path, [1, 1, 1])]
    return dict(inputs=list(torch.rand(2, 3, 32, 32) * 255), data_samples=samples)


def test_crops_show_what_the_network_sees(batch):
    crop, matrix = crop_animal(batch['data_samples'][0], 128)
    assert crop.shape == (128, 128, 3)
    corners = np.array([[[28.0, 18.0], [60.0, 50.0]]])  # upper left corner and centre of the 64 pixels
    assert cv2.transform(corners, matrix)[0] == pytest.approx(np.array([[0, 0], [64, 64]]), abs=1e-4)
    image = cv2.imread(batch['data_samples'][0].img_path)
    assert crop[40, 20].tolist() == image[38, 38, ::-1].tolist()
    open(batch['data_samples'][0].img_path, 'wb').close()
    with pytest.raises(ValueError, match=r'animal\.png cannot be read as an image'):
        crop_animal(batch['data_samples'][0], 128)


def test_similarity_is_that_of_the_contrastive_loss(model, batch):
    score_map, similarity = view_prompts(model, batch)
    assert score_map.shape == (2, 3, 4, 4)
    assert np.isnan(similarity[0]).tolist() == [[False, False, True], [False, False, True], [True, True, True]]

    for sample in batch['data_samples']:  # the loss reads keypoints in pixels of the input: half of the image's here
        sample.gt_instances.transformed_keypoints = (sample.gt_instances.keypoints - [28, 18]) / 2
    with torch.no_grad():
        feats = model.extract_feat(model.data_preprocessor(batch, False)['inputs'])
        prompts = model.head.prompt_learner(*feats[:2])
        loss = model.head.feature_loss
        points, weights = keypoint_fractions(batch['data_samples']), torch.tensor([[0.0, 0, 0], [1, 1, 1]])
        expected = loss(feats[1], prompts, points, weights)
    logits = loss.logit_scale.exp() * torch.from_numpy(similarity[1])
    targets = torch.arange(3)
    own = loss.loss_weight * 0.5 * (F.cross_entropy(logits, targets) + F.cross_entropy(logits.T, targets))
    assert own.item() == pytest.approx(expected.item(), rel=1e-5)


def test_names_asked_for_are_those_of_the_test_set(model, batch):
    """Their order and number are the test set's, not those that the model was trained on."""
    model.head = MODELS.build(tiny_head(type='AskedCLAMPHead', test_names=[NAMES[2], 'hoof', NAMES[0]])).eval()
    score_map, similarity = view_prompts(model, batch)
    with torch.no_grad():
        feats = model.extract_feat(model.data_preprocessor(batch, False)['inputs'])
        own = model.head.compute_score_map(feats)[0].numpy()
    assert score_map[:, [2, 0]] == pytest.approx(own[:, [0, 2]], abs=1e-6)
    assert similarity.shape == (2, 3, 3)
    with pytest.raises(ValueError, match='of the names trained on alone'):
        view_prompts(model, batch, learned_upsample=True)


def test_the_learned_upsampling_is_that_of_the_spatial_loss(model, batch):
    score_map, _ = view_prompts(model, batch)
    upsampled, _ = view_prompts(model, batch, learned_upsample=True)
    with torch.no_grad():
        expected = model.head.upsample((torch.from_numpy(score_map),)).numpy()
    assert upsampled == pytest.approx(expected, abs=1e-6)
    model.head.upsample = None
    with pytest.raises(ValueError, match='bilinear'):
        view_prompts(model, batch, learned_upsample=True)


def test_figures_have_a_column_s_width_and_keep_text(tmp_path):
    matrix = np.array([[0.5, np.nan, 0.1], [np.nan] * 3, [0.0, np.nan, 0.4]])
    assert plot_similarity(dict(one=matrix), NAMES).get_figwidth() == 3.25
    figure = plot_similarity(dict(before=matrix, after=matrix), NAMES)
    assert figure.get_figwidth() == 6.9
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ['not labelled']
    save_figure(figure, str(tmp_path / 'figure.svg'))
    svg = (tmp_path / 'figure.svg').read_text()
    assert all(f'>{text}<' in svg for text in (*NAMES, 'before', 'after', 'not labelled'))
    save_figure(figure, str(tmp_path / 'figure.pdf'))
    assert b'/Type3' not in (tmp_path / 'figure.pdf').read_bytes().replace(b' ', b'')


def test_more_poses_than_columns_go_into_a_further_block():
    images = [np.full((4, 4, 3), number, np.uint8) for number in range(3)]
    figure = plot_poses(dict(ours=images, true=images), dict(ours=['a', 'b', 'c']), columns=2)
    shown = [(axis.images[0].get_array()[0, 0, 0], axis.get_xlabel()) for axis in figure.axes if axis.images]
    assert shown == [(0, 'a'), (1, 'b'), (0, ''), (1, ''), (2, 'c'), (2, '')]


def test_the_hook_adds_pictures_of_animals_spread_over_the_set(model, batch, tmp_path):
    dataset = [dict(inputs=image, data_samples=sample) for image, sample in zip(*batch.values())] * 3
    visualizer = Visualizer(vis_backends=[dict(type='LocalVisBackend')], save_dir=str(tmp_path))
    runner = SimpleNamespace(
        model=model, val_dataloader=SimpleNamespace(dataset=dataset), visualizer=visualizer, epoch=3
    )
    hook = ScoreMapHook(number=2)
    hook.before_train(runner)
    hook.after_val_epoch(runner)
    folder = tmp_path / 'vis_data/vis_image'
    names = ['score_maps_0_3.png', 'score_maps_5_3.png', 'similarity_3.png']
    assert sorted(path.name for path in folder.iterdir()) == names
    assert all(cv2.imread(str(folder / name)).std() > 10 for name in names)


def test_the_hook_refuses_a_model_without_prompts():
    head = MODELS.build(dict(type='HeatmapHead', in_channels=8, out_channels=3))
    with pytest.raises(ValueError, match='has no prompts'):
        ScoreMapHook().before_train(SimpleNamespace(model=SimpleNamespace(head=head)))


def test_a_dollar_sign_is_no_formula(tmp_path):
    figure = plot_similarity({'$x': np.eye(2)}, ['a$_b', r'$\no$'])
    save_figure(figure, tmp_path / 'similarity.svg', 30)
    assert r'$\no$' in (tmp_path / 'similarity.svg').read_text()
