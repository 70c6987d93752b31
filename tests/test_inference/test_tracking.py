"""Identities and steadier poses, on animals whose true way is known."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from clamp.evaluation.identities import overlap
from clamp.inference import Pose, clip_box
from clamp.inference.media import Frame, Source
from clamp.inference.tracking import Follower, PoseSmoother, PoseTracker, VideoTracking, box_around

SIGMAS = np.full(4, 0.1)
SHAPE = np.array([[0, 0], [20, 0], [0, 10], [20, 10.0]])


def animal(x: float, y: float = 50.0, mirrored: bool = False) -> Pose:
    keypoints = (SHAPE[[1, 0, 3, 2]] if mirrored else SHAPE) + [x, y]
    return Pose(np.array([x - 2, y - 2, 24, 14]), keypoints, np.ones(4))


def switches(numbers: list[list[int]]) -> int:
    """Count how often an animal, a place in each list, has another identity than in the frame before."""
    return sum(now != before for one, two in pairwise(numbers) for before, now in zip(one, two))


def test_animals_that_cross_keep_their_identities_in_whatever_order_they_come():
    tracker, rng, found = PoseTracker(SIGMAS), np.random.default_rng(0), []
    for frame in range(60):
        poses = [animal(2 * frame), animal(100 - 2 * frame, mirrored=True)]  # one through the other
        order = rng.permutation(2)
        numbers = tracker([poses[i] for i in order])
        found.append([numbers[list(order).index(i)] for i in range(2)])
    assert {tuple(sorted(numbers)) for numbers in found} == {(1, 2)}
    assert switches(found) == 0


def test_an_animal_is_expected_where_its_way_leads_while_it_is_hidden():
    tracker = PoseTracker(SIGMAS)
    for frame in range(20):
        assert tracker([animal(4 * frame)]) == [1]
    for _ in range(10):
        assert tracker([]) == []
    assert tracker([animal(4 * 30)]) == [1]  # 40 pixels on; a box is 24 wide
    standing = PoseTracker(SIGMAS)
    standing([animal(0)])
    assert standing([animal(40)]) == [2]


def test_an_animal_is_forgotten_after_a_while():
    tracker = PoseTracker(SIGMAS, patience=2)
    assert [tracker([animal(0)]), tracker([]), tracker([]), tracker([animal(0)])] == [[1], [], [], [1]]
    for _ in range(3):
        tracker([])
    assert tracker.tracks == []
    assert tracker([animal(0), animal(200)]) == [2, 3]


def test_all_together_are_most_alike():
    """The nearest first (greedy) would give the second pose to the first animal, and the first pose to nobody."""
    tracker = PoseTracker(SIGMAS)
    tracker([animal(0), animal(12)])
    assert tracker([animal(7), animal(19)]) == [1, 2]


def test_box_around_the_certain_keypoints():
    keypoints = np.array([[10, 20], [50, 20], [10, 60], [500, 500.0]])
    pose = Pose(np.array([0, 0, 48, 48.0]), keypoints, np.array([0.9, 0.9, 0.9, 0.1]))
    assert box_around(pose, pose.box, 640, 480).tolist() == [5, 15, 50, 50]  # 40 by 40, an eighth more on either side
    large = np.array([0, 0, 55, 55.0])  # in which 50 by 50 are enough, but not at the edge of a frame of 50 by 480
    assert box_around(pose, large, 640, 480).tolist() == [5, 15, 50, 50]
    assert box_around(pose, large, 50, 480).tolist() == [2.5, 15, 55, 50]
    assert box_around(pose, large, 20, 480).tolist() == [-8.5, 15, 55, 50]  # its middle is in the frame
    lost = Pose(pose.box, keypoints, np.full(4, 0.1))
    assert box_around(lost, large, 640, 480).tolist() == [0, 0, 55, 55]


def test_an_animal_that_leaves_the_frame_is_found_when_it_comes_back():
    """It walks out at the right, 20 pixels a frame, and in again; its keypoints are those of it that are in its box."""
    follower, lost = Follower(np.array([[500, 200, 100, 80.0]])), 0
    ways = [*range(500, 720, 10), *range(720, 480, -10)]
    for number, x in enumerate(ways):
        frame = Frame(None, np.zeros((480, 640, 3), np.uint8), number, number)
        [box] = follower.boxes(frame)
        x1, y1, x2, y2 = clip_box(box, 640, 480)  # it raises a ValueError for a box outside
        grid = np.stack(np.meshgrid(np.linspace(x, x + 100, 8), np.linspace(200, 280, 5)), -1).reshape(-1, 2)
        seen = (grid >= [x1, y1]).all(1) & (grid <= [x2, y2]).all(1)
        lost += not seen.any()
        found = Pose(np.array([x1, y1, x2 - x1, y2 - y1]), grid.clip([x1, y1], [x2, y2]), seen.astype(float))
        follower.update(frame, [found])
    assert lost < 25  # in 15 frames, it is outside
    assert overlap([found.box], [[ways[-1], 200, 100, 80]]) > 0.5


def test_smoothing_halves_jitter_at_rest_and_follows_motion():
    rng, still, moving = np.random.default_rng(0), PoseSmoother(25), PoseSmoother(25)
    noise = rng.normal(0, 1, (200, 4, 2))
    at_rest = [Pose(animal(0).box, SHAPE + jitter, np.ones(4)) for jitter in noise]
    steady = np.array([still([1], [pose])[0].keypoints for pose in at_rest])[50:]
    assert np.diff(steady, axis=0).std() < 0.5 * np.diff(noise[50:], axis=0).std()
    np.testing.assert_allclose(steady.mean(0), SHAPE, atol=0.5)
    for frame in range(50):
        [pose] = moving([1], [animal(6 * frame)])
    assert np.abs(pose.keypoints - animal(6 * 49).keypoints).max() < 3  # half a frame behind at most


def test_smoothing_by_hand():
    """One keypoint at 25 frames a second jumps by 1 in a box of size 10: weights 1/(1 + rate / (2 pi cutoff))."""
    smoother = PoseSmoother(25, cutoff=2, speed=3)
    box = np.array([0, 0, 20, 5.0])
    smoother([7], [Pose(box, np.zeros((1, 2)), np.ones(1))])
    [pose] = smoother([7], [Pose(box, np.array([[1.0, 0.0]]), np.ones(1))])
    velocity = 25 / (1 + 25 / (2 * np.pi))
    assert pose.keypoints[0, 0] == pytest.approx(1 / (1 + 25 / (2 * np.pi * (2 + 3 * velocity / 10))))
    assert pose.keypoints[0, 1] == 0


def test_animals_are_smoothed_apart_and_forgotten():
    smoother = PoseSmoother(25, patience=1)
    smoother([1, 2], [animal(0), animal(300)])
    assert smoother([2], [animal(300)])[0].keypoints.tolist() == animal(300).keypoints.tolist()
    smoother([2], [animal(300)])
    assert list(smoother.states) == [2]


def test_each_video_has_its_own_animals_though_its_first_frame_was_skipped():
    tracking, image = VideoTracking(SIGMAS, smooth=True), np.zeros((1, 1, 3), np.uint8)
    one, two = (Source(Path(name), name) for name in ('one.mp4', 'two.mp4'))
    for source, number, x in ((one, 1, 40), (one, 2, 42), (two, 1, 60), (two, 2, 60)):
        numbers, [pose] = tracking(Frame(source, image, 0, number, 25.0), [animal(x)])
        assert numbers == [1]
    np.testing.assert_allclose(pose.keypoints, animal(60).keypoints)  # nothing of the first video's way is in it
