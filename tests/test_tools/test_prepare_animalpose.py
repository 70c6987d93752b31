"""Three images of 40x30 pixels, annotated by hand in the authors' layout; and the real annotations, where they are."""

import hashlib
import json
from collections import Counter

import cv2
import numpy as np
import pytest

from clamp.datasets.metainfo import raw_metainfo
from tests.repository import ROOT, load_tool

REAL_SOURCE = ROOT.parent / 'shared/data/animal-pose/keypoints.json'
AUTHORS_NAMES = [
    'left_eye', 'right_eye', 'nose', 'left_ear', 'right_ear',
    'left_front_elbow', 'right_front_elbow', 'left_back_elbow', 'right_back_elbow',
    'left_front_knee', 'right_front_knee', 'left_back_knee', 'right_back_knee',
    'left_front_paw', 'right_front_paw', 'left_back_paw', 'right_back_paw',
    'throat', 'withers', 'tailbase',
]  # fmt: skip
SIZES = {'a.jpg': (40, 30), 'b.jpg': (40, 30), 'c.jpg': (40, 30)}


tool = load_tool('prepare_animalpose')


def points(**labelled):
    """20 points in the authors' order: those named are labelled."""
    return [[*labelled[name], 1] if name in labelled else [0.0, 0.0, 0] for name in AUTHORS_NAMES]


def animal(image_id, category_id, box, keypoints):
    return {
        'image_id': image_id, 'category_id': category_id, 'bbox': box, 'num_keypoints': 20, 'keypoints': keypoints,
    }  # fmt: skip


@pytest.fixture
def source():
    """A dog and a cow in a.jpg, a cat in b.jpg, a sheep in c.jpg."""
    species = ('dog', 'cat', 'sheep', 'horse', 'cow')
    return {
        'info': {},
        'images': {'1': 'a.jpg', '2': 'b.jpg', '3': 'c.jpg'},
        'annotations': [
            animal(1, 1, [4.0, 2.4, 24.8, 22.4], points(left_eye=(8.0, 4.0), tailbase=(20.0, 12.5), throat=(9, 10))),
            animal(1, 5, [10.0, 10.0, 20.0, 20.0], points(right_back_paw=(12.0, 19.0))),
            animal(2, 2, [1.0, 2.0, 31.0, 22.0], points(nose=(5.0, 6.0))),
            animal(3, 3, [0.0, 0.0, 10.0, 10.0], points(left_ear=(1.0, 2.0))),
        ],
        'categories': [{'id': i, 'name': name, 'keypoints': AUTHORS_NAMES} for i, name in enumerate(species, 1)],
    }


@pytest.fixture
def data_root(tmp_path, source):
    (tmp_path / 'images').mkdir()
    for name in source['images'].values():
        cv2.imwrite(str(tmp_path / 'images' / name), np.full((30, 40, 3), 128, np.uint8))
    (tmp_path / 'keypoints.json').write_text(json.dumps(source))
    return tmp_path


def read_annotations(data_root, split):
    return json.loads((data_root / f'annotations/animalpose_{split}.json').read_text())


def file_names(coco):
    return [image['file_name'] for image in coco['images']]


def test_keypoints_go_by_name_into_mmpose_order():
    # point i of the authors is (i, i + 1), so that each tells where it came from
    converted, num_outside = tool.convert_keypoints([[i, i + 1, 1] for i in range(20)], (40, 30))
    from_index = dict(zip(tool.CATEGORY['keypoints'], converted[0::3]))
    assert from_index == {
        'L_Eye': 0, 'R_Eye': 1, 'L_EarBase': 3, 'R_EarBase': 4, 'Nose': 2, 'Throat': 17, 'TailBase': 19, 'Withers': 18,
        'L_F_Elbow': 5, 'R_F_Elbow': 6, 'L_B_Elbow': 7, 'R_B_Elbow': 8, 'L_F_Knee': 9, 'R_F_Knee': 10,
        'L_B_Knee': 11, 'R_B_Knee': 12, 'L_F_Paw': 13, 'R_F_Paw': 14, 'L_B_Paw': 15, 'R_B_Paw': 16,
    }  # fmt: skip
    assert converted[0::3] == [0, 1, 3, 4, 2, 17, 19, 18, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]
    assert converted[1::3] == [x + 1 for x in converted[0::3]]
    assert converted[2::3] == [2] * 20
    assert num_outside == 0


def test_names_and_skeleton_are_mmpose_s():
    info = raw_metainfo(dict(metainfo=dict(from_file='configs/_base_/datasets/animalpose.py')))
    names = [info['keypoint_info'][i]['name'] for i in range(20)]
    assert tool.CATEGORY['keypoints'] == names
    links = [info['skeleton_info'][i]['link'] for i in range(20)]
    assert [(names[i - 1], names[j - 1]) for i, j in tool.CATEGORY['skeleton']] == links


def test_points_outside_the_image_become_unlabelled():
    keypoints = points(left_eye=(40.0, 30.0), right_eye=(40.8, 5.0), nose=(5.0, -0.1), left_ear=(0.0, 0.0))
    keypoints[4] = [7.0, 8.0, 0]  # unlabelled, with coordinates
    converted, num_outside = tool.convert_keypoints(keypoints, (40, 30))
    assert converted[:15] == [40.0, 30.0, 2, 0, 0, 0, 0.0, 0.0, 2, 0, 0, 0, 0, 0, 0]
    assert num_outside == 2


@pytest.mark.parametrize(
    ('box', 'expected'),
    [
        ([98.4, 92.0, 303.2, 220.0], [98.4, 92.0, 204.8, 128.0]),
        ([-5.0, -2.0, 20.0, 10.0], [0, 0, 20.0, 10.0]),
        ([390.0, 290.0, 410.0, 310.0], [390.0, 290.0, 10.0, 10.0]),
        ([410.0, 10.0, 420.0, 20.0], [400, 10.0, 0, 10.0]),
    ],
)
def test_box_is_clipped_and_xywh(box, expected):
    assert tool.convert_box(box, (400, 300)) == expected


def test_a_data_set_is_converted_as_by_hand(source):
    coco, dropped = tool.convert_dataset(source, SIZES)
    assert coco['images'][0] == {'id': 1, 'file_name': 'images/a.jpg', 'width': 40, 'height': 30}
    assert [category['name'] for category in coco['categories']] == ['animal']
    dog, cow, cat, sheep = coco['annotations']
    keypoints = [8.0, 4.0, 2, *[0] * 12, 9, 10, 2, 20.0, 12.5, 2, *[0] * 39]  # L_Eye, Throat, TailBase
    assert dog == {
        'id': 1, 'image_id': 1, 'category_id': 1, 'bbox': [4.0, 2.4, 20.8, 20.0], 'area': 416.0, 'iscrowd': 0,
        'num_keypoints': 3, 'keypoints': keypoints, 'species': 'dog', 'family': 'Canidae',
    }  # fmt: skip
    assert [(a['species'], a['family']) for a in (cow, cat, sheep)] == [
        ('cow', 'Bovidae'),
        ('cat', 'Felidae'),
        ('sheep', 'Bovidae'),
    ]
    assert cow['keypoints'][-3:] == [12.0, 19.0, 2]  # R_B_Paw
    assert dropped == {}


def test_convert_dataset_counts_what_it_drops(source):
    eye = points(left_eye=(1.0, 1.0))
    source['annotations'] = [
        animal(1, 1, [0.0, 0.0, 9.0, 9.0], eye),
        animal(1, 1, [0.0, 0.0, 9.0, 9.0], eye),  # again
        animal(1, 1, [5.0, 5.0, 5.5, 9.0], eye),  # half a pixel wide
        animal(1, 1, [50.0, 5.0, 60.0, 9.0], eye),  # right of the image
        animal(2, 1, [0.0, 0.0, 9.0, 9.0], points()),
        animal(2, 1, [0.0, 0.0, 9.0, 9.0], points(nose=(41.0, 1.0))),  # its only point is outside
        animal(3, 1, [0.0, 0.0, 9.0, 9.0], eye),
    ]
    coco, dropped = tool.convert_dataset(source, {name: SIZES[name] for name in ('a.jpg', 'b.jpg')})
    assert [annotation['id'] for annotation in coco['annotations']] == [1]
    assert file_names(coco) == ['images/a.jpg']
    assert dropped == {
        'animals annotated twice, with the same box and keypoints': 1,
        'animals whose box is under a pixel wide or high inside the image': 2,
        'animals without a labelled keypoint (no loss, no AP)': 2,
        'labelled points outside their image (now unlabelled)': 1,
        'animals in missing or broken images': 1,
        'missing or broken images': 1,
        'images with no animal left': 1,
    }


def make_labelled_source(num_images):
    images = {str(i): f'{i}.jpg' for i in range(1, num_images + 1)}
    animals = [animal(int(image_id), 1, [0, 0, 9, 9], points(nose=(1, 1))) for image_id in images]
    return {'images': images, 'annotations': animals}


def test_split_is_the_same_everywhere():
    source = make_labelled_source(8)
    assert tool.choose_val_names(source, 3, 0) == {'2.jpg', '8.jpg', '3.jpg'}
    assert tool.choose_val_names(source, 3, 2) == {'7.jpg', '4.jpg', '8.jpg'}
    source['images'] = dict(reversed(source['images'].items()))
    assert tool.choose_val_names(source, 3, 0) == {'2.jpg', '8.jpg', '3.jpg'}


def test_split_sizes():
    assert len(tool.choose_val_names(make_labelled_source(3605), None, 0)) == 810
    assert len(tool.choose_val_names(make_labelled_source(100), None, 0)) == 22  # 100 * 810 / 3605 = 22.47
    assert len(tool.choose_val_names(make_labelled_source(2), None, 0)) == 1
    for num_val in (0, 2):
        with pytest.raises(ValueError, match=f'cannot draw {num_val} of 2 .*--val-images'):
            tool.choose_val_names(make_labelled_source(2), num_val, 0)


def test_images_without_keypoints_are_in_no_split(source):
    source['annotations'][2]['keypoints'] = points()
    assert tool.choose_val_names(source, 1, 0) | tool.choose_val_names(source, 1, 1) <= {'a.jpg', 'c.jpg'}


def test_main_writes_three_files(data_root, capsys):
    assert tool.main([str(data_root)]) == 0
    train, val, trainval = (read_annotations(data_root, split) for split in ('train', 'val', 'trainval'))
    assert file_names(val) == ['images/a.jpg']  # the sha256 of '0:a.jpg' is the least of the three
    assert file_names(train) == ['images/b.jpg', 'images/c.jpg']
    assert file_names(trainval) == ['images/a.jpg', 'images/b.jpg', 'images/c.jpg']
    assert [annotation['id'] for annotation in val['annotations']] == [1, 2]
    assert train['info'] == {
        'description': 'Animal-Pose train',
        'url': 'https://sites.google.com/view/animal-pose/',
        'prepared_by': 'tools/prepare_animalpose.py',
        'source_sha256': hashlib.sha256((data_root / 'keypoints.json').read_bytes()).hexdigest(),
        'seed': 0,
        'val_images': 1,
        'dropped': {},
        'broken_images': [],
        'counts': {'images': 2, 'dog': 0, 'cat': 1, 'sheep': 1, 'horse': 0, 'cow': 0, 'animals': 2, 'keypoints': 2},
    }
    out = capsys.readouterr().out
    assert out.splitlines()[-1] == 'next: python tools/train.py configs/animalpose/clamp_vitb.py'
    assert sorted(path.name for path in (data_root / 'annotations').iterdir()) == [
        'animalpose_train.json',
        'animalpose_trainval.json',
        'animalpose_val.json',
    ]


def test_main_does_not_overwrite_what_differs(data_root, capsys):
    assert tool.main([str(data_root)]) == 0
    before = read_annotations(data_root, 'val')
    capsys.readouterr()
    assert tool.main([str(data_root)]) == 0
    assert capsys.readouterr().out.count('up to date') == 3
    assert tool.main([str(data_root), '--val-images', '2']) == 1
    error = capsys.readouterr().err
    assert error.startswith('error: ')
    assert 'animalpose_train.json' in error
    assert '--force' in error
    assert read_annotations(data_root, 'val') == before
    assert tool.main([str(data_root), '--val-images', '2', '--force']) == 0
    assert len(read_annotations(data_root, 'val')['images']) == 2


def test_missing_and_broken_images(data_root, capsys):
    (data_root / 'images/b.jpg').unlink()
    image = (data_root / 'images/c.jpg').read_bytes()
    (data_root / 'images/c.jpg').write_bytes(image[:-10])
    assert tool.main([str(data_root)]) == 1
    error = capsys.readouterr().err
    assert error.startswith('error: 2 of 3 images')
    assert 'images/b.jpg: missing' in error
    assert f'images/c.jpg: cannot be decoded ({len(image) - 10} bytes, cut off)' in error
    assert '--skip-broken' in error
    assert not (data_root / 'annotations').exists()


def test_skip_broken_moves_no_image_to_the_other_split(data_root, capsys):
    (data_root / 'images/c.jpg').write_bytes(b'')
    assert tool.main([str(data_root), '--skip-broken']) == 0
    assert 'images/c.jpg: cannot be decoded (0 bytes)' in capsys.readouterr().out
    assert file_names(read_annotations(data_root, 'val')) == ['images/a.jpg']
    train = read_annotations(data_root, 'train')
    assert file_names(train) == ['images/b.jpg']
    assert train['info']['broken_images'] == ['c.jpg']
    (data_root / 'images/b.jpg').unlink()
    assert tool.main([str(data_root), '--skip-broken']) == 1
    assert 'no image is left for train' in capsys.readouterr().err


@pytest.mark.parametrize('name', ['keypoints.json', 'images', ''])
def test_error_says_what_is_absent_and_where_to_get_it(data_root, capsys, name):
    root = data_root if name else data_root / 'nowhere'
    if name:
        (data_root / name).rename(data_root / 'elsewhere')
    assert tool.main([str(root)]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f'error: {root / name} does not exist')
    assert 'https://sites.google.com/view/animal-pose/' in error


def test_malformed_json(data_root, capsys):
    (data_root / 'keypoints.json').write_text('{"images": {')
    assert tool.main([str(data_root)]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f'error: {data_root / "keypoints.json"} cannot be used: ')
    assert 'line 1 column 13' in error


@pytest.mark.parametrize(
    ('path', 'value', 'message'),
    [
        (['images'], [], 'expected an object with a dict "images"'),
        (['images', 'x'], 'd.jpg', 'expected "images" to map numbers to file names'),
        (['images', '3'], 'a.jpg', '"images" lists a.jpg under more than one id'),
        (['categories', 1, 'name'], 'zebra', "unexpected category 'zebra', expected dog, cat"),
        (['categories', 4, 'keypoints'], AUTHORS_NAMES[::-1], "unexpected keypoints of category 'cow'"),
        (['annotations', 2, 'image_id'], 9, r'annotations\[2\] is .*, expected image_id'),
        (['annotations', 2, 'category_id'], 9, r'annotations\[2\] is '),
        (['annotations', 2, 'bbox'], [1, 2, 3], r'annotations\[2\] is '),
        (['annotations', 2, 'bbox'], [1, 2, 3, '4'], r'annotations\[2\] is '),
        (['annotations', 2, 'bbox'], [1, 2, 3, float('nan')], r'annotations\[2\] is '),
        (['annotations', 2, 'keypoints', 19], [1.0, 2.0, 2], r'annotations\[2\] is '),
        (['annotations', 2, 'keypoints', 19], [1.0, 2.0], r'annotations\[2\] is '),
        (['annotations', 2, 'keypoints'], None, r'annotations\[2\] is '),
        (['annotations', 2], 'cat', r'annotations\[2\] is '),
        (['categories', 0], 'dog', "unexpected category 'dog'"),
    ],
)
def test_unexpected_content_is_named(source, path, value, message):
    tool.check_source(source)
    place = source
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    with pytest.raises(ValueError, match=message):
        tool.check_source(source)


@pytest.mark.skipif(not REAL_SOURCE.is_file(), reason='the real annotations are not here')
def test_real_annotations():
    source = json.loads(REAL_SOURCE.read_bytes())
    tool.check_source(source)
    species = {category['id']: category['name'] for category in source['categories']}
    animals = Counter(species[item['category_id']] for item in source['annotations'])
    assert (len(source['images']), len(source['annotations'])) == (3608, 5117)
    assert animals == {'dog': 1571, 'cat': 1266, 'sheep': 878, 'horse': 760, 'cow': 642}
    # no image is decoded: with all of them as large as can be, no point but those left of or above one is outside
    coco, dropped = tool.convert_dataset(source, dict.fromkeys(source['images'].values(), (10000, 10000)))
    splits = tool.make_splits(coco, tool.choose_val_names(source, None, 0), {})
    counts = {split: content['info']['counts'] for split, content in splits.items()}
    assert (counts['train']['images'], counts['val']['images']) == (2795, 810)
    assert (counts['train']['animals'], counts['val']['animals']) == (3965, 1109)
    assert counts['trainval'] == {
        'images': 3605, 'dog': 1569, 'cat': 1265, 'sheep': 842, 'horse': 759, 'cow': 639, 'animals': 5074,
        'keypoints': 57175,
    }  # fmt: skip
    assert dropped == {
        'animals without a labelled keypoint (no loss, no AP)': 43,
        'labelled points outside their image (now unlabelled)': 3,
        'images with no animal left': 3,
    }
