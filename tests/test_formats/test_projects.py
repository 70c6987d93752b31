"""Labels of DeepLabCut and SLEAP, read to train on."""

import subprocess
import sys
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from clamp.formats.deeplabcut import annotation, read_project
from clamp.formats.sleap import _write_image, read_labels

CONFIG = """\
Task: mice
scorer: Ana
multianimalproject: false
bodyparts: [nose, tail]
skeleton: [[nose, tail], [nose, ear]]
"""
LABELS = """\
scorer,,,Ana,Ana,Ana,Ana
bodyparts,,,nose,nose,tail,tail
coords,,,x,y,x,y
labeled-data,clip,img0.png,10,20,50,40
labeled-data,clip,img1.png,,,30,30
"""


@pytest.fixture
def project(tmp_path):
    folder = tmp_path / 'labeled-data/clip'
    folder.mkdir(parents=True)
    (tmp_path / 'config.yaml').write_text(CONFIG)
    (folder / 'CollectedData_Ana.csv').write_text(LABELS)
    for name in ('img0.png', 'img1.png'):
        cv2.imwrite(str(folder / name), np.zeros((60, 80, 3), np.uint8))
    return tmp_path


def test_a_project_of_deeplabcut(project):
    coco, images = read_project(project)
    assert images == project
    assert coco['images'][0] == dict(id=1, file_name='labeled-data/clip/img0.png', width=80, height=60)
    assert coco['categories'] == [dict(id=1, name='mice', keypoints=['nose', 'tail'], skeleton=[[1, 2]])]
    one, two = coco['annotations']
    assert (one['image_id'], one['keypoints'], one['num_keypoints']) == (1, [10, 20, 2, 50, 40, 2], 2)
    assert one['bbox'] == [6, 16, 48, 28]  # 40 by 20 and a tenth of 40 on each side
    assert (two['keypoints'], two['num_keypoints']) == ([0, 0, 0, 30, 30, 2], 1)
    assert two['bbox'] == pytest.approx([28.4, 28.4, 3.2, 3.2])  # a fiftieth of the image around one keypoint
    assert read_project(project / 'config.yaml') == (coco, images)


def test_a_project_of_several_animals_in_one_column_of_names(project):
    config = CONFIG.replace('bodyparts', 'multianimalbodyparts').replace('false', 'true')
    (project / 'config.yaml').write_text(config)
    header = ['scorer' + ',Ana' * 10, 'individuals' + ',a' * 4 + ',b' * 4 + ',single' * 2]
    header += ['bodyparts' + ',nose,nose,tail,tail' * 2 + ',corner,corner', 'coords' + ',x,y' * 5]
    rows = ['labeled-data/clip/img0.png,1,2,3,4,5,6,7,8,0,0', r'labeled-data\clip\img1.png,,,,,5,6,,,0,0']
    (project / 'labeled-data/clip/CollectedData_Ana.csv').write_text('\n'.join(header + rows))
    coco, _ = read_project(project)
    found = [(one['image_id'], one['keypoints']) for one in coco['annotations']]
    assert found == [(1, [1, 2, 2, 3, 4, 2]), (1, [5, 6, 2, 7, 8, 2]), (2, [5, 6, 2, 0, 0, 0])]


@pytest.mark.parametrize(
    ('file', 'content', 'error', 'message'),
    [
        ('config.yaml', None, FileNotFoundError, r'has no config.yaml'),
        ('config.yaml', 'Task: mice', ValueError, r'no config.yaml of a DeepLabCut project: there is no .bodyparts'),
        (
            'config.yaml',
            CONFIG.replace('tail]', 'tails]', 1),
            ValueError,
            r"\['tail'\] in the labels alone, \['tails'\]",
        ),
        ('config.yaml', '[', ValueError, 'no config.yaml of a DeepLabCut'),
        ('config.yaml', CONFIG.replace('[nose, ear]', '7'), ValueError, 'no config.yaml of a DeepLabCut'),
        ('labeled-data/clip/img1.png', None, FileNotFoundError, r'img1.png of .*CollectedData_Ana.csv is not there'),
        ('labeled-data/clip/img1.png', 'text', ValueError, r'img1.png of .*CollectedData_Ana.csv cannot be read'),
        ('labeled-data/clip/CollectedData_Ana.csv', None, FileNotFoundError, 'has no labels'),
        ('labeled-data/clip/CollectedData_Ana.csv', 'a,b\n', ValueError, 'is no table of labels'),
        ('labeled-data/clip/CollectedData_Ana.csv', LABELS.replace('30,30', '30,x'), ValueError, 'line 5'),
        ('labeled-data/clip/CollectedData_Ana.csv', LABELS.replace('30,30', '30'), ValueError, 'line 5'),
        (
            'labeled-data/clip/CollectedData_Ana.csv',
            LABELS.replace(',x,y\n', '\n'),
            ValueError,
            r"\['tail'\] in the config alone",
        ),
        (
            'labeled-data/clip/CollectedData_Ana.csv',
            LABELS.replace('tail,tail', 'nose,nose'),
            ValueError,
            'has two columns nose x',
        ),
        (
            'labeled-data/clip/CollectedData_Ana.csv',
            LABELS.encode('utf-16').decode('latin-1'),
            ValueError,
            'is no table of labels',
        ),
        (
            'labeled-data/clip/CollectedData_Ana.csv',
            f'"{"a" * 200_000}',
            ValueError,
            'Ana.csv cannot be read as a table',
        ),
    ],
)
def test_projects_that_cannot_be_read(project, file, content, error, message):
    (project / file).unlink()
    if content is not None:
        (project / file).write_text(content)
    with pytest.raises(error, match=message):
        read_project(project)


def test_a_box_stays_in_the_image():
    box = annotation(np.array([[0, 0], [79, 59.0], [np.nan, 5]]), 80, 60)['bbox']
    assert box == [0, 0, 80, 60]


def test_an_image_of_another_data_set_is_not_written_over(tmp_path):
    frame = SimpleNamespace(image=np.zeros((6, 8, 3), np.uint8), frame_idx=7, video='clip')
    labels = SimpleNamespace(videos=['clip'])
    for _ in range(2):
        assert _write_image(frame, labels, tmp_path, 'mice.slp') == (6, 8, 'video0_frame000007.png')
    frame.image = frame.image + 1
    with pytest.raises(ValueError, match=r'frame000007.png is there and holds something else: choose another --name'):
        _write_image(frame, labels, tmp_path, 'rats.slp')
    assert not cv2.imread(str(tmp_path / 'video0_frame000007.png')).any()


@pytest.fixture
def labels(tmp_path):
    """A video of which a person labelled two frames, and a model another."""
    sio = pytest.importorskip('sleap_io')
    path = tmp_path / 'clip.avi'
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'MJPG'), 10, (80, 60))
    for value in (0, 100, 200):
        writer.write(np.full((60, 80, 3), value, np.uint8))
    writer.release()
    skeleton = sio.Skeleton(['nose', 'tail'], [('nose', 'tail')], name='mouse')
    video = sio.load_video(str(path))
    points = [np.array([[10, 20], [50, 40.0]]), np.array([[np.nan, np.nan], [30, 30.0]])]
    kinds = [sio.Instance.from_numpy(one, skeleton) for one in points]
    kinds.append(sio.PredictedInstance.from_numpy(points[0], skeleton, np.ones(2)))
    frames = [sio.LabeledFrame(video=video, frame_idx=i, instances=[one]) for i, one in enumerate(kinds)]
    return sio.Labels(frames, [video], [skeleton])


@pytest.mark.parametrize('embed', [False, 'user'])
def test_a_file_of_sleap(labels, tmp_path, embed):
    path = tmp_path / ('labels.pkg.slp' if embed else 'labels.slp')
    labels.save(str(path), embed=embed, verbose=False)
    coco = read_labels(path, tmp_path / 'images')
    assert [image['file_name'] for image in coco['images']] == [f'video0_frame00000{i}.png' for i in range(2)]
    assert coco['categories'] == [dict(id=1, name='mouse', keypoints=['nose', 'tail'], skeleton=[[1, 2]])]
    assert [one['keypoints'] for one in coco['annotations']] == [[10, 20, 2, 50, 40, 2], [0, 0, 0, 30, 30, 2]]
    assert abs(int(cv2.imread(str(tmp_path / 'images/video0_frame000001.png')).mean()) - 100) < 3


def test_files_of_sleap_that_cannot_be_used(labels, tmp_path):
    with pytest.raises(FileNotFoundError, match=r'no.slp is not there'):
        read_labels(tmp_path / 'no.slp', tmp_path / 'images')
    (tmp_path / 'text.slp').write_text('text')
    with pytest.raises(ValueError, match='cannot be read as a SLEAP file'):
        read_labels(tmp_path / 'text.slp', tmp_path / 'images')
    labels.save(str(tmp_path / 'labels.slp'), embed=False, verbose=False)
    labels.skeletons.append(type(labels.skeletons[0])(['nose'], name='rat'))
    labels.save(str(tmp_path / 'two.slp'), embed=False, verbose=False)
    with pytest.raises(ValueError, match=r'two.slp has 2 skeletons; make a file of each'):
        read_labels(tmp_path / 'two.slp', tmp_path / 'images')
    (tmp_path / 'clip.avi').unlink()
    with pytest.raises(FileNotFoundError, match=r'Frame 0 of .*clip.avi.* cannot be read'):
        read_labels(tmp_path / 'labels.slp', tmp_path / 'images')
    assert not (tmp_path / 'images').exists()


def test_formats_are_written_without_torch_and_mmpose():
    """As tools/predict.py does of an exported model."""
    code = 'import sys, clamp.formats.deeplabcut as _; print(*{"torch", "mmpose", "mmengine"} & set(sys.modules))'
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ''
