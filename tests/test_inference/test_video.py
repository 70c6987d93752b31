"""Videos that are written: H.264 where PyAV is installed, MPEG-4 Part 2 without."""

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from clamp.inference import video
from clamp.inference.video import VideoFile


def read(path) -> tuple[str, list[np.ndarray]]:
    """Return the codec and the frames, BGR."""
    file, frames = cv2.VideoCapture(str(path)), []
    while (found := file.read())[0]:
        frames.append(found[1])
    return int(file.get(cv2.CAP_PROP_FOURCC)).to_bytes(4, 'little').decode(), frames


def write(path, size=(64, 48), number=30):
    file = VideoFile(path, 29.97, size)
    for value in range(number):
        file.write(np.full((*size[::-1], 3), (200, 100, 8 * value), np.uint8))
    file.close()


@pytest.mark.parametrize('size', [(64, 48), (63, 47)])
def test_browsers_play_what_pyav_writes(tmp_path, size):
    pytest.importorskip('av')
    write(tmp_path / 'v.mp4', size)
    codec, frames = read(tmp_path / 'v.mp4')
    assert (codec, len(frames), frames[0].shape) == ('h264', 30, (48, 64, 3))
    np.testing.assert_allclose(frames[20][10, 10], (200, 100, 160), atol=6)
    assert cv2.VideoCapture(str(tmp_path / 'v.mp4')).get(cv2.CAP_PROP_FPS) == pytest.approx(29.97)


def test_opencv_writes_where_there_is_no_pyav(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'av', None)
    write(tmp_path / 'v.mp4')
    codec, frames = read(tmp_path / 'v.mp4')
    assert (codec, len(frames), frames[0].shape) == ('FMP4', 30, (48, 64, 3))


@pytest.mark.parametrize('rate', [200 / 3, 211.222, 30000 / 1001, 1000.57, 0.1, 120])
@pytest.mark.parametrize('h264', [True, False])
def test_rates_that_the_codecs_can_hold(tmp_path, monkeypatch, h264, rate):
    """66.67 frames per second in MPEG-4 Part 2, whose numerators have 16 bits, 200/3 in H.264."""
    if h264:
        pytest.importorskip('av')
    monkeypatch.setattr(video, 'has_h264', lambda: h264)
    file = VideoFile(tmp_path / 'v.mp4', rate, (64, 48))
    for _ in range(3):
        file.write(np.zeros((48, 64, 3), np.uint8))
    file.close()
    found = cv2.VideoCapture(str(tmp_path / 'v.mp4')).get(cv2.CAP_PROP_FPS)
    assert found == pytest.approx(rate, rel=1e-6 if h264 else 1e-3)


@pytest.mark.parametrize('h264', [True, False])
def test_a_colon_in_a_folder_is_no_protocol(tmp_path, monkeypatch, h264):
    if h264:
        pytest.importorskip('av')
    monkeypatch.setattr(video, 'has_h264', lambda: h264)
    monkeypatch.chdir(tmp_path)
    Path('run:1').mkdir()
    write('run:1/v.mp4', number=3)
    assert len(read('./run:1/v.mp4'.replace('.', str(tmp_path), 1))[1]) == 3


@pytest.mark.parametrize('h264', [True, False])
def test_what_cannot_be_written_is_an_error(tmp_path, monkeypatch, h264):
    if h264:
        pytest.importorskip('av')
    monkeypatch.setattr(video, 'has_h264', lambda: h264)
    with pytest.raises(OSError, match=r'v.mp4 cannot be written by .*, 64x48 pixels, 10 frames per second'):
        VideoFile(tmp_path / 'no folder/v.mp4', 10, (64, 48))


def test_an_error_of_pyavs_own_names_the_file(tmp_path):
    """x264 takes no side above 16,384; PyAV's error then is neither an OSError nor a ValueError."""
    pytest.importorskip('av')
    with pytest.raises(OSError, match=r'v.mp4 cannot be written by PyAV: H.264, 17000x20 pixels'):
        VideoFile(tmp_path / 'v.mp4', 25, (17000, 20))


@pytest.mark.slow
def test_a_killed_process_leaves_the_frames_until_then(tmp_path):
    pytest.importorskip('av')
    lines = [
        'import os, numpy as np; from clamp.inference.video import VideoFile',
        f'file = VideoFile({str(tmp_path / "v.mp4")!r}, 25, (64, 48))',
        'for i in range(200): file.write(np.full((48, 64, 3), i, np.uint8))',
        'os._exit(9)',
    ]
    assert subprocess.run([sys.executable, '-c', '\n'.join(lines)], check=False).returncode == 9
    assert len(read(tmp_path / 'v.mp4')[1]) >= 50
