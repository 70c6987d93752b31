"""Which files are meant, what they are called, and the boxes of a COCO file for them."""

import json

import cv2
import numpy as np
import pytest

from clamp.inference.media import read_frames
from clamp.inference.sources import CocoBoxes, find_sources

PICTURE = np.full((16, 24, 3), (0, 0, 255), np.uint8)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / 'in/sub').mkdir(parents=True)
    for name in ('b.png', 'a.png', 'sub/a.png'):
        cv2.imwrite(str(tmp_path / 'in' / name), PICTURE)
    (tmp_path / 'in/notes.txt').write_text('no image')
    return tmp_path / 'in'


def test_folders_files_and_patterns(folder):
    assert [source.name for source in find_sources([str(folder)])[0]] == ['a.png', 'b.png', 'sub/a.png']
    assert [source.name for source in find_sources([str(folder / '*.png')])[0]] == ['a.png', 'b.png']
    assert [source.name for source in find_sources([str(folder / 'b.png'), str(folder / 'b.png')])[0]] == ['b.png']


def test_a_linked_folder_is_looked_into_and_hidden_files_are_not(folder, tmp_path):
    (tmp_path / 'elsewhere').mkdir()
    cv2.imwrite(str(tmp_path / 'elsewhere/c.png'), PICTURE)
    (folder / 'linked').symlink_to(tmp_path / 'elsewhere')
    (folder / '._a.png').write_bytes(b'of a Mac')
    names = [source.name for source in find_sources([str(folder)])[0]]
    assert names == ['a.png', 'b.png', 'linked/c.png', 'sub/a.png']


def test_what_cannot_be_meant_is_an_error(folder):
    with pytest.raises(FileNotFoundError, match=r'no image and no video at .*nowhere'):
        find_sources([str(folder / 'nowhere')])
    (folder / 'empty').mkdir()
    with pytest.raises(FileNotFoundError, match=r'no video at .*empty .*Nor is it a model: those have a config.json'):
        find_sources([str(folder / 'empty')])
    with pytest.raises(ValueError, match=r'notes.txt is neither an image'):
        find_sources([str(folder / 'notes.txt')])


def test_files_of_one_name_are_called_by_their_folders_too(folder):
    """IMG_0001.jpg of two cameras."""
    for inputs in (['a.png', 'sub/a.png'], ['sub', '*.png']):
        sources, said = find_sources([str(folder / name) for name in inputs])
        assert {(source.path, source.name) for source in sources} >= {
            (folder / 'a.png', 'a.png'),
            (folder / 'sub/a.png', 'sub/a.png'),
        }
        assert said == [f'two inputs are called a.png: results have their names from {folder} on']
    sources, said = find_sources([str(folder / 'sub'), str(folder / 'sub/../sub/a.png')])  # one file, named twice
    assert ([source.name for source in sources], said) == (['a.png'], [])


def test_boxes_of_a_coco_file(folder, tmp_path):
    coco = dict(
        images=[dict(id=7, file_name='sub/a.png'), dict(id=8, file_name='missing.png')],
        annotations=[dict(image_id=7, bbox=[1, 2, 3, 4], category_id=5), dict(image_id=7, bbox=[5, 6, 7, 8])],
    )
    (tmp_path / 'boxes.json').write_text(json.dumps(coco))
    boxes = CocoBoxes(str(tmp_path / 'boxes.json'))
    # file_name may begin at any folder of the path
    for inputs in ([str(folder)], [str(folder / 'sub')], [str(folder / 'sub/a.png')]):
        [frame] = read_frames(find_sources(inputs, boxes)[0], [], boxes)
        assert (frame.image_id, frame.boxes, frame.category_ids) == (7, [[1, 2, 3, 4], [5, 6, 7, 8]], [5, 1])
    with pytest.raises(ValueError, match=r'none of the 1 inputs, such as .*in/b.png; its .* such as sub/a.png, should'):
        find_sources([str(folder / 'b.png')], boxes)


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        ('[]', 'names no images'),
        ('{"images": []}', 'there is no list `annotations`'),
        ('{', 'not a COCO annotation file'),
        ('{"images": [], "annotations": [{"image_id": 1, "bbox": [0, 0, 1, 1]}]}', 'image_id is 1'),
    ],
)
def test_other_files_than_coco_are_refused(content, message, tmp_path):
    (tmp_path / 'boxes.json').write_text(content)
    with pytest.raises(ValueError, match=message):
        CocoBoxes(str(tmp_path / 'boxes.json'))


def test_what_is_passed_over_is_said(folder, tmp_path):
    for name in ('b.gif', 'sub/IMG.NEF'):
        (folder / name).touch()
    assert find_sources([str(folder)])[1] == [
        f'passed over, of a kind that is not read: 2 ({folder}/b.gif, {folder}/sub/IMG.NEF)'
    ]
    coco = dict(images=[dict(id=i, file_name=name) for i, name in enumerate(('b.png', 'no.png'))], annotations=[])
    (tmp_path / 'boxes.json').write_text(json.dumps(coco))
    _, said = find_sources([str(folder / '*.png')], CocoBoxes(str(tmp_path / 'boxes.json')))
    assert said == [
        f'passed over, not named in {tmp_path}/boxes.json: 1 ({folder}/a.png)',
        f'named in {tmp_path}/boxes.json, and not among the inputs: 1 (no.png)',
    ]


def test_frames_of_one_name_do_not_share_boxes(folder, tmp_path):
    image = dict(id=1, file_name='a.png')
    (tmp_path / 'boxes.json').write_text(json.dumps(dict(images=[image], annotations=[])))
    boxes = CocoBoxes(str(tmp_path / 'boxes.json'))
    with pytest.raises(ValueError, match=r'in/a\.png and .*in/sub/a\.png both fit a\.png of .*boxes\.json'):
        find_sources([str(folder)], boxes)
    (tmp_path / 'twice.json').write_text(json.dumps(dict(images=[image, image | dict(id=2)], annotations=[])))
    with pytest.raises(ValueError, match=r'a\.png'):
        CocoBoxes(str(tmp_path / 'twice.json'))


def test_pictures_of_two_inputs_do_not_get_one_name(folder):
    (folder / 'a.mts').touch()
    (folder / 'a.mts.mp4').touch()
    with pytest.raises(ValueError, match=r'a.mts and .*a.mts.mp4 would both be called a.mts.mp4'):
        find_sources([str(folder)])


def test_boxes_of_the_frames_of_a_video(tmp_path):
    video = cv2.VideoWriter(str(tmp_path / 'v.avi'), cv2.VideoWriter_fourcc(*'MJPG'), 10, (24, 16))
    for _ in range(4):
        video.write(PICTURE)
    video.release()
    places = [('v.avi', 1), ('v.avi', 0), ('v.avi', 9), ('v.avi', 8)]
    images = [dict(id=40 + i, file_name=name, frame=frame) for i, (name, frame) in enumerate(places)]
    animals = [dict(image_id=id_, bbox=[id_ - 40, 0, 5, 5], category_id=3) for id_ in (40, 41, 40, 42)]
    (tmp_path / 'boxes.json').write_text(json.dumps(dict(images=images, annotations=animals)))
    boxes, skipped = CocoBoxes(str(tmp_path / 'boxes.json')), []
    frames = list(read_frames(find_sources([str(tmp_path)], boxes)[0], skipped, boxes))
    assert [(frame.number, frame.boxes) for frame in frames] == [
        (0, [[1, 0, 5, 5]]),
        (1, [[0, 0, 5, 5], [0, 0, 5, 5]]),
        (2, []),
        (3, []),
    ]
    assert (frames[1].image_id, frames[1].category_ids) == (40, [3, 3])
    assert skipped == [f'{tmp_path}/v.avi has 4 frames, but {tmp_path}/boxes.json has boxes of frame 9']


def test_boxes_without_a_frame_are_for_all_and_two_of_one_frame_are_an_error(tmp_path):
    path, image = tmp_path / 'boxes.json', dict(id=1, file_name='v.avi')
    path.write_text(json.dumps(dict(images=[image], annotations=[dict(image_id=1, bbox=[0, 0, 5, 5])])))
    boxes = CocoBoxes(str(path))
    assert [boxes.of(tmp_path / 'v.avi', number)[1] for number in (0, 99)] == [[[0, 0, 5, 5]]] * 2
    path.write_text(json.dumps(dict(images=[image | dict(frame=3), image | dict(id=2, frame=3)], annotations=[])))
    with pytest.raises(ValueError, match=r'`file_name` of `images` should be unique .*v.avi'):
        CocoBoxes(str(path))
    path.write_text(json.dumps(dict(images=[image | dict(frame=-3)], annotations=[])))
    with pytest.raises(ValueError, match=r'`frame` should be a whole number from 0 .*frame is -3'):
        CocoBoxes(str(path))
