"""The tool around PosePredictor: what it writes, what it skips, what it refuses."""

import csv
import json
import shutil
import warnings

import cv2
import numpy as np
import pytest
import torch
from mmpose.datasets import AP10KDataset
from mmpose.datasets.datasets.utils import parse_pose_metainfo

from clamp.formats.tracks import read_tracks
from clamp.inference import Pose, ScoreMap
from clamp.inference.media import Frame, Source
from clamp.inference.writing import PredictionWriter, draw_score_maps
from tests.repository import load_tool


@pytest.fixture
def tool(monkeypatch):
    monkeypatch.setattr('clamp.inference.predictor.PosePredictor', FakePredictor)
    return load_tool('predict')


class FakePredictor:
    """All keypoints are in the middle of the box, and so are the peaks of all texts but 'corner'."""

    def __init__(self, config, checkpoint, device, cfg_options):
        self.metainfo = parse_pose_metainfo(AP10KDataset.METAINFO)
        self.keypoint_names = list(self.metainfo['keypoint_id2name'].values())

    def __call__(self, images, boxes, batch_size):
        assert len(images) <= batch_size == 2
        scores = np.full(17, 0.5, np.float32)
        middles = [[np.tile(box[:2] + box[2:] / 2, (17, 1)) for box in found] for found in boxes]
        return [[Pose(box, *pair) for box, pair in zip(b, ((m, scores) for m in ms))] for b, ms in zip(boxes, middles)]

    def check_texts(self, texts):
        if 'no' in texts:
            raise ValueError('no text')

    def score_maps(self, images, boxes, texts, batch_size):
        values = np.zeros((len(texts), 5, 5), np.float32)
        values[:, 2, 2] = 0.75

        def score_map(box):
            x, y, width, height = box
            to_image = np.array([[width / 5, 0, x + width / 10 - 0.5], [0, height / 5, y + height / 10 - 0.5]])
            return ScoreMap(box, list(texts), values, to_image)

        return [[score_map(box) for box in found] for found in boxes]


@pytest.fixture
def inputs(tmp_path):
    folder = tmp_path / 'in'
    folder.mkdir()
    image = np.full((40, 60, 3), 128, np.uint8)
    for name in ('a.png', 'b.png', 'c.png'):
        cv2.imwrite(str(folder / name), image)
    video = cv2.VideoWriter(str(folder / 'v.avi'), cv2.VideoWriter_fourcc(*'MJPG'), 10, (60, 40))
    for _ in range(3):
        video.write(image)
    video.release()
    return folder


def run(tool, inputs, out, *args):
    tool.main(['config.py', 'checkpoint.pth', str(inputs), '--out', str(out), '--batch-size', '2', *args])


def read_csv(path):
    with open(path, newline='') as f:
        return list(csv.reader(f))


def test_everything_is_written(tool, inputs, tmp_path, capsys):
    out = tmp_path / 'out'
    run(tool, inputs, out, '--prompts', 'hoof', 'left ear tip')
    assert '6 animals in 6 frames' in capsys.readouterr().out
    results = json.loads((out / 'predictions.json').read_text())
    assert [(one['image_id'], one['file_name'], one['frame']) for one in results] == [
        (0, 'a.png', None),
        (1, 'b.png', None),
        (2, 'c.png', None),
        (3, 'v.avi', 0),
        (4, 'v.avi', 1),
        (5, 'v.avi', 2),
    ]
    assert results[0]['keypoints'] == [30, 20, 0.5] * 17
    assert (results[0]['score'], results[0]['bbox'], results[0]['category_id']) == (0.5, [0, 0, 60, 40], 1)
    rows = read_csv(out / 'predictions.csv')
    assert len(rows) == 1 + 6 * 17
    assert rows[1] == ['a.png', '', '0', 'L_Eye', '30.00', '20.00', '0.5000']
    rows = read_csv(out / 'prompts.csv')
    assert len(rows) == 1 + 6 * 2
    assert rows[-1][:4] == ['v.avi', '2', '0', 'left ear tip']
    assert float(rows[-1][4]) == pytest.approx(30, abs=1)
    assert rows[-1][6] == '0.7500'
    assert cv2.imread(str(out / 'poses/b.png')).shape == (40, 60, 3)
    assert cv2.imread(str(out / 'poses/b.png'))[20, 30].tolist() != [128] * 3
    assert cv2.imread(str(out / 'prompts/b.png')).shape == (24 + 320, 2 * 480, 3)
    for kind in ('poses', 'prompts'):
        video = cv2.VideoCapture(str(out / kind / 'v.avi.mp4'))
        assert [video.read()[0] for _ in range(4)] == [True] * 3 + [False]


def test_boxes_ids_and_categories_of_a_coco_file(tool, inputs, tmp_path):
    coco = dict(
        images=[dict(id=9, file_name='b.png')],
        annotations=[dict(image_id=9, bbox=box, category_id=4) for box in ([0, 0, 20, 20], [10, 10, 20, 20])],
    )
    (tmp_path / 'boxes.json').write_text(json.dumps(coco))
    run(tool, inputs, tmp_path / 'out', '--boxes', str(tmp_path / 'boxes.json'))
    results = json.loads((tmp_path / 'out/predictions.json').read_text())
    assert [(one['image_id'], one['category_id'], one['keypoints'][:2]) for one in results] == [
        (9, 4, [10, 10]),
        (9, 4, [20, 20]),
    ]


def test_broken_files_and_boxes_are_skipped_and_named(tool, inputs, tmp_path):
    (inputs / 'b.png').write_bytes(b'123')
    cv2.imwrite(str(inputs / 'small.png'), np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(SystemExit) as error:
        run(tool, inputs, tmp_path / 'out', '--box', '10,10,20,20')
    assert str(error.value).startswith('2 skipped:\n')
    assert 'b.png cannot be read' in str(error.value)
    assert 'small.png: The box [10.0, 10.0, 20.0, 20.0]' in str(error.value)
    results = json.loads((tmp_path / 'out/predictions.json').read_text())
    assert [one['file_name'] for one in results] == ['a.png', 'c.png', 'v.avi', 'v.avi', 'v.avi']
    assert results[0]['bbox'] == [10, 10, 20, 20]


@pytest.mark.parametrize(
    ('args', 'message'),
    [
        (['--boxes', 'no.json'], 'The annotation file no.json is not there'),
        (['--prompts', 'no'], 'no text'),
        (['--keypoints', 'nose', 'nose', '--format', 'dlc'], 'The files of --format know a keypoint by its name'),
    ],
)
def test_errors_come_before_anything_is_written(tool, inputs, tmp_path, args, message):
    with pytest.raises(SystemExit, match=f'error: {message}'):
        run(tool, inputs, tmp_path / 'out', *args)
    assert not (tmp_path / 'out').exists()


def test_a_frame_without_animals_has_a_picture_as_large_as_the_others(tool):
    """A video's frames must be of one size: others are left out of the file without a word."""
    assert draw_score_maps(np.zeros((40, 60, 3), np.uint8), [], ['hoof', 'nose']).shape == (24 + 320, 2 * 480, 3)


def test_an_animal_between_the_pixels_of_a_tile_is_drawn(tool):
    values = np.array([[[0.1, 0.3], [0.2, 0.25]]], np.float32)
    animal = ScoreMap(np.array([1003.0, 803.0, 2.0, 2.0]), ['hoof'], values, np.array([[1, 0, 1003], [0, 1, 803.0]]))
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        picture = draw_score_maps(np.zeros((3000, 4000, 3), np.uint8), [animal], ['hoof'])
    assert picture.shape == (24 + 360, 480, 3)


def test_no_cell_is_a_formula_and_no_name_is_lost(tool, inputs, tmp_path):
    """A spreadsheet runs what begins with = or @; OpenCV crashes on a name that is no UTF-8."""
    (inputs / 'a.png').rename(inputs / '=1+1.png')
    (inputs / 'b.png').rename(inputs / 'b\udce9.png')
    (inputs / 'v.avi').rename(inputs / 'v\udce9.avi')
    with pytest.raises(SystemExit, match='avi has a name that is no UTF-8'):
        run(tool, inputs, tmp_path / 'out', '--prompts', '@SUM(A1)', '+x', 'nose')
    results = json.loads((tmp_path / 'out/predictions.json').read_text())
    assert [one['file_name'] for one in results] == ['=1+1.png', 'b\udce9.png', 'c.png']
    assert {path.name for path in (tmp_path / 'out/poses').iterdir()} == {'=1+1.png', 'b\udce9.png', 'c.png'}
    rows = read_csv(tmp_path / 'out/prompts.csv')
    assert [row[0] for row in rows[1::3]] == ["'=1+1.png", 'b\\udce9.png', 'c.png']
    assert [row[3] for row in rows[1:4]] == ["'@SUM(A1)", "'+x", 'nose']


def test_a_video_that_cannot_be_written_ends_nothing(tool, inputs, tmp_path, monkeypatch):
    monkeypatch.setattr('clamp.inference.video.has_h264', lambda: False)
    monkeypatch.setattr(cv2.VideoWriter, 'isOpened', lambda self: False)
    (inputs / 'v.avi').rename(inputs / 'a.avi')
    with pytest.raises(
        SystemExit, match=r'1 skipped:\n.*a\.avi\.mp4 cannot be written by OpenCV: MPEG-4, 60x40 pixels, 10 f'
    ):
        run(tool, inputs, tmp_path / 'out')
    results = json.loads((tmp_path / 'out/predictions.json').read_text())
    assert [one['file_name'] for one in results] == ['a.avi'] * 3 + ['a.png', 'b.png', 'c.png']
    assert (tmp_path / 'out/poses/c.png').is_file()


def test_a_picture_that_cannot_be_encoded_is_named(tool, inputs, tmp_path, monkeypatch):
    encode = cv2.imencode
    monkeypatch.setattr(cv2, 'imencode', lambda kind, image: (False, None) if kind == '.jpg' else encode(kind, image))
    (inputs / 'b.png').rename(inputs / 'b.jpg')
    with pytest.raises(SystemExit, match=r'1 skipped:\n.*poses/b\.jpg cannot be written: \.jpg of 60x40 pixels'):
        run(tool, inputs, tmp_path / 'out')
    assert {path.name for path in (tmp_path / 'out/poses').iterdir()} == {'a.png', 'c.png', 'v.avi.mp4'}


def test_a_full_gpu_is_one_line(tool, inputs, tmp_path, monkeypatch):
    def full(*_):
        raise torch.OutOfMemoryError('CUDA out of memory.')

    monkeypatch.setattr(FakePredictor, '__call__', full)
    with pytest.raises(SystemExit, match=r'error: the memory of the GPU is full\. Give a smaller --batch-size than 2'):
        run(tool, inputs, tmp_path / 'out')


def test_the_place_in_a_frame_is_no_identity(tool, inputs, tmp_path, monkeypatch, capsys):
    images = [dict(id=0, file_name='v.avi', frame=0)]
    animals = [dict(image_id=0, bbox=[x, 0, 20, 20]) for x in (0, 30)]
    (tmp_path / 'boxes.json').write_text(json.dumps(dict(images=images, annotations=animals)))
    monkeypatch.setattr(tool, 'check_formats', lambda formats: None)
    monkeypatch.setattr(tool, 'export', lambda *_: None)
    options = ['--boxes', str(tmp_path / 'boxes.json'), '--format', 'dlc', '--no-pictures']
    run(tool, inputs / 'v.avi', tmp_path / 'out', *options)
    assert '--format without --track: which animal is which is its place in each frame' in capsys.readouterr().err
    run(tool, inputs / 'v.avi', tmp_path / 'tracked', *options, '--track')
    assert '--track' not in capsys.readouterr().err


def test_many_score_maps_fit_into_a_video(tool):
    assert draw_score_maps(np.zeros((40, 60, 3), np.uint8), [], ['nose'] * 40).shape[1] <= 8191


@pytest.mark.parametrize(('option', 'weights'), [(['--detector'], None), (['--detector', 'mine'], 'mine')])
def test_boxes_are_a_detectors(option, weights, tool, inputs, tmp_path, monkeypatch):
    class Detector:
        def __init__(self, path, device):
            assert (path, device) == (weights, 'cpu')
            self.seen = 0

        def __call__(self, image):
            self.seen += 1
            return np.array([[4.0, 5, 10, 20], [30, 5, 20, 20]])[: 2 * (self.seen % 2)]  # none in every other frame

    monkeypatch.setattr('clamp.inference.detection.AnimalDetector', Detector)
    run(tool, inputs, tmp_path / 'out', '--device', 'cpu', *option)
    results = json.loads((tmp_path / 'out/predictions.json').read_text())
    found = [(one['file_name'], one['frame'], one['bbox']) for one in results]
    boxes = [[4, 5, 10, 20], [30, 5, 20, 20]]
    assert found == [(*at, box) for at in (('a.png', None), ('c.png', None), ('v.avi', 1)) for box in boxes]
    assert {path.name for path in (tmp_path / 'out/poses').iterdir()} == {'a.png', 'b.png', 'c.png', 'v.avi.mp4'}


def test_identities_are_in_the_tables_of_a_video_and_not_of_images(tool, inputs, tmp_path):
    run(tool, inputs, tmp_path / 'out', '--track', '--smooth', '--no-pictures')
    results = json.loads((tmp_path / 'out/predictions.json').read_text())
    assert [one.get('track_id') for one in results] == [None, None, None, 1, 1, 1]
    assert [row[2] for row in read_csv(tmp_path / 'out/predictions.csv')[1::17]] == ['0', '0', '0', '1', '1', '1']
    assert {path.name for path in (tmp_path / 'out').iterdir()} == {'predictions.json', 'predictions.csv'}


def test_pictures_of_a_tracked_video_show_who_came_which_way(tool, inputs, tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(
        'clamp.inference.writing.draw_identity',
        lambda image, box, number, trail: drawn.append((number, [place.tolist() for place in trail])) or image,
    )
    run(tool, inputs, tmp_path / 'out', '--track')
    assert drawn == [(1, [[30, 20]] * frames) for frames in (1, 2, 3)]  # of the video alone; the box is the image


def test_a_marked_animal_is_followed(tool, inputs, tmp_path, monkeypatch):
    """The pose is 5 pixels to the right of where it was looked for, frame by frame, and in the next video anew."""
    shutil.copy(inputs / 'v.avi', inputs / 'w.avi')
    monkeypatch.setattr(FakePredictor, '__call__', lambda self, images, boxes, batch_size: [
        [Pose(box, np.array([[0, 0], [9, 0], [0, 9], [9, 9]] * 4 + [[0, 0]]) + box[:2] + [5, 0], np.ones(17))]
        for [box] in boxes])  # fmt: skip
    run(tool, inputs, tmp_path / 'out', '--track', '--box', '4,5,10,10', '--no-pictures')
    boxes = [one['bbox'] for one in json.loads((tmp_path / 'out/predictions.json').read_text())]
    assert boxes[:4] == [[4, 5, 10, 10]] * 4
    for second in (boxes[4], boxes[7]):
        np.testing.assert_allclose(second, [9 + 4.5 - 5.5, 5 + 4.5 - 5.5, 11, 11])
    assert boxes[6] == boxes[3]


def test_a_video_begins_with_its_first_frame_that_is_not_skipped(inputs, tmp_path):
    one, two = (Source(inputs / name, name) for name in ('one.avi', 'two.avi'))
    skipped, image = [], np.zeros((40, 60, 3), np.uint8)
    with PredictionWriter(tmp_path / 'out', FakePredictor(*[None] * 4), None, skipped, pictures=False) as writer:
        for source, number in ((one, 0), (one, 1), (two, 1), (two, 2)):
            writer.write(Frame(source, image, 0, number, 10), [], None)
    assert skipped == ['one.avi: no animal in its 2 frames', 'two.avi: no animal in its 2 frames']


def test_other_formats_have_the_rate_of_a_video_whose_name_a_spreadsheet_would_run(tool, inputs, tmp_path, monkeypatch):
    (inputs / 'v.avi').rename(inputs / '-v.avi')
    asked = {}
    monkeypatch.setattr(tool, 'check_formats', lambda formats: None)
    monkeypatch.setattr(tool, 'export', lambda table, formats, links, videos: asked.update(videos))
    run(tool, inputs, tmp_path / 'out', '--no-pictures', '--format', 'dlc')
    [(name, video)] = [(name, source) for name, source in asked.items() if source.path.suffix == '.avi']
    assert name in {row[0] for row in read_csv(tmp_path / 'out/predictions.csv')}  # as the table has it: '-v.avi
    assert video.rate == 10


def test_what_was_predicted_until_ctrl_c_is_there(tool, inputs, tmp_path, monkeypatch):
    calls, predict = [], FakePredictor.__call__

    def interrupted(self, *args):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return predict(self, *args)

    monkeypatch.setattr(FakePredictor, '__call__', interrupted)
    with pytest.raises(SystemExit, match=r'stopped; what was predicted until then is in .*out'):
        run(tool, inputs, tmp_path / 'out')
    assert len(json.loads((tmp_path / 'out/predictions.json').read_text())) == 2
    assert len(read_csv(tmp_path / 'out/predictions.csv')) == 1 + 2 * 17


def test_a_published_folder_in_the_place_of_config_and_checkpoint(tool, inputs, tmp_path):
    for name in ('config.json', 'model.safetensors'):
        (tmp_path / name).touch()
    tool.main([str(tmp_path), str(inputs / 'a.png'), '--out', str(tmp_path / 'out'), '--batch-size', '2'])
    assert len(json.loads((tmp_path / 'out/predictions.json').read_text())) == 1
    for arguments, message in (
        ([str(tmp_path)], 'Name the images'),
        (['config.py', 'checkpoint.pth'], 'Name the images'),
        (['no_model', str(inputs)], 'There is no image and no video at no_model'),
    ):
        with pytest.raises(SystemExit, match=message):
            tool.main([*arguments, '--out', str(tmp_path / 'new')])


def test_inputs_alone_are_for_the_model_of_the_package(tool, inputs, tmp_path):
    tool.main([str(inputs / 'a.png'), '--out', str(tmp_path / 'out'), '--batch-size', '2'])
    assert len(json.loads((tmp_path / 'out/predictions.json').read_text())) == 1


def test_smoothing_takes_identities(tool, inputs, tmp_path):
    with pytest.raises(SystemExit, match=r'add --track'):
        run(tool, inputs, tmp_path / 'out', '--smooth')


def test_only_keypoints_of_the_threshold_are_drawn(tool, inputs, tmp_path):
    run(tool, inputs, tmp_path / 'out', '--score-threshold', '0.6')
    assert cv2.imread(str(tmp_path / 'out/poses/b.png'))[20, 30].tolist() == [128] * 3
    run(tool, inputs, tmp_path / 'other', '--score-threshold', '0.5')
    assert cv2.imread(str(tmp_path / 'other/poses/b.png'))[20, 30].tolist() != [128] * 3


def test_several_animals_of_a_picture_have_the_numbers_of_the_table(tool, inputs, tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(
        'clamp.inference.writing.draw_identity', lambda image, box, *rest: drawn.append(rest[0]) or image
    )
    coco = dict(images=[dict(id=9, file_name='b.png')], annotations=[
        dict(id=i, image_id=9, bbox=[10 * i, 5, 20, 20], category_id=4) for i in range(2)])  # fmt: skip
    (tmp_path / 'boxes.json').write_text(json.dumps(coco))
    run(tool, inputs, tmp_path / 'out', '--boxes', str(tmp_path / 'boxes.json'))
    assert drawn == [0, 1]


def test_a_folder_that_is_half_a_model_is_named(tool, inputs, tmp_path):
    (tmp_path / 'half').mkdir()
    (tmp_path / 'half/config.json').touch()
    with pytest.raises(SystemExit, match=r'error: The folder .*half is no model: there is no model.safetensors in it'):
        tool.main([str(tmp_path / 'half'), str(inputs), '--out', str(tmp_path / 'out')])


def test_a_hub_id_without_a_network_is_one_error(tool, inputs, tmp_path, monkeypatch):
    monkeypatch.setattr('clamp.models.clip_weights.network_answers', lambda: False)
    with pytest.raises(SystemExit, match=r'error: There is no folder owner/model .* hub, .* is out of reach'):
        tool.main(['owner/model', str(inputs), '--out', str(tmp_path / 'out')])


def test_a_video_without_animals_is_named(tool, inputs, tmp_path):
    (tmp_path / 'boxes.json').write_text(json.dumps(dict(images=[dict(id=1, file_name='v.avi')], annotations=[])))
    with pytest.raises(SystemExit, match=r'^1 skipped:\nv.avi: no animal in its 3 frames$'):
        run(tool, inputs, tmp_path / 'out', '--boxes', str(tmp_path / 'boxes.json'))
    assert read_csv(tmp_path / 'out/predictions.csv')[1:] == []


@pytest.mark.parametrize('options', [['--prompts', 'nose'], ['--keypoints', 'nose'], ['--detector']])
def test_an_input_among_the_texts_is_an_error(tool, inputs, tmp_path, options):
    with pytest.raises(SystemExit, match=rf'{options[0]} takes what follows it, dog\.JPG too: write the inputs before'):
        run(tool, inputs, tmp_path / 'out', *options, 'dog.JPG')


def test_a_box_that_does_not_fit_is_left_out_and_its_frame_stays(tool, inputs, tmp_path):
    """Else the pictures and tables of the video would be a frame behind from there on."""
    boxes = {0: [[0, 0, 20, 20], [70, 0, 9, 9]], 1: [[70, 0, 9, 9]], 2: [[10, 10, 20, 20]]}
    images = [dict(id=number, file_name='v.avi', frame=number) for number in boxes]
    animals = [
        dict(image_id=number, bbox=box, category_id=4 + i) for number in boxes for i, box in enumerate(boxes[number])
    ]
    (tmp_path / 'boxes.json').write_text(json.dumps(dict(images=images, annotations=animals)))
    with pytest.raises(
        SystemExit,
        match=r'^1 skipped:\nv\.avi, frame 0: The box .* Likewise in 1 more, the last one v\.avi, frame 1\.$',
    ) as error:
        run(tool, inputs, tmp_path / 'out', '--boxes', str(tmp_path / 'boxes.json'))
    assert '[70.0, 0.0, 9.0, 9.0] (x, y, width, height) is outside the image of 60x40' in str(error.value)
    results = json.loads((tmp_path / 'out/predictions.json').read_text())
    assert [(one['frame'], one['bbox'], one['category_id']) for one in results] == [
        (0, [0, 0, 20, 20], 4),
        (2, [10, 10, 20, 20], 4),
    ]
    video = cv2.VideoCapture(str(tmp_path / 'out/poses/v.avi.mp4'))
    assert [video.read()[0] for _ in range(4)] == [True] * 3 + [False]


def test_a_box_outside_of_a_whole_video_is_named_once(tool, inputs, tmp_path):
    with pytest.raises(SystemExit, match=r'frame 0: The box .* is outside the image of 60x40\. Likewise in 2 more'):
        run(tool, inputs / 'v.avi', tmp_path / 'out', '--box', '70,0,9,9')


def test_a_table_has_all_frames_of_a_video(tool, inputs, tmp_path, monkeypatch):
    images = [dict(id=0, file_name='v.avi', frame=0)]
    coco = dict(images=images, annotations=[dict(image_id=0, bbox=[0, 0, 20, 20])])
    (tmp_path / 'boxes.json').write_text(json.dumps(coco))
    asked = {}
    monkeypatch.setattr(tool, 'export', lambda table, formats, links, videos: asked.update(videos))
    monkeypatch.setattr(tool, 'check_formats', lambda formats: None)
    run(tool, inputs, tmp_path / 'out', '--boxes', str(tmp_path / 'boxes.json'), '--format', 'dlc')
    assert (asked['v.avi'].path, asked['v.avi'].rate, asked['v.avi'].frames) == (inputs / 'v.avi', 10, 3)
    [tracks] = read_tracks(tmp_path / 'out/predictions.csv', dict.fromkeys(asked, 3))
    assert len(tracks.points) == 3
    assert np.isnan(tracks.points[1:]).all()


def test_without_a_frame_the_reason_is_said(tool, tmp_path):
    (tmp_path / 'empty.png').touch()
    with pytest.raises(SystemExit, match=r'^1 skipped:\n.*empty\.png cannot be read as an image'):
        run(tool, tmp_path / 'empty.png', tmp_path / 'out')
    assert not (tmp_path / 'out').exists()


def test_large_photographs_are_few_at_once(tool, monkeypatch):
    """Memory would grow with the batch otherwise: 32 photographs of 20 megapixels are 2 GB."""
    frames = [Frame(None, np.zeros((40, 60, 3), np.uint8), i) for i in range(7)]
    assert [len(batch) for batch in tool.batches(iter(frames), 5)] == [5, 2]
    monkeypatch.setattr(tool, 'PIXELS', 2 * 2400)
    assert [len(batch) for batch in tool.batches(iter(frames), 5)] == [2, 2, 2, 1]


def test_nothing_is_left_where_nothing_was_written(tool, inputs, tmp_path, monkeypatch):
    """Else the folder would be refused by the next run."""

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(FakePredictor, '__call__', interrupted)
    with pytest.raises(SystemExit, match='stopped; nothing is written'):
        run(tool, inputs, tmp_path / 'out')
    assert not (tmp_path / 'out').exists()


def test_names_of_the_keypoints_are_drawn(tool, inputs, tmp_path):
    for name, options in (('without', []), ('with', ['--labels'])):
        run(tool, inputs, tmp_path / name, *options)
    pictures = [cv2.imread(str(tmp_path / name / 'poses/b.png')) for name in ('without', 'with')]
    assert (pictures[0][:, 45:] == 128).all()  # the pose is in the middle, at column 30
    assert (pictures[1][:, 45:] != 128).any()
