"""An exported model alone sees and says what it does in the place of the model of its config."""

from itertools import chain
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config

from clamp.inference import PosePredictor
from clamp.inference.exported import ExportedPredictor
from clamp.onnx import graph
from tests.exported_session import Session
from tests.repository import DEMO


@pytest.fixture
def session(monkeypatch, tmp_path) -> Session:
    session = Session.of(Config.fromfile(DEMO))
    monkeypatch.setattr(graph, 'load_session', lambda path, threads: session)
    monkeypatch.chdir(tmp_path)
    Path('model.onnx').touch()
    return session


def test_pixels_and_poses_are_those_of_mmposes_pipeline(session):
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, shape, np.uint8) for shape in ((90, 120, 3), (200, 61, 3))]
    boxes = [[[10, 5, 80, 70], [-20, 40.5, 60, 90]], None]  # the second one is in part outside
    of_config = PosePredictor(DEMO, 'model.onnx', 'cpu')
    alone = ExportedPredictor('model.onnx')
    expected, got = of_config(images, boxes, 2), alone(images, boxes, 2)
    assert [len(batch) for batch in session.inputs] == [2, 1, 2, 1]
    for theirs, ours in zip(session.inputs[:2], session.inputs[2:]):
        np.testing.assert_array_less(np.abs(theirs.astype(int) - ours), 2)  # of 255
        assert (theirs != ours).mean() < 0.01
    assert [len(poses) for poses in got] == [2, 1]
    for one, other in zip(chain(*expected), chain(*got)):
        np.testing.assert_array_equal(one.box, other.box)
        same = np.abs(one.keypoints - other.keypoints).max(1) < 1e-3
        assert same.mean() > 0.9  # two pixels may be nearly as bright
        np.testing.assert_allclose(one.scores, other.scores, atol=1.5 / 255)
    assert alone.keypoint_names == of_config.keypoint_names
    for key, value in alone.metainfo.items():
        np.testing.assert_equal(np.asarray(value), np.asarray(of_config.metainfo[key]))


def test_boxes_are_extended_as_the_graph_says(session):
    """Of a box of 40 pixels, the crop shows 50 or 60 around its middle: its corner is 5 or 10 before the box's."""
    image = np.zeros((100, 100, 3), np.uint8)
    for padding, corner in ((1.25, 25), (1.5, 20)):
        session.values['padding'] = padding
        place, scale, _ = ExportedPredictor('model.onnx')._crop(image, np.array([30, 30, 40, 40]))
        assert place.tolist() == [corner, corner]
        assert scale * 128 == 40 * padding


def test_a_graph_of_an_earlier_version_is_named(session):
    del session.values['padding']
    with pytest.raises(ValueError, match=r'model\.onnx was exported by an earlier version \(padding is not in it\)'):
        ExportedPredictor('model.onnx')


def test_heatmaps_alone_do_not_say_how_they_are_decoded(session):
    session.values['decoded'] = False
    with pytest.raises(ValueError, match=r'gives heatmaps alone: export it with --decode, or name the config'):
        ExportedPredictor('model.onnx')


def test_files_that_are_no_export(session):
    with pytest.raises(FileNotFoundError, match=r'no\.onnx is not there'):
        ExportedPredictor('no.onnx')
    del session.values['clamp_version']
    with pytest.raises(ValueError, match=r'was not written by tools/export_onnx\.py'):
        ExportedPredictor('model.onnx')
