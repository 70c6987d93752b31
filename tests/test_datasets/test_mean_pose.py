import json

import cv2
import numpy as np
import pytest

from clamp.datasets.mean_pose import mean_pose
from tests.repository import DEMO, ROOT, load_tool

EVALUATORS = ('val_evaluator', 'test_evaluator')


def test_mean_pose_by_hand():
    annotations = [
        dict(bbox=[0, 0, 10, 10], keypoints=[5, 0, 2, 0, 0, 0, 0, 0, 0]),
        dict(bbox=[10, 10, 20, 40], keypoints=[10, 50, 1, 20, 20, 2, 0, 0, 0]),
    ]
    np.testing.assert_allclose(mean_pose(annotations), [[0.25, 0.5], [0.5, 0.25], [np.nan, np.nan]])


def test_the_pose_is_put_into_a_box_whose_area_counts():
    annotation = dict(image_id=1, category_id=2, bbox=[10, 20, 40, 10])
    [result] = load_tool('mean_pose').predict(np.array([[0.25, 0.5]]), [annotation])
    assert result['keypoints'] == [20, 25, 1]
    assert result['bbox'] == annotation['bbox']  # of which COCO takes the area


def test_animals_that_no_model_is_asked_for_take_no_place(tmp_path, capsys):
    """COCO counts the 20 best answers of an image: before the labelled animal stand 20 of whom nothing is known."""
    keypoints = [4, 4, 2, 8, 8, 2] + [0] * 45
    whole = dict(
        image_id=1, category_id=1, bbox=[0, 0, 20, 20], area=400, iscrowd=0, num_keypoints=2, keypoints=keypoints
    )
    nobody = whole | dict(keypoints=[0] * 51, num_keypoints=0, bbox=[20, 20, 9, 9], area=81)
    animals = [dict(nobody, id=id_) for id_ in range(1, 21)] + [dict(whole, id=21)]
    images = [dict(id=1, file_name='1.png', width=40, height=40)]
    coco = dict(images=images, annotations=animals, categories=[dict(id=1, name='dog', supercategory='Canidae')])
    (tmp_path / 'data').mkdir()
    cv2.imwrite(str(tmp_path / 'data/1.png'), np.zeros((40, 40, 3), np.uint8))
    (tmp_path / 'annotations').mkdir()
    for split in ('train', 'val'):
        (tmp_path / f'annotations/ap10k-{split}-split1.json').write_text(json.dumps(coco))
    parts = ('train_dataloader.dataset', 'val_dataloader.dataset', 'test_dataloader.dataset')
    options = [f'{part}.data_root={tmp_path}/' for part in parts]
    options += [f'{part}.ann_file={tmp_path}/annotations/ap10k-val-split1.json' for part in EVALUATORS]
    load_tool('mean_pose').main([DEMO, '--cfg-options', *options])
    said = capsys.readouterr().out
    assert 'IoU=0.50:0.95 | area=   all | maxDets= 20 ] =  1.000' in said
    assert 'no label in training, hence the middle of the box: Nose, Neck, ' in said


@pytest.mark.parametrize(
    ('config', 'reason'),
    [
        ('animalpose/clamp_lite0-minilm_novel', 'takes some of the keypoints of its file'),
        ('union/clamp_lite0-minilm_demo-animalpose', 'has no one data set for train'),
    ],
)
def test_a_config_of_other_keypoints_than_its_file_has_is_refused(config, reason, monkeypatch):
    tool = load_tool('mean_pose')
    monkeypatch.setattr(tool, 'check_config', lambda cfg, splits: None)  # the data may not be here
    with pytest.raises(SystemExit, match=reason):
        tool.main([str(ROOT / f'configs/{config}.py')])
