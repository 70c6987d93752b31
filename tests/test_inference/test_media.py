import json
import sys

import cv2
import numpy as np
import pytest
from PIL import Image

from clamp.inference.media import CocoBoxes, _frame_rate, count_frames, find_sources, read_frames, read_image

RED = np.full((16, 24, 3), (0, 0, 255), np.uint8)  # BGR


@pytest.fixture
def folder(tmp_path):
    (tmp_path / 'in/sub').mkdir(parents=True)
    for name in ('b.png', 'a.png', 'sub/a.png'):
        cv2.imwrite(str(tmp_path / 'in' / name), RED)
    (tmp_path / 'in/notes.txt').write_text('no image')
    return tmp_path / 'in'


def write_video(path, frames: int) -> None:
    video = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'MJPG'), 10, (24, 16))
    for _ in range(frames):
        video.write(RED)
    video.release()


def test_folders_files_and_patterns(folder):
    assert [source.name for source in find_sources([str(folder)])[0]] == ['a.png', 'b.png', 'sub/a.png']
    assert [source.name for source in find_sources([str(folder / '*.png')])[0]] == ['a.png', 'b.png']
    assert [source.name for source in find_sources([str(folder / 'b.png'), str(folder / 'b.png')])[0]] == ['b.png']


def test_what_cannot_be_meant_is_an_error(folder):
    with pytest.raises(FileNotFoundError, match=r'no image and no video at .*nowhere'):
        find_sources([str(folder / 'nowhere')])
    with pytest.raises(ValueError, match=r'notes.txt is neither an image'):
        find_sources([str(folder / 'notes.txt')])
    with pytest.raises(ValueError, match=r'Two inputs would both be called a.png'):
        find_sources([str(folder / 'a.png'), str(folder / 'sub/a.png')])


def test_images_and_videos_are_one_stream_and_broken_files_are_named(folder):
    write_video(folder / 'c.avi', 3)
    (folder / 'broken.jpg').write_bytes(b'\xff\xd8\xff')
    (folder / 'cut.mp4').write_bytes(b'')
    sources, skipped = find_sources([str(folder)])[0], []
    assert count_frames(sources) == 7  # an empty video has none, and a broken image is one until it is read
    frames = list(read_frames(sources, skipped))
    assert [(frame.name, frame.image_id) for frame in frames] == [
        ('a.png', 0),
        ('b.png', 1),
        ('c.avi, frame 0', 2),
        ('c.avi, frame 1', 3),
        ('c.avi, frame 2', 4),
        ('sub/a.png', 5),
    ]
    assert frames[2].rate == 10
    for frame in frames:
        assert frame.image.shape == (16, 24, 3)
        np.testing.assert_allclose(frame.image[8, 12], (255, 0, 0), atol=5)  # RGB
    assert [text.split('/')[-1].split(' ')[0] for text in skipped] == ['broken.jpg', 'cut.mp4']


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
    with pytest.raises(ValueError, match=r'boxes of none of the 1 inputs, such as b.png'):
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


def test_unreadable_images(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'no.png is not there'):
        read_image(tmp_path / 'no.png')
    (tmp_path / 'empty.png').touch()
    with pytest.raises(ValueError, match=r'empty.png cannot be read as an image'):
        read_image(tmp_path / 'empty.png')


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
    with pytest.raises(ValueError, match=r'Two inputs would both be called'):
        find_sources([str(folder)])


@pytest.mark.parametrize(
    ('rate', 'expected'),
    [
        (66.667, 66.67),
        (211.222, 211.22),
        (29.97, 29.97),
        (23.976, 23.976),
        (1000.57, 1000.6),
        (0.1, 0.1),
        (120, 120),
        (float('nan'), 25),
        (float('inf'), 25),
        (0, 25),
        (1e9, 25),
    ],
)
def test_rates_that_mpeg4_can_hold(rate, expected, tmp_path):
    assert _frame_rate(rate) == pytest.approx(expected)
    video = cv2.VideoWriter(str(tmp_path / 'v.mp4'), cv2.VideoWriter_fourcc(*'mp4v'), _frame_rate(rate), (24, 16))
    assert video.isOpened()
    video.release()


@pytest.mark.parametrize('suffix', ['.mpg', '.mts', '.wmv'])
def test_other_videos_are_read_to_their_end(suffix, tmp_path):
    code = dict(zip(('.mpg', '.mts', '.wmv'), ('MPG1', 'mpg2', 'WMV2')))[suffix]
    video = cv2.VideoWriter(str(tmp_path / f'v{suffix.upper()}'), cv2.VideoWriter_fourcc(*code), 25, (64, 48))
    for _ in range(30):
        video.write(np.full((48, 64, 3), 99, np.uint8))
    video.release()
    skipped = []
    assert len(list(read_frames(find_sources([str(tmp_path)])[0], skipped))) == 30
    assert skipped == []


HEIC = b'\0\0\0\x1cftypheic\0\0\0\0mif1heicmiaf'


def test_heic_is_called_heic(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'pillow_heif', None)  # not installed
    for name in ('a.heic', 'b.jpg'):
        (tmp_path / name).write_bytes(HEIC)
        with pytest.raises(ValueError, match=f'{name} is HEIC: pip install pillow-heif'):
            read_image(tmp_path / name)


def test_heic_is_read_by_pillow_heif(tmp_path):
    pytest.importorskip('pillow_heif').register_heif_opener()
    picture = np.full((48, 64, 3), (200, 10, 90), np.uint8)
    Image.fromarray(picture).save(tmp_path / 'a.heic', quality=95)
    np.testing.assert_allclose(read_image(tmp_path / 'a.heic'), picture, atol=6)
    [source] = find_sources([str(tmp_path)])[0]
    assert source.picture == 'a.heic.png'
