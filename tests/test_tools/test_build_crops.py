"""Crops in files; where they are cut: tests/test_datasets/test_crops.py"""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from mmengine.config import Config
from mmpose.registry import DATASETS

from tests.repository import CONFIGS, load_tool, slow_except

KEYPOINTS = [[20, 30], [60, 25], [70, 45], [50, 50], [10, 60], [35, 70], [30, 80], [45, 20], [65, 65], [15, 40]]
PIPELINE = """
    dict(type='{load}'),
    dict(type='GetBBoxCenterScale'),
    dict(type='RandomFlip', direction='horizontal'),
    dict(type='RandomHalfBody', prob=0.5),
    dict(type='RandomBBoxTransform', shift_prob=1.0, rotate_prob=1.0),
    dict(type='TopdownAffine', input_size=(64, 64)),
    dict(type='PackPoseInputs', pack_transformed=True),
"""


tool = load_tool('build_crops')


def make_animal(id_: int, image_id: int, box: tuple) -> dict:
    """An animal of AP-10K with ten labelled keypoints, in a box x, y, w, h."""
    x, y, w, h = box
    keypoints = [value for px, py in KEYPOINTS for value in (x + px / 80 * w, y + py / 80 * h, 2)] + [0] * 3 * 7
    values = dict(keypoints=keypoints, num_keypoints=10, bbox=list(box), area=w * h, iscrowd=0)
    return dict(id=id_, image_id=image_id, category_id=2, **values)


@pytest.fixture
def root(tmp_path) -> Path:
    """Smooth images: a small animal and a large one that is cut off, and a crowd, which no one trains on."""
    rng, folder = np.random.default_rng(0), tmp_path / 'source'
    (folder / 'data').mkdir(parents=True)
    images = [
        dict(id=1, file_name='one.png', width=240, height=160),
        dict(id=2, file_name='two.png', width=500, height=360),
    ]
    for image in images:
        noise = rng.integers(0, 256, (image['height'] // 20, image['width'] // 20, 3), np.uint8)
        large = cv2.resize(noise, (image['width'], image['height']), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(folder / 'data' / image['file_name']), large)
    crowd = make_animal(13, 2, (20, 20, 90, 90)) | dict(iscrowd=1)
    animals = [make_animal(11, 1, (150, 60, 40, 36)), make_animal(12, 2, (120, -5, 400, 330)), crowd]
    categories = [dict(id=i, name=name, supercategory='Canidae') for i, name in ((1, 'dog'), (2, 'wolf'))]
    (folder / 'annotations').mkdir()
    coco = dict(images=images, annotations=animals, categories=categories)
    (folder / 'annotations/train.json').write_text(json.dumps(coco))
    return folder


def write_config(root: Path, load: str = 'LoadTrainImage') -> str:
    path = root.parent / 'config.py'
    path.write_text(
        f"train_dataloader = dict(dataset=dict(type='AP10KDataset', data_root='{root}/', data_mode='topdown', "
        f"ann_file='annotations/train.json', data_prefix=dict(img='data/'), pipeline=[{PIPELINE.format(load=load)}]))"
    )
    return str(path)


def build(root: Path, *options: str, out: str = 'crops') -> Path:
    tool.main([write_config(root), str(root.parent / out), '--workers', '1', *options])
    return root.parent / out


def load_dataset(root: Path, config: str):
    return DATASETS.build(dict(Config.fromfile(config).train_dataloader.dataset, data_root=str(root)))


def test_a_repeated_data_set_without_a_prefix(root, capsys):
    (root / 'data').rename(root.parent / 'images')
    for path in (root.parent / 'images').iterdir():
        path.rename(root / path.name)
    config = Path(write_config(root))
    text = config.read_text().replace(", data_prefix=dict(img='data/')", '')
    config.write_text(
        text.replace("dataset=dict(type='AP10K", "dataset=dict(type='RepeatDataset', times=2, dataset=dict(type='AP10K")
        + ')'
    )
    tool.main([str(config), str(root.parent / 'crops'), '--workers', '1'])
    assert 'train_dataloader.dataset.dataset.data_root=' in capsys.readouterr().out
    assert (root.parent / 'crops/annotations/train.json').is_file()


@pytest.mark.parametrize('name', slow_except(['bmp', 'png'], 'png'))
def test_training_sees_the_same_as_without_crops(root, name):
    """The same random numbers give the same keypoints and, but for sampling the large image twice, the same pixels."""
    folder = build(root, '--format', name)
    plain, crops = load_dataset(root, write_config(root)), load_dataset(folder, write_config(root))
    assert len(plain) == len(crops) == 2
    for seed in range(40):
        for index in range(2):
            views = []
            for dataset in (plain, crops):
                np.random.seed(seed)  # noqa: NPY002
                views.append(dataset[index])
            truth = [view['data_samples'].gt_instances for view in views]
            labelled = truth[0].keypoints_visible[0] > 0
            np.testing.assert_array_equal(truth[1].keypoints_visible[0] > 0, labelled)
            moved = truth[0].transformed_keypoints[0] - truth[1].transformed_keypoints[0]
            assert abs(moved[labelled]).max() < 0.01
            difference = abs(views[0]['inputs'].int() - views[1]['inputs'].int())
            assert difference.float().mean() < (0.2, 2)[index]  # of 255 levels; at the black edges it is more
            assert views[0]['data_samples'].metainfo['id'] == views[1]['data_samples'].metainfo['id']


def test_the_small_animal_is_copied_and_the_large_one_shrunk(root):
    folder = build(root)
    coco = json.loads((folder / 'annotations/train.json').read_text())
    source = json.loads((root / 'annotations/train.json').read_text())
    assert coco['categories'] == source['categories']
    assert [annotation['id'] for annotation in coco['annotations']] == [11, 12]
    small, large = coco['images']
    assert (small['file_name'], small['source_id']) == ('crops/11.bmp', 1)
    crop = cv2.imread(str(folder / 'data/crops/11.bmp'))
    assert crop.shape == (small['height'], small['width'], 3)
    x, y = (int(a - b) for a, b in zip((150, 60), coco['annotations'][0]['bbox'][:2]))
    image = cv2.imread(str(root / 'data/one.png'))
    np.testing.assert_array_equal(crop, image[y : y + small['height'], x : x + small['width']])
    assert large['width'] < 500 / 2
    assert coco['annotations'][1]['area'] < source['annotations'][1]['area'] / 4


@pytest.mark.slow
def test_size_is_foretold(root, capsys):
    tool.main([write_config(root), str(root.parent / 'crops'), '--dry-run'])
    assert not (root.parent / 'crops').exists()
    foretold = float(capsys.readouterr().out.split(': ')[-1].split(' GB')[0])
    written = sum(path.stat().st_size for path in (build(root) / 'data/crops').iterdir())
    assert foretold == round(written / 1e9, 2)
    config = write_config(root)
    pixels = [tool.foretell(tool.plan(Config.fromfile(config).train_dataloader.dataset, tool.parse_args(
        [config, 'o', '--format', name]))[2], name) for name in ('bmp', 'jpg')]  # fmt: skip
    assert abs(pixels[0] - written) < 1000  # a header and padded rows
    assert pixels[1] < pixels[0] / 4


def test_an_interrupted_run_goes_on(root):
    folder = build(root)
    (folder / 'annotations/train.json').unlink()
    (folder / 'data/crops/12.bmp').unlink()
    (folder / 'data/crops/11.bmp').write_bytes(b'kept')
    build(root)
    assert (folder / 'data/crops/11.bmp').read_bytes() == b'kept'
    assert (folder / 'data/crops/12.bmp').is_file()
    assert len(json.loads((folder / 'annotations/train.json').read_text())['images']) == 2


@pytest.mark.slow
def test_crops_of_other_kinds_do_not_mix(root):
    build(root)
    with pytest.raises(SystemExit, match='other format'):
        build(root, '--format', 'png')
    padding = 'train_dataloader.dataset.pipeline.1.padding=1.5'
    with pytest.raises(SystemExit, match='other augmentation'):
        build(root, '--cfg-options', padding)
    path = root / 'annotations/train.json'
    path.write_text(path.read_text().replace('"area"', '"Area"'))
    with pytest.raises(SystemExit, match='other annotations'):
        build(root)
    with pytest.raises(SystemExit, match='something else'):
        build(root, out='source')


def test_a_broken_image_is_named_and_left_out(root):
    (root / 'data/two.png').write_bytes(b'<html>404</html>')
    with pytest.raises(SystemExit, match=r'left out.*\n.*two\.png cannot be read'):
        build(root)
    coco = json.loads((root.parent / 'crops/annotations/train.json').read_text())
    assert [image['id'] for image in coco['images']] == [11]
    with pytest.raises(SystemExit, match='not there'):
        build(root, '--cfg-options', 'train_dataloader.dataset.ann_file=none.json')
    with pytest.raises(SystemExit, match=r'left out.*\n.*two\.png cannot be read'):
        build(root, '--format', 'png', out='encoded')
    cv2.imwrite(str(root / 'data/two.png'), np.zeros((500, 360, 3), np.uint8))
    with pytest.raises(SystemExit, match='of another size'):
        build(root, out='others')
    for name in ('one.png', 'two.png'):
        (root / 'data' / name).write_bytes(b'<html>404</html>')
    with pytest.raises(SystemExit, match=r'no image can be cut:\n.*one\.png cannot be read\n.*two\.png cannot be read'):
        build(root, out='none')


@pytest.mark.parametrize('content', ['{"format"', '7'])
def test_a_damaged_manifest_is_named(root, content):
    (root.parent / 'crops').mkdir()
    (root.parent / 'crops/manifest.json').write_text(content)
    with pytest.raises(SystemExit, match=r'error: .*manifest\.json is damaged .*: take another folder'):
        build(root)


def test_what_cannot_be_cut_is_told_before_the_work(root, monkeypatch):
    union = str(CONFIGS / 'union/clamp_lite0-minilm_pets.py')
    with pytest.raises(SystemExit, match=r'pets\.py is trained on several data sets: name the config of one'):
        tool.main([union, str(root.parent / 'crops')])
    with pytest.raises(SystemExit, match='these lead out of it'):
        build(root, '--cfg-options', f'train_dataloader.dataset.data_prefix.img={root}/data/')
    monkeypatch.setattr(shutil, 'disk_usage', lambda path: SimpleNamespace(free=10))
    with pytest.raises(SystemExit, match=r'has 0\.00 GB free, .* GB are needed\. Try --format jpg'):
        build(root)
    assert not (root.parent / 'crops/data').exists()


@pytest.mark.parametrize('id_', ['../../stolen', '/tmp/stolen', '11\n'])
def test_ids_that_would_lead_out_of_the_folder(root, id_):
    path = root / 'annotations/train.json'
    coco = json.loads(path.read_text())
    coco['annotations'][0]['id'] = id_
    path.write_text(json.dumps(coco))
    with pytest.raises(SystemExit, match=r'error: (?s:.)*stolen|error: (?s:.)*11'):
        build(root)
    assert not (root.parent / 'crops').exists()
