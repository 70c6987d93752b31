"""Which animal of a frame is which of the frames before, and steadier poses.

A :class:`PoseTracker` sees one frame after the other and keeps of each animal its last pose and how it moves, so that a
video may be of any length.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from mmpose.evaluation.functional.nms import oks_iou
from scipy.optimize import linear_sum_assignment

from ..evaluation.identities import overlap
from .media import Frame
from .pose import Pose

PACE = 0.3  # how fast the estimate of an animal's motion follows, from frame to frame
MIN_SIMILARITY = 0.2  # in [0, 1]; a pose that is less like an animal is not it
MIN_SCORE = 0.3  # keypoints of lower scores do not count for the next frame's box
MARGIN = 1.25  # a box over the keypoints in it


@dataclass
class Track:
    """An animal that has been seen.

    Attributes:
        number (int): Its identity, from 1.
        pose (Pose): When it was last seen.
        motion (np.ndarray): (2,), (x, y) in pixels per frame.
        unseen (int): Frames since then.
    """

    number: int
    pose: Pose
    motion: np.ndarray = field(default_factory=lambda: np.zeros(2))
    unseen: int = 0

    def expected(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the keypoints (K, 2) and the box (4,) that it should have in the next frame, going on as it went."""
        way = self.motion * (self.unseen + 1)
        return self.pose.keypoints + way, self.pose.box + np.concatenate([way, [0, 0]])

    def distance(self, poses: Sequence[Pose]) -> np.ndarray:
        """Return how far N poses are from its way since it was seen, (N,), in sizes of its box."""
        start, way = centre(self.pose.box), self.motion * (self.unseen + 1)
        to_poses = np.array([centre(pose.box) for pose in poses]) - start  # (N, 2)
        along = np.clip(to_poses @ way / max(way @ way, 1e-9), 0, 1)
        return np.linalg.norm(to_poses - along[:, None] * way, axis=1) / np.sqrt(np.prod(self.pose.box[2:]))

    def reach(self) -> float:
        """Return how far from its way it may be, in sizes of its box: the longer it was not seen, the farther."""
        return min(0.5 + 0.1 * self.unseen, 1.5)

    def update(self, pose: Pose) -> None:
        """Take the pose of the next frame in which it is seen."""
        way = (centre(pose.box) - centre(self.pose.box)) / (self.unseen + 1)
        self.motion = self.motion + PACE * (way - self.motion)
        self.pose, self.unseen = pose, 0


class PoseTracker:
    """Give the animals of a video identities, frame by frame.

    Each animal is expected to go on as it went. The poses of a frame are given to the animals so that, all together,
    they are most alike (Hungarian method); alike is the mean of the object keypoint similarity, on which AP stands, and
    of the overlap (IoU) of the boxes. A pose that is like none is a new animal.

    Args:
        sigmas (np.ndarray): (K,), of the keypoints, as in the metainfo of a data set.
        patience (int): Frames for which an animal that is not seen is remembered. Defaults to 60.
    """

    def __init__(self, sigmas: np.ndarray, patience: int = 60):
        self.sigmas, self.patience = np.asarray(sigmas), patience
        self.tracks: list[Track] = []
        self.count = 0

    def __call__(self, poses: Sequence[Pose]) -> list[int]:
        """Return the identity of each of the N poses of the next frame, from 1."""
        numbers = [0] * len(poses)
        for track, index in self._match(poses):
            track.update(poses[index])
            numbers[index] = track.number
        for index, pose in enumerate(poses):
            if not numbers[index]:
                self.count += 1
                numbers[index] = self.count
                self.tracks.append(Track(self.count, pose))
        for track in self.tracks:
            track.unseen += track.number not in numbers
        self.tracks = [track for track in self.tracks if track.unseen <= self.patience]
        return numbers

    def _match(self, poses: Sequence[Pose]) -> list[tuple[Track, int]]:
        """Return which tracks have which poses."""
        if not self.tracks or not poses:
            return []
        alike = np.array([self.similarity(track, poses) for track in self.tracks])  # (tracks, N)
        rows, columns = linear_sum_assignment(np.where(alike < MIN_SIMILARITY, 0, alike), maximize=True)
        pairs = [(row, column) for row, column in zip(rows, columns) if alike[row, column] >= MIN_SIMILARITY]
        return [(self.tracks[row], int(column)) for row, column in pairs + self._match_far(poses, pairs)]

    def _match_far(self, poses: Sequence[Pose], pairs: list[tuple[int, int]]) -> list[tuple[int, int]]:
        """Match what is left by distance: behind another, an animal slows down or turns, and comes out elsewhere."""
        rows = sorted(set(range(len(self.tracks))) - {row for row, _ in pairs})
        columns = sorted(set(range(len(poses))) - {column for _, column in pairs})
        if not rows or not columns:
            return []
        reach = np.array([self.tracks[row].reach() for row in rows])
        far = np.array([self.tracks[row].distance([poses[column] for column in columns]) for row in rows])
        near = far <= reach[:, None]
        found = linear_sum_assignment(np.where(near, far, 1e3))
        return [(rows[i], columns[j]) for i, j in zip(*found) if near[i, j]]

    def similarity(self, track: Track, poses: Sequence[Pose]) -> np.ndarray:
        """Return how like an animal N poses are, (N,), in [0, 1]."""
        keypoints, box = track.expected()
        boxes = np.array([pose.box for pose in poses])
        found = np.array([_flat(pose.keypoints) for pose in poses])
        oks = oks_iou(_flat(keypoints), found, box[2] * box[3], boxes[:, 2] * boxes[:, 3], self.sigmas)
        return (oks + overlap(box, boxes)[0]) / 2


def _flat(keypoints: np.ndarray) -> np.ndarray:
    return np.column_stack([keypoints, np.ones(len(keypoints))]).ravel()  # (3 K,): x, y, visibility


def centre(box: np.ndarray) -> np.ndarray:
    """Return the centre (2,) of a box (4,): x, y, width, height."""
    return box[:2] + box[2:] / 2


def box_around(pose: Pose, box: np.ndarray, width: int, height: int) -> np.ndarray:
    """Return the box (4,) in which to look for an animal in the next frame: around its keypoints, and somewhat larger.

    Where fewer than three keypoints are certain, it is the box as it was. Its middle is in the frame, its sides may be
    outside: where they are it does not shrink, as it would with what is left of an animal that leaves the frame.

    Args:
        pose (Pose): Of this frame.
        box (np.ndarray): (4,), where it was looked for.
        width, height (int): Of the frame.
    """
    points = pose.keypoints[pose.scores >= MIN_SCORE]
    if len(points) < 3:
        return box
    low, high = points.min(0), points.max(0)
    half = np.clip(MARGIN * (high - low) / 2, 0.45 * box[2:], 0.55 * box[2:])
    last = np.array([width - 1, height - 1])
    middle = ((low + high) / 2).clip(0, last)
    outside = (middle - half < 0) | (middle + half > last)
    half = np.where(outside, np.maximum(half, box[2:] / 2), half)
    return np.concatenate([middle - half, 2 * half])


class PoseSmoother:
    """Steady the poses of each animal of a video by the One Euro filter.

    It is a low pass that lets fast motion through: little jitter at rest, little delay in motion (Casiez, Roussel and
    Vogel: 1€ Filter, CHI 2012). Speeds are in box sizes per second, so that they do not depend on the resolution.

    Args:
        rate (float): Of the video, in frames per second.
        cutoff (float): Of the filter at rest, in Hz: the lower, the steadier. Defaults to 1.
        speed (float): By how many Hz the cutoff rises with each box size per second: the higher, the less delay.
            Defaults to 10.
        patience (int): Frames after which an animal that has not been seen is forgotten. Defaults to 30.
    """

    def __init__(self, rate: float, cutoff: float = 1.0, speed: float = 10.0, patience: int = 30):
        self.rate, self.cutoff, self.speed, self.patience = rate, cutoff, speed, patience
        self.frame = 0
        self.states: dict[int, tuple[int, np.ndarray, np.ndarray]] = {}  # last frame, keypoints (K, 2), velocity (K, 2)

    def __call__(self, numbers: Sequence[int], poses: Sequence[Pose]) -> list[Pose]:
        """Return the N poses of the next frame, of animals with the identities ``numbers``, steadied."""
        self.frame += 1
        steady = [self._steady(number, pose) for number, pose in zip(numbers, poses)]
        self.states = {key: state for key, state in self.states.items() if self.frame - state[0] <= self.patience}
        return steady

    def _steady(self, number: int, pose: Pose) -> Pose:
        last, keypoints, velocity = self.states.get(number, (self.frame - 1, pose.keypoints, 0 * pose.keypoints))
        rate, size = self.rate / (self.frame - last), np.sqrt(np.prod(pose.box[2:]))
        velocity = velocity + self._weight(1.0, rate) * ((pose.keypoints - keypoints) * rate - velocity)
        cutoff = self.cutoff + self.speed * np.linalg.norm(velocity, axis=1, keepdims=True) / size  # (K, 1)
        keypoints = keypoints + self._weight(cutoff, rate) * (pose.keypoints - keypoints)
        self.states[number] = self.frame, keypoints, velocity
        return Pose(pose.box, keypoints, pose.scores)

    @staticmethod
    def _weight(cutoff: float | np.ndarray, rate: float) -> float | np.ndarray:
        """Return the weight of a new value in a low pass of a cutoff in Hz."""
        return 1 / (1 + rate / (2 * np.pi * cutoff))


class VideoTracking:
    """Identities and, on request, steadier poses for a stream of frames of several videos.

    Args:
        sigmas (np.ndarray): (K,), of the keypoints.
        smooth (bool): Whether poses are steadied. Defaults to False.
    """

    def __init__(self, sigmas: np.ndarray, smooth: bool = False):
        self.sigmas, self.smooth = sigmas, smooth
        self.source = None  # the video that the identities are of

    def __call__(self, frame: Frame, poses: list[Pose]) -> tuple[list[int] | None, list[Pose]]:
        """Return the identities of the N poses of the next frame, None for an image, and the poses."""
        if frame.number is None:
            return None, poses
        if frame.source is not self.source:  # the first frames of a video may have been skipped
            self.source = frame.source
            self.tracker, self.smoother = PoseTracker(self.sigmas), PoseSmoother(frame.rate)
        numbers = self.tracker(poses)
        return numbers, self.smoother(numbers, poses) if self.smooth else poses


class Follower:
    """The box of one animal that was marked in the first frame of a video: from then on, around its last pose.

    Args:
        box (np.ndarray): (1, 4), in the first frame, and in images: x, y, width, height, in pixels.
    """

    def __init__(self, box: np.ndarray):
        self.first = self.box = box

    def boxes(self, frame: Frame) -> np.ndarray:
        """Return where the animal is to be looked for in the next frame, (1, 4)."""
        if not frame.number:
            self.box = self.first
        return self.box

    def update(self, frame: Frame, poses: list[Pose]) -> None:
        """Take the pose that was found there; none, where the box was outside of the frame."""
        if poses:
            self.box = box_around(poses[0], self.box[0], *frame.image.shape[1::-1])[None]
