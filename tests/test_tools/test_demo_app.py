import socket
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from clamp.datasets.synthetic import generate_sample
from clamp.inference import Pose, PosePredictor, ScoreMap
from tests.repository import DEMO, load_tool
from tests.tiny_models import save_checkpoint

gr = pytest.importorskip('gradio')
from clamp.app import PoseDemo, inputs, views  # noqa: E402

BASELINE = DEMO.replace('clamp_tiny', 'simplebaseline_tiny')


def make_predictor(config: str, folder: Path) -> PosePredictor:
    return PosePredictor(config, save_checkpoint(config, folder / f'{Path(config).stem}.pth'), 'cpu')


@pytest.fixture(scope='module')
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp('app')
    Image.fromarray(generate_sample(0, 'val', 0)[0][:200, :240, ::-1]).save(folder / 'animal.png')
    (folder / 'broken.png').write_bytes((folder / 'animal.png').read_bytes()[:60])
    Image.new('RGB', (1, 30)).save(folder / 'tiny.png')
    return folder


@pytest.fixture(scope='module')
def demo(folder) -> PoseDemo:
    return PoseDemo(make_predictor(DEMO, folder))


def test_uploads_that_are_not_taken(folder, monkeypatch):
    assert inputs.read_upload(str(folder / 'animal.png')).shape == (200, 240, 3)
    with pytest.raises(ValueError, match='no image yet'):
        inputs.read_upload(None)
    with pytest.raises(ValueError, match=r'^broken\.png cannot be read'):
        inputs.read_upload(str(folder / 'broken.png'))
    with pytest.raises(ValueError, match=r'^tiny\.png has 1x30 pixels'):
        inputs.read_upload(str(folder / 'tiny.png'))
    monkeypatch.setattr(inputs, 'MAX_PIXELS', 200 * 240 - 1)
    with pytest.raises(ValueError, match=r'^animal\.png has 240x200 pixels'):
        inputs.read_upload(str(folder / 'animal.png'))


def test_boxes_and_texts_that_are_not_taken():
    image = np.zeros((20, 30, 3), np.uint8)
    assert inputs.read_box((1, 2, 3, 4), image).tolist() == [[1, 2, 3, 4]]
    for box, message in (
        ((1, 2, 0, 4), 'The box is empty'),
        ((1, 2, None, 4), 'The box is empty'),
        ((30, 2, 5, 5), 'outside the image of 30x20'),
    ):
        with pytest.raises(ValueError, match=message):
            inputs.read_box(box, image)
    assert inputs.read_texts(' hoof\n\nleft ear tip \nhoof\n') == ['hoof', 'left ear tip']
    for text, message in (
        (' \n', 'There are 0'),
        ('\n'.join(map(str, range(101))), 'There are 101'),
        ('x' * 201, '201'),
    ):
        with pytest.raises(ValueError, match=message):
            inputs.read_texts(text)


def test_score_maps_are_drawn_where_the_network_sees_them():
    image = np.zeros((64, 64, 3), np.uint8)
    image[48:, :16] = 255  # cell (3, 0) of 4 x 4 cells of 16 pixels
    values = np.zeros((1, 4, 4), np.float32)
    values[0, 1, 2] = 0.5
    to_image = np.array([[16, 0, 7.5], [0, 16, 7.5]])
    [(picture, caption)], scale = views.show_score_maps(
        image, ScoreMap(np.array([0, 0, 64, 64]), ['hoof'], values, to_image)
    )
    assert caption == 'hoof 0.50'
    assert '0.00 is dark, 0.50 is yellow' in scale
    assert picture.shape == (320, 320, 3)
    white = np.argwhere((picture == 255).all(-1))  # the cross, at the centre of cell (1, 2): 80 pixels a cell
    np.testing.assert_allclose(white.mean(0), [119.5, 199.5], atol=4)
    assert (picture[248:312, 8:72] > picture[8:72, 8:72] + 80).all()  # 0.35 * 255 = 89 from the image
    assert (picture[248:312, 168:232] == picture[8:72, 8:72]).all()


def test_the_box_is_drawn_in_pixels_of_the_picture(demo):
    unseen = np.full((17, 2), np.nan)
    pose = Pose(np.array([10, 20, 100, 60]), unseen, np.ones(17))
    picture = views.show_pose(np.full((120, 240, 3), 90, np.uint8), pose, demo.predictor.metainfo)
    assert picture.shape == (480, 960, 3)
    rows, columns = np.nonzero((picture == 255).all(-1))
    assert (columns.min(), columns.max(), rows.min(), rows.max()) == pytest.approx((40, 439, 80, 319), abs=1)


def test_the_page_shows_what_the_predictor_says(demo, folder):
    path, box = str(folder / 'animal.png'), (20, 30, 150, 140)
    shown = demo.predict(path, *box, 'nose\nhoof')
    [[pose]] = demo.predictor([path], [[box]])
    assert [row[0] for row in shown[demo.table]] == demo.predictor.keypoint_names
    np.testing.assert_allclose([row[1:3] for row in shown[demo.table]], pose.keypoints, atol=0.051)
    np.testing.assert_allclose([row[3] for row in shown[demo.table]], pose.scores, atol=0.00051)
    [[score_map]] = demo.predictor.score_maps([path], [[box]], ['nose', 'hoof'])
    best = score_map.values.max((1, 2))
    assert [caption for _, caption in shown[demo.maps]] == [f'nose {best[0]:.2f}', f'hoof {best[1]:.2f}']
    assert [shown[number] for number in demo.box] == list(box)
    whole = demo.whole_image(path, 'nose')
    assert [whole[number] for number in demo.box] == [0, 0, 240, 200]


def test_words_are_keypoints_where_the_model_takes_any(folder):
    demo = PoseDemo(make_predictor(DEMO.replace('clamp_tiny', 'openvocab_tiny'), folder))
    own = demo.predictor.keypoint_names
    image = str(folder / 'animal.png')
    for texts in (['hoof', 'left eye'], own):
        shown = demo.predict(image, 10, 20, 100, 90, '\n'.join(texts))
        assert [row[0] for row in shown[demo.table]] == texts
    assert len(demo.predictor.metainfo['skeleton_links']) > 10
    shown = demo.predict(image, 10, 20, 100, 90, 'hoof ' * 80)  # too long: the last ones stay, and the page says why
    assert [row[0] for row in shown[demo.table]] == own
    assert shown[demo.maps] == []


def test_two_clicks_make_a_box(demo, folder):
    path = str(folder / 'animal.png')
    first = demo.click(path, None, 'nose', SimpleNamespace(index=[170, 40]))
    assert first[demo.corner] == [170, 40]
    assert demo.table not in first
    second = demo.click(path, first[demo.corner], 'nose', SimpleNamespace(index=[20, 180]))
    assert [second[number] for number in demo.box] == [20, 40, 150, 140]
    assert second[demo.corner] is None


def test_errors_are_messages(demo, folder):
    path = str(folder / 'animal.png')
    with pytest.raises(gr.Error, match='no image yet'):
        demo.predict(None, 0, 0, 1, 1, 'nose')
    with pytest.raises(gr.Error, match='The box is empty'):
        demo.predict(path, 0, 0, 0, 0, 'nose')
    with pytest.raises(gr.Error, match='makes a prompt of 92 tokens'):
        demo.score_maps(path, 0, 0, 240, 200, 'a ' * 82)
    with pytest.warns(UserWarning, match='There are 0 keypoint names'):
        shown = demo.whole_image(path, '')
    assert len(shown[demo.table]) == 17
    assert shown[demo.maps] == []


def test_a_model_without_prompts_has_poses_alone(folder):
    demo = PoseDemo(make_predictor(BASELINE, folder))
    shown = demo.whole_image(str(folder / 'animal.png'), '')
    assert len(shown[demo.table]) == 17
    assert demo.maps not in shown
    with pytest.raises(gr.Error, match='HeatmapHead has no prompts'):
        demo.score_maps(str(folder / 'animal.png'), 0, 0, 240, 200, 'nose')


def test_example_and_detector_choose_the_box(demo, folder, monkeypatch):
    shown = demo.example(3, 'nose')
    bgr, annotations = generate_sample(0, 'val', 3)
    np.testing.assert_array_equal(shown[demo.image], bgr[..., ::-1])
    assert [shown[number] for number in demo.box] == annotations[0]['bbox']
    assert shown[demo.next_example] == 4
    monkeypatch.setattr(demo, 'detector', lambda image: np.array([[10.3, 20, 90, 80]], np.float32))
    shown = demo.detect(str(folder / 'animal.png'), 'nose')
    assert [shown[number] for number in demo.box] == [10.3, 20, 90, 80]
    monkeypatch.setattr(demo, 'detector', lambda image: np.zeros((0, 4), np.float32))
    with pytest.raises(gr.Error, match='finds no animal'):
        demo.detect(str(folder / 'animal.png'), 'nose')


def test_errors_of_the_command_are_one_line(monkeypatch):
    monkeypatch.setenv('GRADIO_TEMP_DIR', '')  # it is as before at the end
    with pytest.raises(SystemExit, match=r'^error: The checkpoint .*clamp_tiny\.py cannot be read'):
        load_tool('demo_app').main([DEMO, DEMO])
    monkeypatch.setitem(sys.modules, 'gradio', None)
    for name in [name for name in sys.modules if name.startswith('clamp.app')]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(
        SystemExit, match=r"^error: The demo needs gradio, .*pip install --no-build-isolation -e '\.\[app\]'$"
    ):
        load_tool('demo_app').main([DEMO, DEMO])


@pytest.mark.slow
def test_from_upload_to_result_over_http(demo, folder):
    from gradio_client import Client, handle_file
    from gradio_client.exceptions import AppError

    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    url = demo.launch('127.0.0.1', port)
    try:
        assert demo.app.share_url is None
        with pytest.raises(ValueError, match=f'^Port {port} of 127.0.0.1 cannot be opened'):
            PoseDemo(demo.predictor).launch('127.0.0.1', port)
        client = Client(url, verbose=False)
        arguments = (0, 0, 240, 200, 'nose\nhoof')
        *_, picture, table, maps, _ = client.predict(
            handle_file(folder / 'animal.png'), *arguments, api_name='/predict'
        )
        assert max(Image.open(picture).size) == 960
        assert [row[0] for row in table['data']] == demo.predictor.keypoint_names
        assert [one['caption'].split()[0] for one in maps] == ['nose', 'hoof']
        again, _ = client.predict(handle_file(folder / 'animal.png'), *arguments, api_name='/score_maps')
        assert [one['caption'] for one in again] == [one['caption'] for one in maps]
        with pytest.raises(AppError, match=r'^broken\.png cannot be read'):
            client.predict(handle_file(folder / 'broken.png'), *arguments, api_name='/predict')
    finally:
        demo.app.close()


def test_heic_is_called_heic(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'pillow_heif', None)  # not installed
    (tmp_path / 'IMG.jpg').write_bytes(b'\0\0\0\x1cftypheic\0\0\0\0mif1heicmiaf')
    with pytest.raises(ValueError, match=r'^IMG\.jpg is HEIC: save it as JPEG'):
        inputs.read_upload(str(tmp_path / 'IMG.jpg'))


def test_an_older_gradio_is_named(monkeypatch, tmp_path):
    (tmp_path / 'a.pth').touch()
    monkeypatch.setattr(gr, '__version__', '5.49.1')
    for name in [name for name in sys.modules if name.startswith('clamp.app')]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(SystemExit, match=r'error: The demo needs gradio 6, but 5\.49\.1 is installed'):
        load_tool('demo_app').main([DEMO, str(tmp_path / 'a.pth')])
