"""The tables and the gallery of the page: the two animals of test_analysis.py, and a second run that has both right."""

import numpy as np
import pytest

from clamp.report.analysis import Truth, analyse
from clamp.report.errors import GOOD, LEFT_RIGHT
from clamp.report.page import gallery_data, tables
from tests.tiny_run import report_run

METAINFO = dict(num_keypoints=2, keypoint_id2name={0: 'L_Ear', 1: 'R_Ear'}, skeleton_links=[(0, 1)])
ANIMALS = np.array([[1, 1], [0, 2], [2, 0]])  # how often images 3 and 5 are drawn


@pytest.fixture
def runs() -> list:
    exchanged, right = report_run(), report_run()
    right.keypoints = right.keypoints.copy()
    right.keypoints[1] = right.keypoints[1, ::-1]
    right.detections[1]['keypoints'] = np.column_stack([right.keypoints[1], right.keypoint_scores[1]])
    for run in (exchanged, right):
        run.metainfo |= METAINFO
        run.regions = np.tile([[50.0, 50.0], [100.0, 200.0]], (2, 1, 1))  # middle, then width and height
    return [exchanged, right]


@pytest.fixture
def found(runs) -> dict:
    truth = Truth.of(runs[0])
    return tables(runs, [analyse(run, truth, ANIMALS) for run in runs], truth)


def test_a_difference_is_the_first_run_less_the_second(found):
    [row] = [row for row in found['headlines'] if row['label'] == 'AP']
    assert [value.value for value in row['values']] == pytest.approx([0.5, 1])
    difference = row['difference']
    # 0 and -1 with one animal alone
    assert (difference.value, difference.low, difference.high) == pytest.approx((-0.5, -0.975, -0.025))


def test_rows_of_keypoints_species_and_sizes(found):
    halves = [0.0] * len(found['kinds'])
    halves[GOOD] = halves[LEFT_RIGHT] = 0.5
    alone = [float(kind == GOOD) for kind in range(len(found['kinds']))]
    assert [(row['label'], row['number'], row['shares']) for row in found['keypoints']] == [
        ('L_Ear', 2, [halves, alone]),
        ('R_Ear', 2, [halves, alone]),
    ]
    rows = {row['label']: row for group in found['groups'].values() for row in group}
    assert {label: row['number'] for label, row in rows.items()} == dict.fromkeys(
        ('cat', 'dog', 'Felidae', 'Canidae', 'medium', 'large'), 1
    )
    dog = [float(kind == LEFT_RIGHT) for kind in range(len(found['kinds']))]
    assert rows['dog']['shares'] == rows['Canidae']['shares'] == rows['medium']['shares'] == [dog, alone]
    assert rows['large']['shares'] == [alone, alone]
    assert [value.value for value in rows['medium']['values']] == pytest.approx([0, 1])


def test_the_gallery_has_truth_and_predictions_in_thousandths(runs):
    truth = Truth.of(runs[0])
    data = gallery_data(runs, [analyse(run, truth, ANIMALS) for run in runs], truth, np.array([1]))
    [dog] = data['animals']
    assert (dog['id'], dog['species']) == (9, 'dog')
    upper = 250  # y = 0 is a quarter of the height above the middle of the region
    assert dog['places'] == [0, upper, 500, upper]
    assert [run['places'] for run in dog['runs']] == [[500, upper, 0, upper], [0, upper, 500, upper]]
    assert [run['kinds'] for run in dog['runs']] == [['left-right'] * 2, ['good'] * 2]
    assert [run['scores'] for run in dog['runs']] == [[70, 60]] * 2
    assert data['aspect'] == 0.5
