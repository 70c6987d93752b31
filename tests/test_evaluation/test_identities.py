"""Switches and IDF1, by hand."""

import json

import numpy as np
import pytest

from clamp.evaluation.identities import Seen, identity_scores, overlap
from tests.repository import load_tool

LEFT, RIGHT = [0, 0, 10, 10], [50, 0, 10, 10]
TRUTH = [Seen([1, 2], [LEFT, RIGHT])] * 4


def test_overlap_is_intersection_over_union():
    np.testing.assert_allclose(overlap([LEFT], [LEFT, [5, 0, 10, 10], RIGHT]), [[1, 50 / 150, 0]])
    assert overlap([], [LEFT]).shape == (0, 1)


@pytest.mark.parametrize(
    ('found', 'switches', 'idf1'),
    [
        ([Seen([7, 8], [LEFT, RIGHT])] * 4, 0, 1.0),  # the numbers themselves do not count, nor does the order
        ([Seen([8, 7], [RIGHT, LEFT])] * 4, 0, 1.0),
        ([Seen([7, 8], [LEFT, RIGHT])] * 2 + [Seen([8, 7], [LEFT, RIGHT])] * 2, 2, 0.5),  # both change
        ([Seen([7, 8], [LEFT, RIGHT])] * 3 + [Seen([7, 9], [LEFT, RIGHT])], 1, 7 / 8),
        ([Seen([7], [LEFT]), Seen(), Seen([7], [LEFT]), Seen([9], [LEFT])], 1, 2 * 2 / (8 + 3)),  # seen now and then
        ([Seen([7], [[6, 0, 10, 10]])] * 4, 0, 0.0),  # overlap 4 of 16
        ([Seen()] * 4, 0, 0.0),
    ],
)
def test_identities_by_hand(found, switches, idf1):
    scores = identity_scores(TRUTH, found)
    assert scores['switches'] == switches
    assert scores['IDF1'] == pytest.approx(idf1)
    assert (scores['animals'], scores['found']) == (8, sum(len(frame.boxes) for frame in found))


def test_an_animal_stays_with_its_identity_where_another_overlaps_more():
    near = [2, 0, 10, 10]
    found = [Seen([7], [near]), Seen([8, 7], [LEFT, near])]
    assert identity_scores([Seen([1], [LEFT])] * 2, found)['switches'] == 0


def write(path, content):
    path.write_text(json.dumps(content))
    return str(path)


def test_the_tool_reads_what_the_generator_and_predict_write(tmp_path, capsys):
    images = [dict(id=i, file_name='v.mp4', frame=i) for i in range(3)]
    animals = [dict(id=1 + i, image_id=i, bbox=LEFT, track_id=1) for i in range(3)]
    results = [dict(file_name='v.mp4', frame=i, bbox=LEFT, track_id=1 + i // 2) for i in range(3)]
    results.append(dict(file_name='a.jpg', frame=None, bbox=LEFT))
    tool, truth = load_tool('evaluate_tracks'), write(tmp_path / 't.json', dict(images=images, annotations=animals))
    tool.main([truth, write(tmp_path / 'p.json', results)])
    expected = 'v.mp4: 1 switches, IDF1 0.667; 3 animals in 3 frames, 3 found with 2 identities\n'
    assert capsys.readouterr().out == expected
    more = [dict(id=9, file_name='w.mp4', frame=0)], [dict(id=9, image_id=9, bbox=LEFT, track_id=1)]
    both = dict(images=images + more[0], annotations=animals + more[1])
    tool.main([write(tmp_path / 'both.json', both), str(tmp_path / 'p.json')])  # no animal was found in w.mp4
    nothing = 'w.mp4: 0 switches, IDF1 0.000; 1 animals in 1 frames, 0 found with 0 identities\n'
    assert capsys.readouterr().out == expected + nothing
    del results[0]['track_id']
    for arguments, message in (
        ([truth, write(tmp_path / 'p.json', results)], 'is not what tools/predict.py --track writes'),
        ([truth, write(tmp_path / 'empty.json', [])], 'No video is in both'),
        ([truth, 'no.json'], 'no.json are not there'),
        ([write(tmp_path / 'bare.json', dict(images=images[:1], annotations=[dict(image_id=0, bbox=LEFT)])), 'no.json'],
         'no track_id'),
        ([write(tmp_path / 'stills.json', dict(images=[dict(id=0, file_name='a.jpg')], annotations=[])), 'no.json'],
         'a.jpg has no frame'),
    ):  # fmt: skip
        with pytest.raises(SystemExit, match=message):
            tool.main(arguments)


def test_videos_are_matched_by_the_end_of_their_paths(tmp_path, capsys):
    """As tools/predict.py --boxes matches them, whose predictions have the names within the folder given."""
    tool, names = load_tool('evaluate_tracks'), ['v.mp4', 'sub/run.mp4']
    images = [dict(id=i, file_name=name, frame=0) for i, name in enumerate(names)]
    animals = [dict(id=1 + i, image_id=i, bbox=LEFT, track_id=1) for i in range(2)]
    truth = write(tmp_path / 't.json', dict(images=images, annotations=animals))
    results = [dict(file_name=name, frame=0, bbox=LEFT, track_id=1) for name in ('v.mp4', 'run.mp4', 'other.mp4')]
    tool.main([truth, write(tmp_path / 'p.json', results)])
    said = capsys.readouterr()
    scores = [line.split(';')[0] for line in said.out.splitlines()]
    assert scores == ['v.mp4: 0 switches, IDF1 1.000', 'sub/run.mp4: 0 switches, IDF1 1.000']
    assert said.err == 'not in the truth: other.mp4\n'
    results.append(dict(file_name='b/sub/run.mp4', frame=0, bbox=LEFT, track_id=1))
    with pytest.raises(SystemExit, match=r'sub/run.mp4 of the truth may be b/sub/run.mp4 or run.mp4 of the pre'):
        tool.main([truth, write(tmp_path / 'p.json', results)])
    images[0]['file_name'] = 'a/run.mp4'
    truth = write(tmp_path / 't.json', dict(images=images, annotations=animals))
    with pytest.raises(SystemExit, match=r'run.mp4 of the predictions may be several videos of the truth'):
        tool.main([truth, write(tmp_path / 'p.json', results[:2])])
