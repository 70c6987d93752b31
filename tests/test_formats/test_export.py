"""What predict.py wrote, in other formats, and read back by the programs that people use."""

import csv
from pathlib import Path

import numpy as np
import pytest

from clamp.formats import check_formats, export
from clamp.formats.export import Source
from clamp.formats.tracks import read_tracks

POINTS = np.random.default_rng(0).uniform(0, 100, (5, 2, 3, 3)).round(2)  # frames, animals, keypoints, (x, y, score)
NAMES = ['nose', 'tail root', 'left ear']


@pytest.fixture
def predictions(tmp_path) -> Path:
    """A video of five frames; the second animal is not there in the third one; and two images of one animal."""
    path = tmp_path / 'predictions.csv'
    rows = [['file', 'frame', 'animal', 'keypoint', 'x', 'y', 'score']]
    for frame, animal in np.ndindex(5, 2):
        if (frame, animal) != (2, 1):
            values = POINTS[frame, animal].tolist()
            rows += [['clip.mp4', frame, animal + 1, name, *value] for name, value in zip(NAMES, values)]
    for index, image in enumerate(('a.jpg', 'sub/b.jpg')):
        rows += [[image, '', 0, name, *value] for name, value in zip(NAMES, POINTS[index, 0].tolist())]
    with open(path, 'w', newline='') as file:
        csv.writer(file).writerows(rows)
    return path


@pytest.fixture
def expected() -> np.ndarray:
    points = POINTS.copy()
    points[2, 1] = np.nan
    return points


def test_predictions_are_read(predictions, expected):
    video, images = read_tracks(predictions)
    assert (video.name, video.images, video.individuals) == ('clip.mp4', [], ['animal1', 'animal2'])
    np.testing.assert_array_equal(video.points, expected)
    assert (images.name, images.images, images.individuals) == ('images', ['a.jpg', 'sub/b.jpg'], ['animal0'])
    np.testing.assert_array_equal(images.points, POINTS[:2, :1])
    assert video.keypoint_names == images.keypoint_names == NAMES


def test_a_video_has_the_frames_after_its_last_animal_too(predictions, expected):
    video, images = read_tracks(predictions, {'clip.mp4': 7, 'a.jpg': 0})
    np.testing.assert_array_equal(video.points, np.concatenate([expected, np.full((2, 2, 3, 3), np.nan)]))
    assert len(images.points) == 2
    assert len(read_tracks(predictions, {'clip.mp4': 3})[0].points) == 5


def test_of_a_run_that_was_cut_off_all_but_the_last_line_is_read(predictions, expected):
    text = predictions.read_text()
    predictions.write_text(text[: text.index('a.jpg') - 8])  # in the middle of the video's last keypoint
    [video] = read_tracks(predictions)
    np.testing.assert_array_equal(video.points[:4], expected[:4])


def test_poses_that_no_memory_holds_are_told_before_they_are_laid_out(predictions):
    with pytest.raises(ValueError, match=r'clip\.mp4: 1000000000000 frames of 2 animals are 144000 GB, and'):
        read_tracks(predictions, {'clip.mp4': 10**12})


@pytest.mark.parametrize('content', ['', 'a,b\n1,2\n', 'file,frame,animal,keypoint,x,y,score\nv,1,0,nose,wide,2,3\n'])
def test_other_tables_are_refused(tmp_path, content):
    (tmp_path / 'predictions.csv').write_text(content)
    with pytest.raises(ValueError, match=r'is no predictions.csv|cannot be read as predictions'):
        read_tracks(tmp_path / 'predictions.csv')


def test_a_name_does_not_lead_out_of_the_folder(predictions, monkeypatch):
    predictions.write_text(predictions.read_text().replace('clip.mp4', '../../clip.mp4'))
    monkeypatch.setattr('importlib.util.find_spec', lambda name: name)  # before a format's package is imported
    with pytest.raises(ValueError, match=r"'../../clip.mp4' would be written outside of .*dlc"):
        export(predictions, ['dlc'])


def test_formats_that_are_unknown_or_lack_a_package(monkeypatch):
    with pytest.raises(ValueError, match='The format excel is not known: choose of dlc, sleap, nwb'):
        check_formats(['excel'])
    monkeypatch.setattr('importlib.util.find_spec', lambda name: None)
    with pytest.raises(ImportError, match=r'needs pandas and tables: pip install .*\[formats\]'):
        check_formats(['dlc'])


def positions(dataset) -> np.ndarray:
    """Points (T, I, K, 3) of a dataset of movement."""
    xy = dataset.position.transpose('time', 'individuals', 'keypoints', 'space').values
    return np.concatenate([xy, dataset.confidence.transpose('time', 'individuals', 'keypoints').values[..., None]], -1)


@pytest.mark.parametrize('ending', ['csv', 'h5'])
def test_deeplabcuts_files_are_read_by_movement(predictions, expected, ending):
    load_poses = pytest.importorskip('movement.io.load_poses')
    assert export(predictions, ['dlc'])[:2] == [predictions.parent / f'dlc/clip.mp4.{one}' for one in ('csv', 'h5')]
    dataset = load_poses.from_dlc_file(predictions.parent / f'dlc/clip.mp4.{ending}', fps=25)
    assert dataset.individuals.values.tolist() == ['animal1', 'animal2']
    assert dataset.keypoints.values.tolist() == NAMES
    np.testing.assert_allclose(positions(dataset), expected)


def test_deeplabcuts_csv_of_one_animal_by_hand(predictions):
    from clamp.formats.deeplabcut import write_csv

    _, images = read_tracks(predictions)
    write_csv(images, predictions.parent / 'one.csv')
    with open(predictions.parent / 'one.csv', newline='') as file:
        rows = list(csv.reader(file))
    assert rows[0] == ['scorer'] + ['CLAMP'] * 9
    assert rows[1] == ['bodyparts'] + [name for name in NAMES for _ in range(3)]
    assert rows[2] == ['coords'] + ['x', 'y', 'likelihood'] * 3
    assert rows[4] == ['sub/b.jpg', *map(str, POINTS[1, 0].ravel().tolist())]
    assert len(rows) == 5


@pytest.mark.parametrize('ending', ['slp', 'analysis.h5'])
def test_sleaps_files_are_read_by_movement(predictions, expected, ending):
    load_poses = pytest.importorskip('movement.io.load_poses')
    export(predictions, ['sleap'], [[0, 1], [0, 2]])
    dataset = load_poses.from_sleap_file(predictions.parent / f'sleap/clip.mp4.{ending}', fps=25)
    np.testing.assert_allclose(positions(dataset), expected, rtol=1e-6)


def test_sleaps_labels_are_read_by_sleap_io(predictions, expected):
    sio = pytest.importorskip('sleap_io')
    known = {'clip.mp4': Source(Path('/videos/clip.mp4')), 'a.jpg': Source(Path('/one/a.jpg'))}
    export(predictions, ['sleap'], [[0, 1], [0, 2]], known)
    labels = sio.load_slp(str(predictions.parent / 'sleap/clip.mp4.slp'))
    assert labels.video.filename == '/videos/clip.mp4'
    assert labels.skeleton.node_names == NAMES
    assert labels.skeleton.edge_inds == [(0, 1), (0, 2)]
    assert [track.name for track in labels.tracks] == ['animal1', 'animal2']
    np.testing.assert_allclose(labels.numpy(return_confidence=True), expected)
    images = sio.load_slp(str(predictions.parent / 'sleap/images.slp'))
    assert images.tracks == []  # who is who in unrelated images, nobody has said
    np.testing.assert_allclose(images.numpy()[:, 0], POINTS[:2, 0, :, :2])
    assert images.video.filename == ['/one/a.jpg', 'sub/b.jpg']  # where they are, or as the table calls them


def test_nwb_is_read_by_movement(predictions, expected):
    pynwb, load_poses = pytest.importorskip('pynwb'), pytest.importorskip('movement.io.load_poses')
    sources = {'clip.mp4': Source(Path('clip.mp4'), rate=29.97)}
    written = export(predictions, ['sleap', 'nwb'], [[0, 1]], sources)
    assert predictions.parent / 'nwb/clip.mp4.nwb' in written
    with pynwb.NWBHDF5IO(str(predictions.parent / 'nwb/clip.mp4.nwb'), 'r') as io:
        file = io.read()
        for index, animal in enumerate(('animal1', 'animal2')):
            dataset = load_poses.from_nwb_file(file, pose_estimation_key=animal)
            assert dataset.fps == 29.97
            np.testing.assert_allclose(positions(dataset.sel(keypoints=NAMES))[:, 0], expected[:, index])
        skeleton = file.processing['behavior']['Skeletons']['animal']
        assert skeleton.nodes[:].tolist() == NAMES
        assert skeleton.edges[:].tolist() == [[0, 1]]


def test_nwb_of_one_animal_is_found_by_its_default_name(predictions):
    load_poses = pytest.importorskip('movement.io.load_poses')
    rows = predictions.read_text().splitlines()
    predictions.write_text('\n'.join(row for row in rows if row.split(',')[2] != '2') + '\n')
    export(predictions, ['nwb'])
    dataset = load_poses.from_nwb_file(predictions.parent / 'nwb/clip.mp4.nwb')
    np.testing.assert_allclose(positions(dataset.sel(keypoints=NAMES))[:, 0], POINTS[:, 0])
