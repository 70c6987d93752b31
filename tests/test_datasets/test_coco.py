"""The reader of annotation files, what it mends and refuses, and that MMPose reads through it."""

import json
import logging

import pytest
from mmengine.logging import MMLogger
from mmpose.evaluation.metrics import CocoMetric
from mmpose.registry import DATASETS
from PIL import Image

from clamp.checks import check_data
from clamp.datasets import coco as reader
from tests.tiny_data import average_precision, config, make_coco, write

NAN = float('nan')


def test_a_clean_file_is_read_as_it_is(folder, log):
    path = write(folder, make_coco())
    assert reader.read(path) == json.loads(path.read_bytes())
    assert log == []
    check_data(config(folder))
    check_data(config(folder), test=True)


def test_every_error_is_named_with_annotation_field_and_value(folder):
    coco = make_coco()
    coco['annotations'][0]['bbox'][1] = None
    coco['annotations'][1]['keypoints'][0] = NAN
    coco['annotations'][2]['area'] = 'large'
    coco['annotations'][3].update(category_id=7)
    del coco['images'][3]['file_name']
    coco['annotations'].append(3)
    with pytest.raises(ValueError, match=r'ann\.json cannot be used: ') as error:
        reader.read(write(folder, coco))
    for part in (
        'annotation 10: bbox[1] is null',
        'annotation 11: keypoints[0] is NaN',
        'annotation 12: area is "large"',
        'annotation 13: category_id is 7',
        'image 3: file_name is missing',
        'number 4 is 3',
        'tools/check_dataset.py',
    ):
        assert part in str(error.value)
    assert '\n' not in str(error.value)


def test_findings_are_counted_and_three_are_shown(folder):
    with pytest.raises(ValueError, match=r'\(4: annotation 10: area is -1, .*, annotation 12: area is -1, \.\.\.\)'):
        reader.read(write(folder, make_coco(area=-1)))


@pytest.mark.parametrize(
    ('change', 'said', 'expected'),
    [
        (dict(area=None), '`area` is missing', dict(area=200)),
        (dict(iscrowd=None), '`iscrowd` is missing', dict(iscrowd=0)),
        (dict(num_keypoints=None), '`num_keypoints` is missing: counted', dict(num_keypoints=2)),
        (dict(num_keypoints=0), '`num_keypoints` is not the number', dict(num_keypoints=2)),
        (dict(area='12.5'), '`area` is written as text', dict(area=12.5)),
        (dict(category_id='1'), '`category_id` is written as text', dict(category_id=1)),
        (dict(category_id=1.0), '`category_id` is written with a decimal point', dict(category_id=1)),
        (dict(keypoints=[3, 4, 2, None, NAN, 0, 5, 6, 1]), 'unlabelled', dict(keypoints=[3, 4, 2, 0, 0, 0, 5, 6, 1])),
        (dict(keypoints=[3, 4, 2, 1e30, 7, 0, 5, 6, 1]), 'unlabelled', dict(keypoints=[3, 4, 2, 0, 0, 0, 5, 6, 1])),
        (dict(keypoints=[3, 4, 2, 8, 7, 0, 5, 6, 1]), None, dict(keypoints=[3, 4, 2, 8, 7, 0, 5, 6, 1])),
    ],
)
def test_what_needs_no_guess_is_mended_and_said_once(folder, log, change, said, expected):
    path = write(folder, make_coco(**change))
    for _ in range(2):
        assert reader.read(path)['annotations'] == make_coco(**expected)['annotations']
    assert len(log) == (said is not None)
    assert said is None or (said in log[0] and '(4: annotation 10' in log[0])


def test_annotations_of_boxes_alone_are_left_out(folder, log):
    coco = make_coco()
    coco['annotations'].insert(0, dict(id=1, image_id=0, category_id=2, bbox=[0, 0, 5, 5]))
    coco['categories'].insert(0, dict(id=2, name='box', keypoints=[], skeleton=[]))
    assert [ann['id'] for ann in reader.read(write(folder, coco))['annotations']] == [10, 11, 12, 13]
    assert 'left out (1: annotation 1)' in log[0]
    assert len(reader.read_boxes(folder / 'ann.json')['annotations']) == 5
    with_boxes = average_precision(folder)
    write(folder, make_coco())
    assert with_boxes == average_precision(folder)


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (b'', 'no JSON'),
        (b'{"images": [', 'no JSON'),
        (b'\xff\xfe\x00', 'no JSON'),
        (b'{"images": ' + b'[' * 1000 + b']' * 1000 + b'}', 'nested more than 100 deep'),
        (b'[' * 100_000, 'nested more than 100 deep'),
        (b'[1]', 'names no images'),
        (b'3', 'no list `images`, `annotations`, `categories`'),
        (dict(make_coco(), annotations=None), 'no list `annotations`'),
        (dict(make_coco(), annotations=[]), 'there are no keypoints'),
        (dict(make_coco(), images=[]), 'there are no images'),
        (make_coco(keypoints=[]), 'there are no keypoints'),
        (make_coco(keypoints=[1, 2]), r'3 times x, y, visibility \(4: annotation 10: 2 numbers'),
        (make_coco(keypoints=[1, 2, -1] * 3), r'0, 1 or 2 \(4: annotation 10: -1'),
        (dict(make_coco(), categories=[dict(id=1, name='a\nb')]), r'without control characters \(1: category 1: name'),
        (dict(make_coco(), categories=[dict(id=1, name='a', keypoints=[1, 2, 3])]), r'keypoints\[0\] is 1'),
    ],
)
def test_other_files_are_refused(folder, content, message):
    path = write(folder, content)
    with pytest.raises(ValueError, match=message):
        reader.refuse(path, reader.inspect(reader.load(path), num_keypoints=3))
    with pytest.raises(ValueError, match=r'ann\.json'):
        reader.read(path)


def test_brackets_in_strings_are_no_depth(folder):
    coco = make_coco() | dict(info='[' * 500 + '\\"{')
    assert reader.load(write(folder, coco)) == coco


def test_byte_order_mark(folder, log):
    write(folder, make_coco())
    without = average_precision(folder)
    path = write(folder, b'\xef\xbb\xbf' + json.dumps(make_coco()).encode())
    assert reader.read(path) == make_coco()
    assert 'byte-order mark' in log[0]
    assert len(DATASETS.build(config(folder))) == 4
    assert average_precision(folder) == without


def test_coordinates_of_unlabelled_keypoints_never_reach_mmpose(folder):
    write(folder, make_coco())
    clean = average_precision(folder)
    assert 0 < clean < 1
    write(folder, make_coco(keypoints=[3, 4, 2, NAN, None, 0, 5, 6, 1]))
    assert average_precision(folder) == clean
    sample = DATASETS.build(config(folder)).get_data_info(0)
    assert sample['keypoints'][0].tolist() == [[3, 4], [0, 0], [5, 6]]
    write(folder, make_coco(keypoints=[NAN, 4, 2, 0, 0, 0, 5, 6, 1]))
    with pytest.raises(ValueError, match=r'keypoints\[0\] is NaN'):
        CocoMetric(ann_file=str(folder / 'ann.json'))


def test_sizes_are_read_from_the_images_and_compared_with_them(folder, log):
    coco = make_coco()
    for image, size in zip(coco['images'], (dict(width=0, height=0), dict(width=None), dict(height='24'), {})):
        image.update(size)
    write(folder, coco)
    check_data(config(folder))
    assert log == []  # the data set says it, into the log of the training
    dataset = DATASETS.build(config(folder))
    assert [text.split('not given, ')[1] for text in log] == ['read from the image (3: 0.png, 1.png, 2.png)']
    assert dataset.get_data_info(0)['bbox'].tolist() == [[1, 2, 11, 22]]
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.new('RGB', (32, 24)).save(folder / '3.png', format='JPEG', exif=turned)
    with pytest.raises(ValueError, match=r'of another size .* \(1: 3\.png: \(24, 32\) and not \(32, 24\)\)'):
        check_data(config(folder))
    (folder / '3.png').write_bytes(b'broken')
    check_data(config(folder))  # training takes another sample in its place
    del coco['images'][3]['width']
    write(folder, coco)
    with pytest.raises(ValueError, match=r'the image cannot be read \(1: 3\.png\)'):
        check_data(config(folder))


def test_nothing_to_train_or_test_on(folder):
    for change in (dict(iscrowd=1), dict(keypoints=[3, 4, 0] * 3), dict(bbox=[40, 2, 10, 10])):
        write(folder, make_coco(**change))
        for test, verb in ((False, 'train'), (True, 'test')):
            with pytest.raises(ValueError, match=f'has nothing to {verb} on: of its 4 annotations, '):
                check_data(config(folder), test)
    coco = make_coco()
    coco['annotations'][2]['bbox'] = [1, 2, 0, 20]
    write(folder, coco)
    check_data(config(folder))  # trained on the others
    with pytest.raises(ValueError, match=r'AP would count them as missed \(1: annotation 12\)'):
        check_data(config(folder), test=True)


def test_another_number_of_keypoints_than_the_config(folder):
    write(folder, make_coco(keypoints=[1, 2, 2, 3, 4, 2]))
    with pytest.raises(ValueError, match=r'`keypoints` should be 3 times .* annotation 10: 6 numbers'):
        check_data(config(folder))


def test_the_log_is_mmengines(folder, caplog):
    path = write(folder, make_coco(area=None))
    logger = MMLogger.get_current_instance()
    logger.addHandler(caplog.handler)
    reader.read(path)
    logger.removeHandler(caplog.handler)
    assert [(record.levelno, 'area' in record.getMessage()) for record in caplog.records] == [(logging.WARNING, True)]
