"""What ``tools/predict.py`` writes: pictures and tables, as the predictions come."""

import csv
import json
import os
from collections import defaultdict, deque
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from ..files import inside
from ..visualization import draw_names, draw_pose
from ..visualization.identity import draw_identity
from .media import Frame, Source
from .pose import Pose
from .score_map import ScoreMap
from .video import VideoFile

if TYPE_CHECKING:
    from .exported import ExportedPredictor
    from .predictor import PosePredictor

BAR = 24  # over a drawn score map, for its title, in pixels
TILE = 480  # of a drawn score map, in pixels of its longer side
WIDEST = 8000  # picture, in pixels: MPEG-4 Part 2 takes 8191
TRAIL = 40  # frames of an animal's way that are drawn behind it
COLUMNS = ('file', 'frame', 'animal')


class PredictionWriter:
    """Write pictures and lines of tables as they come, so that a video may be long and a run may be cut off.

    ``poses/`` has the inputs with the poses over them, ``prompts/`` with the score maps, under the inputs' own names.
    ``predictions.json`` holds COCO results, ``predictions.csv`` a line for each keypoint, ``prompts.csv`` one for
    each text. A folder in which nothing has been written is removed again.

    Args:
        folder (Path): Where to write.
        predictor (PosePredictor): Knows the keypoints.
        texts (list[str], optional): Whose score maps are drawn. None for no score maps.
        skipped (list[str]): What cannot be written is named here.
        pictures (bool): Whether pictures are written. Defaults to True.
        min_score (float, optional): Keypoints of lower scores are not drawn, others are opaque. Defaults to None: the
            less certain, the fainter.
        labels (bool): Whether the names of the keypoints are written into the pictures. Defaults to False.
    """

    def __init__(
        self,
        folder: Path,
        predictor: 'PosePredictor | ExportedPredictor',
        texts: list[str] | None,
        skipped: list[str],
        pictures: bool = True,
        min_score: float | None = None,
        labels: bool = False,
    ):
        self.folder, self.predictor, self.texts, self.skipped = folder, predictor, texts, skipped
        self.pictures, self.min_score, self.labels = pictures, min_score, labels
        self.num_animals = self.num_frames = 0
        self.lengths: dict[str, int] = {}  # of videos, by their names in the tables: the number of their frames
        self.source: Source | None = None  # which is being written, and how many animals and frames came before it
        self.before = 0, 0
        self.videos: dict[Path, VideoFile | None] = {}
        self.trails: dict[int, deque] = defaultdict(lambda: deque(maxlen=TRAIL))

    def __enter__(self) -> 'PredictionWriter':
        self.made = not self.folder.exists()
        self.folder.mkdir(parents=True, exist_ok=True)
        self.results = open(self.folder / 'predictions.json', 'w', encoding='utf-8')
        self.results.write('[')
        self.keypoints = self._table('predictions.csv', [*COLUMNS, 'keypoint', 'x', 'y', 'score'])
        if self.texts:
            self.prompts = self._table('prompts.csv', [*COLUMNS, 'text', 'x', 'y', 'cosine'])
        return self

    def write(
        self, frame: Frame, poses: list[Pose], maps: list[ScoreMap] | None, numbers: Sequence[int] | None = None
    ) -> None:
        """Add a frame with its N poses and, if texts were asked for, N score maps.

        Args:
            frame (Frame): The frame.
            poses (list[Pose]): Of its N animals.
            maps (list[ScoreMap], optional): Of the same.
            numbers (Sequence[int], optional): Their identities in a video that is tracked. Defaults to None: they are
                counted from 0 in each frame.
        """
        if frame.source is not self.source:  # the next file, from its first frame or, if that was skipped, a later one
            self._end_video()
            self.source = frame.source
            self.before = self.num_animals, self.num_frames
        place = (as_text(frame.source.name), '' if frame.number is None else frame.number)
        if frame.number is not None:
            self.lengths[place[0]] = frame.number + 1
        for index, (animal, pose) in enumerate(zip(numbers or range(len(poses)), poses)):
            identity = dict(track_id=animal) if numbers else {}
            self.results.write(',\n'[not self.num_animals :] + json.dumps(self._result(frame, index, pose) | identity))
            self.num_animals += 1
            for name, (x, y), score in zip(self.predictor.keypoint_names, pose.keypoints, pose.scores):
                row = (*place, animal, as_text(name), f'{x:.2f}', f'{y:.2f}', f'{score:.4f}')
                csv.writer(self.keypoints).writerow(row)
        self.num_frames += 1
        for animal, score_map in zip(numbers or range(len(poses)), maps or ()):
            best = score_map.values.max((1, 2))
            for text, (x, y), cosine in zip(score_map.texts, score_map.peaks(), best):
                row = (*place, animal, as_text(text), f'{x:.2f}', f'{y:.2f}', f'{cosine:.4f}')
                csv.writer(self.prompts).writerow(row)
        if self.pictures:
            self._save(frame, self._draw(frame, poses, numbers), 'poses')
            if maps is not None:
                self._save(frame, draw_score_maps(frame.image, maps, self.texts), 'prompts')

    def _draw(self, frame: Frame, poses: list[Pose], numbers: Sequence[int] | None) -> np.ndarray:
        drawn = frame.image
        for pose in poses:
            look = dict(scores=pose.scores)
            if self.min_score is not None:
                look = dict(visible=pose.scores >= self.min_score)
            drawn = draw_pose(drawn, pose.keypoints, self.predictor.metainfo, **look)
            if self.labels:
                certain = pose.scores >= (self.min_score or 0)
                drawn = draw_names(drawn, pose.keypoints[certain], np.array(self.predictor.keypoint_names)[certain])
        if numbers is None and len(poses) < 2:
            return drawn
        for animal, pose in zip(numbers or range(len(poses)), poses):
            trail = self.trails[animal] if numbers else deque()
            trail.append(pose.box[:2] + pose.box[2:] / 2)
            drawn = draw_identity(drawn, pose.box, animal, trail)
        return drawn

    @staticmethod
    def _result(frame: Frame, index: int, pose: Pose) -> dict:
        return dict(
            image_id=frame.image_id,
            category_id=frame.category_ids[index] if frame.category_ids else 1,
            keypoints=np.column_stack([pose.keypoints, pose.scores]).astype(float).round(4).flatten().tolist(),
            score=pose.score,
            bbox=pose.box.tolist(),
            file_name=frame.source.name,
            frame=frame.number,
        )

    def _save(self, frame: Frame, image: np.ndarray, kind: str) -> None:
        path = inside(self.folder / kind, frame.source.picture)
        path.parent.mkdir(parents=True, exist_ok=True)
        bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
        if not frame.source.is_video:
            done, content = cv2.imencode(path.suffix, bgr)
            if done:
                path.write_bytes(content)
            else:
                height, width = bgr.shape[:2]
                self.skipped.append(f'{path} cannot be written: {path.suffix} of {width}x{height} pixels')
            return
        try:
            if path not in self.videos:
                self.videos[path] = None
                self.videos[path] = VideoFile(path, frame.rate, bgr.shape[1::-1])
            if self.videos[path]:
                self.videos[path].write(bgr)
        except OSError as error:
            self.videos[path] = None
            self.skipped.append(str(error))

    def _end_video(self) -> None:
        for video in filter(None, self.videos.values()):
            try:
                video.close()
            except OSError as error:
                self.skipped.append(str(error))
        self.videos.clear()
        self.trails.clear()
        if self.source and self.source.is_video and self.before[0] == self.num_animals:
            self.skipped.append(f'{self.source.name}: no animal in its {self.num_frames - self.before[1]} frames')

    def flush(self) -> None:
        """Write what has been added, so that it is there if the run is cut off."""
        for file in self._files():
            file.flush()

    def __exit__(self, *_) -> None:
        self._end_video()
        self.results.write(']\n')
        for file in self._files():
            file.close()
            if not self.num_frames:
                os.remove(file.name)
        if not self.num_frames and self.made:
            self.folder.rmdir()

    def _files(self) -> list:
        return [self.results, self.keypoints, *([self.prompts] if self.texts else [])]

    def _table(self, name: str, columns: list[str]):
        file = (self.folder / name).open('w', newline='', encoding='utf-8', errors='backslashreplace')
        csv.writer(file).writerow(columns)
        return file


def as_text(text: str) -> str:
    """Return a text as a cell of a table which no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(('=', '+', '-', '@', '\t', '\r')) else text


def draw_score_maps(image: np.ndarray, maps: list[ScoreMap], texts: list[str]) -> np.ndarray:
    """Return a picture for each text, side by side: where it fits, its peak, and its highest cosine.

    All share one colour scale, from the lowest to the highest cosine of the frame. Where crops of several animals
    overlap, the higher cosine counts.

    Args:
        image (np.ndarray): (H, W, 3), uint8, RGB.
        maps (list[ScoreMap]): Of its N animals, P texts each.
        texts (list[str]): The P texts.

    Returns:
        np.ndarray: (BAR + H', P W', 3), uint8, RGB, a map being ``TILE`` at its longer side, or less where it would be
        too wide for a video; plain tiles without animals, as all frames of a video must be of one size.
    """
    from matplotlib.colors import Normalize  # here, as poses alone need no matplotlib

    from ..visualization.figures import overlay_score_map

    scale = min(TILE / max(image.shape[:2]), WIDEST / len(texts) / image.shape[1])
    small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    if not maps:
        return cv2.copyMakeBorder(np.hstack([small] * len(texts)), BAR, 0, 0, 0, cv2.BORDER_CONSTANT)
    values = np.fmax.reduce([score_map.on_image(*small.shape[:2], scale) for score_map in maps])  # (P, H', W')
    cells = np.concatenate([score_map.values.reshape(len(texts), -1) for score_map in maps], axis=1)  # (P, all cells)
    norm = Normalize(cells.min(), cells.max())  # a small animal may be between the pixels of a tile
    peaks = np.stack([score_map.peaks() for score_map in maps], axis=1) * scale  # (P, N, 2)
    tiles = []
    for index, text in enumerate(texts):
        tile = overlay_score_map(small, values[index], norm)
        for x, y in peaks[index].round().astype(int).tolist():
            cv2.drawMarker(tile, (x, y), (0, 0, 0), cv2.MARKER_CROSS, 18, 4, cv2.LINE_AA)
            cv2.drawMarker(tile, (x, y), (255, 255, 255), cv2.MARKER_CROSS, 16, 2, cv2.LINE_AA)
        tile = cv2.copyMakeBorder(tile, BAR, 0, 0, 0, cv2.BORDER_CONSTANT)  # a title over the map would hide crosses
        title = f'{text}  {cells[index].max():.2f}'
        cv2.putText(tile, title, (6, 17), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (255, 255, 255), 1, cv2.LINE_AA)
        tiles.append(tile)
    return np.hstack(tiles)
