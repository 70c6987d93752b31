import json

import cv2
import numpy as np
import pytest

from clamp.inference.media import CocoBoxes, count_frames, find_sources, read_frames, read_image

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
