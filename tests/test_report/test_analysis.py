"""The numbers of the report's page, of two animals, worked out by hand."""

import numpy as np
import pytest

from clamp.report.analysis import Truth, analyse
from clamp.report.errors import GOOD, LEFT_RIGHT
from tests.tiny_run import report_run


def test_the_analysis_by_hand():
    run = report_run()
    truth = Truth.of(run)
    assert truth.images.tolist() == [1, 0]
    assert (truth.species.tolist(), truth.families.tolist()) == (['cat', 'dog'], ['Felidae', 'Canidae'])
    found = analyse(run, truth, np.array([[1, 1], [0, 2], [2, 0]]))  # how often images 3 and 5 are drawn
    assert found.kinds.tolist() == [[GOOD] * 2, [LEFT_RIGHT] * 2]
    np.testing.assert_allclose(found.oks, [1, np.exp(-(50**2) / (2 * 4e3 * 0.1**2))])
    np.testing.assert_allclose(found.scores['AP'], [0.5, 1, 0])
    np.testing.assert_allclose(found.species['cat']['AP'], [1, 1, np.nan])
    np.testing.assert_allclose(found.families['Canidae']['AP'], [0, np.nan, 0])
    np.testing.assert_allclose(found.shares[:, [GOOD, LEFT_RIGHT]], [[0.5, 0.5], [1, 0], [0, 1]])
    np.testing.assert_allclose(found.keypoint_similarity[1], [1, 1])  # the cat's alone
    assert found.gains == pytest.approx({'jitter': 0, 'left-right': 0.5, 'swap': 0, 'miss': 0}, abs=1e-12)
    np.testing.assert_allclose(found.calibration.error, [0.5 * 0.15 + 0.5 * 0.65, 0.15, 0.65])
    np.testing.assert_allclose(Truth.of(report_run(use_area=False)).areas, [1e4 * 0.53, 5e3 * 0.53])
