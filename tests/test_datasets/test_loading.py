import json

import cv2
import numpy as np
import pytest
from mmpose.registry import DATASETS, TRANSFORMS

from clamp.datasets import loading


@pytest.fixture
def folder(tmp_path):
    """Two images; the second one's file can be broken."""
    rng = np.random.default_rng(0)
    images, annotations = [], []
    for i in (1, 2):
        cv2.imwrite(str(tmp_path / f'{i}.jpg'), rng.integers(0, 255, (40, 60, 3), np.uint8))
        images.append(dict(id=i, file_name=f'{i}.jpg', width=60, height=40))
        keypoints = [20, 10, 2] * 17
        box = dict(bbox=[5, 5, 40, 30], area=1200, iscrowd=0)
        annotations.append(dict(id=i, image_id=i, category_id=1, num_keypoints=17, keypoints=keypoints, **box))
    categories = [dict(id=1, name='dog', supercategory='Canidae')]
    (tmp_path / 'all.json').write_text(json.dumps(dict(images=images, annotations=annotations, categories=categories)))
    return tmp_path


@pytest.fixture
def log(monkeypatch) -> list[str]:
    lines = []
    monkeypatch.setattr(loading, 'print_log', lambda message, *args: lines.append(message))
    return lines


def break_file(path, how: str) -> None:
    content = path.read_bytes()
    path.write_bytes({'empty': b'', 'cut short': content[: len(content) // 2], 'no image': b'<html>404</html>'}[how])


def dataset(folder, load: str, test_mode: bool = False):
    pipeline = [
        dict(type=load),
        dict(type='GetBBoxCenterScale'),
        dict(type='TopdownAffine', input_size=(32, 32)),
        dict(type='PackPoseInputs'),
    ]
    config = dict(type='AP10KDataset', ann_file='all.json', data_mode='topdown', test_mode=test_mode)
    return DATASETS.build(dict(config, data_root=str(folder), data_prefix=dict(img=''), pipeline=pipeline))


def test_a_good_image_is_loaded_as_mmpose_does(folder, log):
    path = str(folder / '1.jpg')
    ours, theirs = (
        TRANSFORMS.build(dict(type=name)).transform(dict(img_path=path)) for name in ('LoadTrainImage', 'LoadImage')
    )
    np.testing.assert_array_equal(ours['img'], theirs['img'])
    assert ours['img'].shape == (*ours['ori_shape'], 3) == (40, 60, 3)
    assert log == []


@pytest.mark.parametrize('how', ['empty', 'cut short', 'no image', 'missing'])
def test_a_broken_image_is_none_and_named_once(folder, log, how):
    path = folder / '2.jpg'
    if how == 'missing':
        path.unlink()
    else:
        break_file(path, how)
    load = TRANSFORMS.build(dict(type='LoadTrainImage'))
    assert load.transform(dict(img_path=str(path))) is None
    assert load.transform(dict(img_path=str(path))) is None
    assert load.transform(dict(img_path=str(folder / '1.jpg'))) is not None
    assert len(log) == 1
    assert str(path) in log[0]


def test_training_takes_another_sample(folder, log):
    break_file(folder / '2.jpg', 'cut short')
    data = dataset(folder, 'LoadTrainImage')
    assert [data[i]['data_samples'].img_id for i in (0, 1, 1, 1)] == [1, 1, 1, 1]
    assert data[1]['inputs'].shape == (3, 32, 32)
    assert len(log) == 1


def test_training_ends_if_no_image_can_be_read(folder, log):
    for i in (1, 2):
        (folder / f'{i}.jpg').unlink()
    data = dataset(folder, 'LoadTrainImage')
    with pytest.raises(Exception, match='Cannot find valid image'):
        data[0]
    assert len(log) == 2


def test_evaluation_leaves_no_image_out(folder, log):
    break_file(folder / '2.jpg', 'cut short')
    data = dataset(folder, 'LoadImage', test_mode=True)
    assert data[0]['data_samples'].img_id == 1
    with pytest.raises(Exception, match=r'2\.jpg'):
        data[1]
