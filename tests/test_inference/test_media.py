import sys
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, features

from clamp.images import image_size, read_image, to_rgb
from clamp.inference.media import _frame_rate, count_frames, read_frames
from clamp.inference.sources import find_sources

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


def test_a_video_whose_length_is_an_estimate_is_whole(folder, tmp_path):
    """Of Matroska, OpenCV makes the number of frames of duration and rate."""
    write_video(folder / 'c.avi', 3)
    for ending, said in (('avi', ['ended after 3 of the 5 frames that it declares: cut off, or trimmed']), ('mkv', [])):
        (tmp_path / f'c.{ending}').write_bytes((folder / 'c.avi').read_bytes())
        sources, skipped = find_sources([str(tmp_path / f'c.{ending}')])[0], []
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr('clamp.inference.media._declared_frames', lambda video: 5)
            assert len(list(read_frames(sources, skipped))) == 3
        assert [text.split(f'c.{ending} ')[1].rstrip('.') for text in skipped] == said


def test_a_damaged_header_is_a_broken_image(tmp_path):
    content = bytearray(cv2.imencode('.png', RED)[1].tobytes())
    content[16:24] = (50000).to_bytes(4, 'big') * 2  # width and height
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, 'big')
    (tmp_path / 'huge.png').write_bytes(content)
    with pytest.raises(ValueError, match=r'huge\.png cannot be read as an image'):
        read_image(tmp_path / 'huge.png')


def test_of_16_bits_the_upper_8_are_read_however_they_come(tmp_path):
    cv2.imwrite(str(tmp_path / 'a.png'), np.full((4, 4), 40000, np.uint16))
    assert read_image(tmp_path / 'a.png')[0, 0].tolist() == [156] * 3  # 40000 // 256
    assert to_rgb(Image.open(tmp_path / 'a.png'))[0, 0].tolist() == [156] * 3
    for mode in ('I', 'F'):  # of which nobody knows what is white
        with pytest.raises(ValueError, match=f'mode {mode}, 32 bits a pixel'):
            to_rgb(Image.new(mode, (4, 4)))


@pytest.mark.parametrize('ending', ['jpg', 'png', 'webp', 'tiff', 'avif'])
def test_the_size_is_that_of_the_image_as_it_is_read(tmp_path, ending):
    if ending == 'avif' and not features.check('avif'):
        pytest.skip('this Pillow has no AVIF')
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter clockwise
    Image.new('RGB', (24, 16)).save(tmp_path / f'a.{ending}', exif=exif)
    height, width = read_image(tmp_path / f'a.{ending}').shape[:2]
    assert image_size(tmp_path / f'a.{ending}') == (width, height)


@pytest.mark.slow
def test_an_image_of_200_megapixels_has_a_size(tmp_path):
    Image.new('1', (10000, 20000)).save(tmp_path / 'a.png')
    assert image_size(tmp_path / 'a.png') == (10000, 20000)


def test_unreadable_images(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'no.png is not there'):
        read_image(tmp_path / 'no.png')
    (tmp_path / 'empty.png').touch()
    with pytest.raises(ValueError, match=r'empty.png cannot be read as an image'):
        read_image(tmp_path / 'empty.png')


def test_the_rate_of_a_video_is_exact_or_25_where_it_says_none():
    """Rounded to 66.67, an hour of 200/3 would be 12 frames too short in files that hold times."""
    rates = [200 / 3, 30000 / 1001, 0.1, float('nan'), float('inf'), 0, 1e9]
    assert [_frame_rate(rate) for rate in rates] == [*rates[:3], 25, 25, 25, 25]


def test_a_time_in_the_name_of_a_video_is_no_protocol(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_video('video.avi', 3)
    Path('video.avi').rename('2026-01-01T10:30.avi')
    skipped = []
    assert len(list(read_frames(find_sources(['2026-01-01T10:30.avi'])[0], skipped))) == 3
    assert skipped == []


def test_an_image_that_the_disk_does_not_give_is_named(folder, monkeypatch):
    def fromfile(path, *args):
        if str(path).endswith('in/a.png'):
            raise OSError(5, 'Input/output error')
        return read(path, *args)

    read, skipped = np.fromfile, []
    monkeypatch.setattr(np, 'fromfile', fromfile)
    assert len(list(read_frames(find_sources([str(folder)])[0], skipped))) == 2
    assert skipped == [f'{folder}/a.png: [Errno 5] Input/output error']


def test_of_an_image_of_several_pages_the_first_is_read_and_that_is_said(tmp_path):
    cv2.imwritemulti(str(tmp_path / 'stack.tif'), [RED, RED, RED])
    cv2.imwrite(str(tmp_path / 'one.tif'), RED)
    skipped = []
    assert len(list(read_frames(find_sources([str(tmp_path)])[0], skipped))) == 2
    assert skipped == [f'{tmp_path}/stack.tif has 3 pages or frames: the first alone is read']


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
