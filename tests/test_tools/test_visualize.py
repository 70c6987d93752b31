"""The figures from the command line, on drawn animals and the demo's small models with random weights."""

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config

from clamp.datasets.synthetic import generate_dataset
from tests.repository import DEMO, ROOT, load_tool
from tests.tiny_models import random_clip, save_checkpoint
from tests.tiny_timm import tiny_timm_clip

SIMPLE_BASELINE = str(ROOT / 'configs/demo/simplebaseline_tiny.py')


@pytest.fixture(scope='module')
def folder(tmp_path_factory) -> Path:
    """A folder with drawn data where the demo has them, and checkpoints that can be read."""
    folder = tmp_path_factory.mktemp('demo')
    generate_dataset(folder / 'data/demo', 1, 4, num_workers=1)
    for name in ('clamp', 'simplebaseline'):
        torch.save(dict(state_dict={}, meta={}), folder / f'{name}.pth')
    return folder


@pytest.fixture
def weights(folder) -> None:
    """Random weights in the checkpoints."""
    for name, config in (('clamp', DEMO), ('simplebaseline', SIMPLE_BASELINE)):
        save_checkpoint(config, folder / f'{name}.pth')


@pytest.fixture
def visualize(folder, monkeypatch):
    monkeypatch.chdir(folder)
    return load_tool('visualize')


def error_of(tool, *args: str) -> str:
    with pytest.raises(SystemExit) as error:
        tool.main(list(args))
    message = str(error.value)
    assert message.startswith('error: ')
    return message


def test_errors_name_what_is_wrong_before_the_work(visualize, folder):
    clamp = [DEMO, 'clamp.pth', '--out', 'new.png']
    assert 'clamp_tiny.py cannot be read' in error_of(visualize, 'similarity', DEMO, DEMO, '--out', 'new.pdf')
    message = error_of(visualize, 'score-maps', *clamp, '--keypoints', 'nose', 'left paw')
    assert "no keypoint 'left paw'. Did you mean: left back paw, " in message
    message = error_of(visualize, 'score-maps', *clamp, '--images', '1000001', '7', 'dog.jpg')
    assert 'No animal of 7, dog.jpg in ' in message
    for figure in ('similarity', 'score-maps'):
        message = error_of(visualize, figure, SIMPLE_BASELINE, 'simplebaseline.pth', '--out', 'new.png')
        assert 'without prompts' in message
    options = ['--cfg-options', 'test_dataloader.dataset.data_root=nowhere/']
    assert 'nowhere/annotations' in error_of(visualize, 'similarity', *clamp, *options)
    assert not (folder / 'new.png').exists()


@pytest.mark.slow
def test_animals_are_chosen_by_image_or_spread_from_first_to_last(visualize):
    def chosen(*args) -> list[tuple[int, int]]:
        dataset = visualize.choose_animals(cfg, *args)
        infos = [dataset.get_data_info(index) for index in range(len(dataset))]
        return [(info['img_id'], info['id']) for info in infos]

    cfg = Config.fromfile(DEMO)
    every = chosen(None, 10**6)
    first, last = every[0][0], every[-1][0]
    named = chosen([f'{last:012}.jpg', str(first)])  # by name and by id, in this order
    assert named == [one for image in (last, first) for one in every if one[0] == image]
    spread = chosen(None, 3)
    assert len(spread) == 3
    assert spread[::2] == [every[0], every[-1]]


def test_images_of_one_name_are_told_apart(visualize, folder):
    assert visualize.endings('a/b/1.png') == ['a/b/1.png', 'b/1.png', '1.png']
    cfg = Config.fromfile(DEMO)
    path = Path(cfg.test_dataloader.dataset.data_root, cfg.test_dataloader.dataset.ann_file)
    coco = json.loads(path.read_text())
    images = path.parents[1] / 'data'
    for image, name in zip(coco['images'], ('one/1.jpg', 'two/1.jpg')):
        (images / name).parent.mkdir()
        shutil.copy(images / image['file_name'], images / name)
        image['file_name'] = name
    path.with_name('frames.json').write_text(json.dumps(coco))
    cfg.test_dataloader.dataset.ann_file = 'annotations/frames.json'
    with pytest.raises(ValueError, match=r'1\.jpg may be .*one/1\.jpg or .*two/1\.jpg'):
        visualize.choose_animals(cfg, ['1.jpg'])
    assert visualize.choose_animals(cfg, ['two/1.jpg']).get_data_info(0)['img_path'].endswith('two/1.jpg')


def test_models_of_other_animals_are_not_compared(visualize, folder):
    cfg = Config.fromfile(DEMO)
    dataset = visualize.choose_animals(cfg, None)
    path = Path(cfg.test_dataloader.dataset.data_root, cfg.test_dataloader.dataset.ann_file)
    coco = json.loads(path.read_text())
    lost = coco['annotations'].pop()
    path.with_name('fewer.json').write_text(json.dumps(coco))
    cfg.test_dataloader.dataset.ann_file = 'annotations/fewer.json'
    with pytest.raises(ValueError, match=f'The animals {lost["id"]} are not in the test set of .*clamp_tiny.py'):
        visualize.same_animals(cfg, dataset)
    dataset._metainfo['keypoint_id2name'] = {0: 'wing'}
    with pytest.raises(ValueError, match=r'clamp_tiny\.py has other keypoints: take a model of the same data'):
        visualize.same_animals(cfg, dataset)


def test_oks_is_one_for_the_truth_and_as_coco_defines_it(visualize):
    from types import SimpleNamespace

    truth = np.array([[[10.0, 10.0], [20.0, 20.0], [0.0, 0.0]]])
    shown = dict(keypoints=truth, keypoints_visible=np.array([[1.0, 1.0, 0.0]]))
    sample = SimpleNamespace(gt_instances=SimpleNamespace(**shown), raw_ann_info=dict(area=100.0))
    sigmas = np.array([0.05, 0.1, 0.1])
    sample.pred_instances = SimpleNamespace(keypoints=truth + np.array([[0, 0], [0, 0], [50, 50]]))
    assert visualize.oks(sample, sigmas) == pytest.approx(1)  # the third is not labelled
    # off by one pixel: exp(-1 / (2 * 100 * (2 * 0.05)^2)) = exp(-0.5), and exp(-0.125) for the wider sigma
    sample.pred_instances = SimpleNamespace(keypoints=truth + np.array([1, 0]))
    assert visualize.oks(sample, sigmas) == pytest.approx((np.exp(-0.5) + np.exp(-0.125)) / 2, rel=1e-5)


@pytest.mark.slow
def test_before_training_has_clip_s_weights_if_they_are_there(visualize, folder, capsys):
    cfg = Config.fromfile(DEMO)
    towers = cfg.model.backbone.clip, cfg.model.head.prompt_learner.text_encoder
    clip = random_clip({key: towers[0][key] for key in ('embed_dim', 'vision_cfg', 'text_cfg')})
    for tower in towers:
        tower.pretrained = str(folder / 'clip.pt')
    model, weights = visualize.initial_model(cfg, torch.device('cpu'))
    assert weights == 'random weights'
    assert 'clip.pt' in capsys.readouterr().err
    torch.save(clip.state_dict(), folder / 'clip.pt')
    model, weights = visualize.initial_model(cfg, torch.device('cpu'))
    assert weights == 'CLIP weights'
    text_tower = model.head.prompt_learner.text_encoder.tower
    assert torch.equal(text_tower.token_embedding.weight, clip.token_embedding.weight)
    assert towers[0].pretrained == str(folder / 'clip.pt')  # the config is as it was


def test_before_training_towers_have_weights_of_their_own(visualize, tmp_path, capsys):
    cfg = Config.fromfile(DEMO)
    clip = tiny_timm_clip('efficientnet', pretrained=dict(image=str(tmp_path / 'timm.pth')))
    cfg.model.backbone.clip = cfg.model.head.prompt_learner.text_encoder = clip
    model, weights = visualize.initial_model(cfg, torch.device('cpu'))
    assert weights == 'random weights'
    assert 'timm.pth' in capsys.readouterr().err
    trunk = model.backbone.tower.trunk
    torch.save({name: torch.ones_like(tensor) for name, tensor in trunk.state_dict().items()}, tmp_path / 'timm.pth')
    model, weights = visualize.initial_model(cfg, torch.device('cpu'))
    assert weights == 'pretrained weights'
    assert model.backbone.tower.trunk.conv_stem.weight.eq(1).all()


@pytest.mark.slow
def test_each_figure_is_drawn(visualize, weights, capsys):
    clamp = [DEMO, 'clamp.pth']
    visualize.main(['similarity', *clamp, '--out', 'similarity.pdf'])
    printed = capsys.readouterr().out
    assert 'before training (random weights): own prompt ' in printed
    assert 'after training: own prompt ' in printed
    visualize.main(['score-maps', *clamp, '--keypoints', 'nose', 'neck', '--number', '2', '--out', 'maps.png'])
    visualize.main(['score-maps', *clamp, '--upsample', 'learned', '--number', '1', '--out', 'learned.png'])
    against = ['--against', SIMPLE_BASELINE, 'simplebaseline.pth']
    visualize.main(['compare', *clamp, *against, '--number', '4', '--out', 'compare.svg'])
    assert Path('similarity.pdf').read_bytes().startswith(b'%PDF')
    for name, columns in (('maps.png', 3.25), ('learned.png', 6.9)):
        assert cv2.imread(name).shape[1] == pytest.approx(300 * columns, rel=0.1)
    shutil.copy('clamp.pth', 'later.pth')
    visualize.main(['compare', *clamp, '--against', DEMO, 'later.pth', '--number', '2', '--out', 'two.svg'])
    two = Path('two.svg').read_text()
    assert two.index('clamp_tiny later') < two.index('clamp_tiny clamp') < two.index('Ground truth')
    visualize.main(['compare', *clamp, '--number', '2', '--out', 'alone.svg'])
    alone = Path('alone.svg').read_text()
    assert alone.count('OKS 0.') == 2  # of the model, and none of the truth
    assert alone.index('CLAMP') < alone.index('Ground truth')
    svg = Path('compare.svg').read_text()
    assert svg.index('SimpleBaseline') < svg.index('Ground truth')
    assert svg.count('OKS') >= 8


@pytest.mark.slow
def test_score_maps_of_a_photo_of_ones_own_need_no_test_set(visualize, folder, weights):
    image = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    cv2.imwrite(str(folder / 'mine.png'), image)
    nowhere = ['--cfg-options', 'test_dataloader.dataset.data_root=nowhere/']
    options = [DEMO, 'clamp.pth', '--photos', 'mine.png', '--box', '10,5,50,40', '--keypoints', 'nose', '--dpi', '50']
    visualize.main(['score-maps', *options, '--out', 'mine_maps.png', *nowhere])
    assert cv2.imread(str(folder / 'mine_maps.png')) is not None
    predictor = visualize.PosePredictor(DEMO, 'clamp.pth', 'cpu')
    animal = visualize.own_animal(predictor, 'mine.png', [10, 5, 50, 40])
    maps, _ = visualize.view_prompts(predictor.model, visualize.pseudo_collate([animal]))
    [[expected]] = predictor.score_maps(['mine.png'], [[[10, 5, 50, 40]]])
    np.testing.assert_allclose(maps[0], expected.values, atol=1e-6)
    for more, message in ((['--number', '2'], 'give one'), ([], 'no.png is not there')):
        photos = ['--photos', 'no.png', *more, '--out', 'new.png']
        assert message in error_of(visualize, 'score-maps', DEMO, 'clamp.pth', *photos)
    assert 'is that of --photos' in error_of(
        visualize, 'score-maps', DEMO, 'clamp.pth', '--box', '1,2,3,4', '--out', 'new.png'
    )
