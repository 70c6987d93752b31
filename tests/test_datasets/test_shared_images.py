"""The same photograph in two data sets: mirrored, cut out, smaller; and what is none."""

import json
import os
import re
from pathlib import Path

import cv2
import numpy as np
import pytest

from clamp.datasets import shared_images
from clamp.datasets.shared_images import Shared, find_shared, read_list, write_list
from tests.repository import ROOT, load_tool, slow_except
from tests.tiny_data import make_part

SAMPLE = ROOT.parent / 'shared/data/ap10k-sample'
ANIMALPOSE = ROOT / 'data/animalpose'
check_dataset, make_splits = load_tool('check_dataset'), load_tool('make_splits')


def draw(seed: int) -> np.ndarray:
    """A picture (240, 320, 3) full of corners, another for each seed."""
    rng = np.random.default_rng(seed)
    image = np.full((240, 320, 3), rng.integers(60, 200, 3), np.uint8)
    for _ in range(120):
        corner, colour = rng.integers(0, (320, 240)), rng.integers(0, 255, 3).tolist()
        cv2.rectangle(image, corner.tolist(), (corner + rng.integers(4, 60, 2)).tolist(), colour, -1)
    return cv2.GaussianBlur(image, (0, 0), 1)


CHANGES = {
    'same': lambda image: cv2.resize(image, (200, 150), interpolation=cv2.INTER_AREA),
    'mirrored, same': lambda image: image[:, ::-1],
    'holds it': lambda image: image[40:200, 90:280],
    'mirrored, holds it': lambda image: image[20:170, 30:220, :][:, ::-1],
    'brighter': lambda image: np.clip(1.3 * image + 10, 0, 255),
    'overlaps it': lambda image: np.hstack([image[:, 160:], draw(99)[:, :120]]),
}


def write(path: Path, image: np.ndarray) -> Path:
    path.parent.mkdir(exist_ok=True)
    cv2.imwrite(str(path), np.ascontiguousarray(image, dtype=np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 80])
    return path


@pytest.fixture(scope='module')
def others(tmp_path_factory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp('others')
    return {f'{i}.jpg': write(root / f'{i}.jpg', draw(i)) for i in range(100, 106)}


@pytest.mark.parametrize('change', slow_except(CHANGES, 'mirrored, same', 'holds it'))
def test_a_photograph_that_is_in_both_is_found_and_no_other(change, others, tmp_path):
    images = {f'{i}.jpg': write(tmp_path / f'{i}.jpg', draw(i)) for i in range(3)}
    planted = write(tmp_path / 'other/planted.jpg', CHANGES[change](draw(1)))
    (pair,), broken = find_shared(images, others | dict(planted=planted))
    assert (pair.image, pair.other, broken) == ('1.jpg', 'planted', [])
    assert pair.how == ('same' if change == 'brighter' else change)
    assert pair.correlation > 0.9
    if change == 'holds it':
        (turned,), _ = find_shared(dict(planted=planted), images)
        assert (turned.image, turned.other, turned.how) == ('planted', '1.jpg', 'part of it')


def test_the_same_file_is_the_same_photograph_and_broken_ones_are_named(others, tmp_path):
    (tmp_path / 'broken.jpg').write_bytes(b'no image')
    (tmp_path / 'empty.jpg').touch()
    unread = ['broken.jpg', 'empty.jpg', 'missing.jpg']
    images = {'a': others['102.jpg']} | {name: tmp_path / name for name in unread}
    pairs, broken = find_shared(images, {'b': others['102.jpg'], 'copy.jpg': write(tmp_path / 'copy.jpg', draw(102))})
    assert [(pair.image, pair.other, pair.how) for pair in pairs] == [('a', 'b', 'same'), ('a', 'copy.jpg', 'same')]
    assert broken == unread


def test_a_file_name_that_is_no_utf_8_is_read(others, tmp_path):
    """OpenCV's own reading ends the process there."""
    path = tmp_path / os.fsdecode(b'\xff.jpg')
    path.write_bytes(others['101.jpg'].read_bytes())
    (pair,), broken = find_shared(others, {path.name: path})
    assert (pair.image, pair.how, broken) == ('101.jpg', 'same', [])


def test_plain_images_are_like_no_other(tmp_path):
    """They have the same hash and no features."""
    images = {
        name: write(tmp_path / f'{name}.jpg', np.full((60, 80, 3), grey)) for name, grey in (('a', 40), ('b', 90))
    }
    assert find_shared(dict(a=images['a']), dict(b=images['b'])) == ([], [])


def test_a_list_is_read_back(tmp_path):
    path = tmp_path / 'shared.json'
    write_list(
        path, [Shared('b', 'x', 'same', 0.9), Shared('a', 'y', 'same', 0.9), Shared('b', 'z', 'same', 1)], 'A', 'B'
    )
    assert read_list(path) == ['a', 'b']
    path.write_text('{"pairs": [1]}')
    with pytest.raises(ValueError, match=r'is no list of tools/check_dataset\.py --against'):
        read_list(path)


@pytest.fixture
def dataset(tmp_path) -> list[str]:
    """Arguments for an annotation file with two images, of which the second is planted in the folder `elsewhere`."""
    part = make_part('train', 1, tmp_path)
    for number, image in enumerate(part.coco['images']):
        write(part.img_root / image['file_name'], draw(number))
    part.ann_file.write_text(json.dumps(part.coco))
    write(tmp_path / 'elsewhere/mirrored.jpg', draw(1)[:, ::-1])
    write(tmp_path / 'elsewhere/else.jpg', draw(50))
    return ['--train', str(part.ann_file), '--img-root', str(part.img_root), '--against', str(tmp_path / 'elsewhere')]


def test_the_audit_writes_a_list_and_the_split_leaves_it_out(dataset, tmp_path, capsys):
    listed, ann_file = tmp_path / 'shared.json', Path(dataset[1])
    name = json.loads(ann_file.read_text())['images'][1]['file_name']
    assert check_dataset.main([*dataset, '--list', str(listed)]) == 1
    shown = capsys.readouterr().out
    assert '1 of 2 images are in both' in shown
    assert 'mirrored, same' in shown
    assert read_list(listed) == [name]
    assert make_splits.main(['without', str(ann_file), '--list', str(listed)]) == 0
    (split,) = (path for path in (tmp_path / 'splits').glob('*.json') if 'manifest' not in path.name)
    assert split.name == f'{ann_file.stem}_without-shared.json'
    left = json.loads(split.read_text())
    assert [image['file_name'] for image in left['images']] == [
        json.loads(ann_file.read_text())['images'][0]['file_name']
    ]
    assert make_splits.main(['verify', str(split.with_suffix('.manifest.json'))]) == 0
    (tmp_path / 'elsewhere/mirrored.jpg').unlink()
    assert check_dataset.main(dataset) == 0
    assert 'no photograph is in both' in capsys.readouterr().out
    (tmp_path / 'elsewhere/else.jpg').write_bytes(b'no image')  # nobody knows whether it is in both
    assert check_dataset.main(dataset) == 1
    assert 'not looked at, for they are no images that can be read: 1, such as else.jpg' in capsys.readouterr().out


def test_a_list_has_no_name_that_two_images_have(dataset, tmp_path):
    """It would name both by their paths, which no annotation file has: the image would stay in."""
    parts = [make_part('train', 1, tmp_path), make_part('val', 1, tmp_path / 'other')]
    args = check_dataset.parse_args([*dataset, '--list', str(tmp_path / 'shared.json')])
    with pytest.raises(ValueError, match=r'two images have the name of .*1\.jpg: give --list for one part at a time'):
        check_dataset.audit_against(args, [check_dataset.DataSet(parts, {}, None)])


def test_an_image_that_is_like_many_is_read_once(tmp_path, monkeypatch):
    images = {f'{number}': write(tmp_path / f'{number}.png', draw(7)) for number in range(4)}
    others = {f'{number}': write(tmp_path / f'o{number}.png', draw(7)) for number in range(4)}
    read, seen = shared_images.read_grey, []
    monkeypatch.setattr(shared_images, 'read_grey', lambda path: seen.append(path) or read(path))
    pairs, _ = find_shared(images, others)
    assert len(pairs) == 16
    assert len(seen) <= len(images) + 2 * len(others)  # once to describe it, once to compare it


def test_errors_are_one_line(dataset, tmp_path, capsys):
    for path in (tmp_path / 'elsewhere').iterdir():
        path.unlink()
    assert check_dataset.main(dataset) == 2
    assert 'error: there is no image in' in capsys.readouterr().err
    write(tmp_path / 'elsewhere/else.jpg', draw(50))
    gone = Path(dataset[3]) / json.loads(Path(dataset[1]).read_text())['images'][1]['file_name']
    gone.unlink()
    assert check_dataset.main(dataset) == 2
    shown = capsys.readouterr()
    assert f'error: 1 images are not there, such as {gone}' in shown.err
    assert 'looking for' not in shown.out  # before the work
    (tmp_path / 'list.json').write_text('{"pairs": [{"image": "no.jpg"}]}')
    assert make_splits.main(['without', dataset[1], '--list', str(tmp_path / 'list.json')]) == 2
    assert 'none of the 1 images of the list is in it: use the file as it is' in capsys.readouterr().err
    for against, message in (
        ('[1]', r'l\.json: a config \(\.py\) or a folder of images is needed'),
        ('train_dataloader = dict(', r'l\.py cannot be read as a config \(\.py\)'),
        (
            'model = dict(type=clip)',
            r"l\.py cannot be read as a config \(\.py\): NameError: name 'clip' is not defined",
        ),
    ):
        path = tmp_path / ('l.json' if against == '[1]' else 'l.py')
        path.write_text(against)
        assert check_dataset.main([*dataset[:-1], str(path)]) == 2
        assert re.search(f'error: .*{message}', capsys.readouterr().err)
    Path(dataset[1]).write_text('{"images": [5], "annotations": [], "categories": []}')
    assert check_dataset.main([*dataset[:-1], str(tmp_path)]) == 2
    assert 'an entry of `images` has no file name' in capsys.readouterr().err
    for option in (['--fast'], ['--json', str(tmp_path / 'new.json')]):
        with pytest.raises(SystemExit):
            check_dataset.main([*dataset, *option])
        assert '--against looks at photographs alone' in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.skipif(not (SAMPLE.is_dir() and ANIMALPOSE.is_dir()), reason='needs the AP-10K sample and Animal-Pose')
def test_ap10ks_photographs_are_found_among_animalposes_and_no_other(tmp_path):
    """Mirrored and cut out, smaller and re-encoded, each in turn."""
    images = {path.name: path for path in sorted(SAMPLE.glob('*.jpg'))}
    files = json.loads((ANIMALPOSE / 'annotations/animalpose_val.json').read_text())['images'][:200]
    there = {file['file_name']: ANIMALPOSE / file['file_name'] for file in files}
    for how in ('mirrored, same', 'holds it', 'mirrored, holds it'):
        planted = {}
        for name, path in images.items():
            image = cv2.imread(str(path))
            height, width = image.shape[:2]
            if 'holds' in how:
                image = image[height // 5 : height // 5 * 4, width // 4 : width // 8 * 7]
            if 'mirrored' in how:
                image = image[:, ::-1]
            image = cv2.resize(image, (400, round(400 * image.shape[0] / image.shape[1])), interpolation=cv2.INTER_AREA)
            planted[f'planted {name}'] = write(tmp_path / f'{how}/{name}', image)
        pairs, broken = find_shared(images, there | planted)
        assert [(pair.image, pair.other, pair.how) for pair in pairs] == [(n, f'planted {n}', how) for n in images]
        assert broken == []
