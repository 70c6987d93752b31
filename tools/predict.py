"""Predict poses on own images and videos.

python tools/predict.py CONFIG CHECKPOINT photos/ clip.mp4 --out predictions
python tools/predict.py CONFIG CHECKPOINT photos/ --boxes annotations.json --prompts "left ear tip" hoof
python tools/predict.py configs/demo/openvocab_tiny.py CHECKPOINT photos/ --keypoints "left hock" hoof
"""

import argparse
import os
import sys

# on a busy CPU, threads of torch that spin while they wait slow each other down several times
os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')

import csv
import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
from matplotlib.colors import Normalize
from tqdm import tqdm

from clamp.command_line import at_least, inside, output_folder
from clamp.inference import Pose, PosePredictor, ScoreMap, check_boxes, clip_box
from clamp.inference.detection import AnimalDetector
from clamp.inference.media import CocoBoxes, Frame, count_frames, find_sources, read_frames
from clamp.settings import Options
from clamp.visualization import draw_pose, overlay_score_map

TILE = 480  # of a drawn score map, in pixels of its longer side
WIDEST = 8000  # picture, in pixels: MPEG-4 takes 8191


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Predict poses on images, folders of images, and videos.')
    parser.add_argument('config', help='config file, such as configs/ap10k/clamp_vitb.py')
    parser.add_argument('checkpoint', help='checkpoint (.pth), or what tools/export_onnx.py made of it (.onnx)')
    parser.add_argument('inputs', nargs='+', metavar='input', help='image, folder, video, or a quoted pattern of them')
    parser.add_argument(
        '--out', type=output_folder, default='predictions', help='new folder for the results (default: predictions)'
    )
    boxes = parser.add_mutually_exclusive_group()
    boxes.add_argument('--boxes', metavar='COCO.json', help='boxes of the animals; without any, the whole image is one')
    boxes.add_argument('--box', metavar='X,Y,WIDTH,HEIGHT', help='one box for every image, in pixels')
    boxes.add_argument(
        '--detector',
        nargs='?',
        const='',
        metavar='WEIGHTS.pth',
        help="find animals with torchvision's Faster R-CNN, ten classes of COCO; its weights, if not to be downloaded",
    )
    parser.add_argument(
        '--prompts', nargs='+', metavar='TEXT', help='texts whose score maps are drawn, trained on or not'
    )
    parser.add_argument(
        '--keypoints',
        nargs='+',
        metavar='NAME',
        help='what to predict in place of its own, if the model takes any name',
    )
    parser.add_argument('--batch-size', type=at_least(1), default=32, help='animals at once (default: 32)')
    parser.add_argument('--device', help='such as cuda:1 or cpu (default: the GPU if there is one)')
    parser.add_argument('--cfg-options', nargs='+', action=Options, metavar='KEY=VALUE', help='override settings')
    return parser.parse_args(argv)


def parse_box(text: str) -> list[list[float]]:
    """Return the box of --box, (1, 4).

    Raises:
        ValueError: If it is not four numbers, the last two positive.
    """
    try:
        return check_boxes([[float(number) for number in text.split(',')]]).tolist()
    except ValueError as error:
        raise ValueError(f'--box {text} should be four numbers, X,Y,WIDTH,HEIGHT, sizes positive.') from error


class PredictionWriter:
    """Write pictures as they come, and at the end what has been predicted, whatever has happened.

    ``poses/`` has the inputs with the poses over them, ``prompts/`` with the score maps, under the inputs' own names.
    ``predictions.json`` holds COCO results, ``predictions.csv`` a line for each keypoint, ``prompts.csv`` one for
    each text.

    Args:
        folder (Path): Where to write.
        predictor (PosePredictor): Knows the keypoints.
        texts (list[str], optional): Whose score maps are drawn. None for no score maps.
        skipped (list[str]): What cannot be written is named here.
    """

    def __init__(self, folder: Path, predictor: PosePredictor, texts: list[str] | None, skipped: list[str]):
        self.folder, self.predictor, self.texts, self.skipped = folder, predictor, texts, skipped
        self.results: list[dict] = []
        self.keypoints: list[tuple] = []
        self.prompts: list[tuple] = []
        self.num_frames = 0
        self.videos: dict[Path, cv2.VideoWriter] = {}

    def __enter__(self) -> 'PredictionWriter':
        self.folder.mkdir(parents=True, exist_ok=True)
        return self

    def write(self, frame: Frame, poses: list[Pose], maps: list[ScoreMap] | None) -> None:
        """Add a frame with its N poses and, if texts were asked for, N score maps."""
        self.num_frames += 1
        if not frame.number:  # the next file
            self._close_videos()
        drawn = frame.image
        place = (as_text(frame.source.name), '' if frame.number is None else frame.number)
        for animal, pose in enumerate(poses):
            drawn = draw_pose(drawn, pose.keypoints, self.predictor.metainfo, scores=pose.scores)
            self.results.append(self._result(frame, animal, pose))
            for name, (x, y), score in zip(self.predictor.keypoint_names, pose.keypoints, pose.scores):
                self.keypoints.append((*place, animal, as_text(name), f'{x:.2f}', f'{y:.2f}', f'{score:.4f}'))
        self._save(frame, drawn, 'poses')
        if maps is None:
            return
        for animal, score_map in enumerate(maps):
            best = score_map.values.max((1, 2))
            for text, (x, y), cosine in zip(score_map.texts, score_map.peaks(), best):
                self.prompts.append((*place, animal, as_text(text), f'{x:.2f}', f'{y:.2f}', f'{cosine:.4f}'))
        self._save(frame, draw_score_maps(frame.image, maps, self.texts), 'prompts')

    @staticmethod
    def _result(frame: Frame, animal: int, pose: Pose) -> dict:
        return dict(
            image_id=frame.image_id,
            category_id=frame.category_ids[animal] if frame.category_ids else 1,
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
            path.write_bytes(cv2.imencode(path.suffix, bgr)[1])
            return
        if path not in self.videos:
            size = bgr.shape[1::-1]
            self.videos[path] = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'mp4v'), frame.rate, size)
            if not self.videos[path].isOpened():
                rate = f'{size[0]}x{size[1]} pixels, {frame.rate:g} frames per second'
                self.skipped.append(f'{path} cannot be written by OpenCV: MPEG-4, {rate}')
        self.videos[path].write(bgr)

    def _close_videos(self) -> None:
        for video in self.videos.values():
            video.release()
        self.videos.clear()

    def __exit__(self, *_) -> None:
        self._close_videos()
        (self.folder / 'predictions.json').write_text(json.dumps(self.results), encoding='utf-8')
        columns = ['file', 'frame', 'animal']
        self._write_csv('predictions.csv', [*columns, 'keypoint', 'x', 'y', 'score'], self.keypoints)
        if self.prompts:
            self._write_csv('prompts.csv', [*columns, 'text', 'x', 'y', 'cosine'], self.prompts)

    def _write_csv(self, name: str, columns: list[str], rows: list[tuple]) -> None:
        with open(self.folder / name, 'w', newline='', encoding='utf-8', errors='backslashreplace') as f:
            csv.writer(f).writerows([columns, *rows])


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
        np.ndarray: (H', P W', 3), uint8, RGB, the longer side of a tile being ``TILE``, or less where P W' would be too
        wide for a video; plain tiles without animals, as all frames of a video must be of one size.
    """
    scale = min(TILE / max(image.shape[:2]), WIDEST / len(texts) / image.shape[1])
    small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    if not maps:
        return np.hstack([small] * len(texts))
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
        cv2.rectangle(tile, (0, 0), (tile.shape[1], 24), (0, 0, 0), -1)
        title = f'{text}  {cells[index].max():.2f}'
        cv2.putText(tile, title, (6, 17), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (255, 255, 255), 1, cv2.LINE_AA)
        tiles.append(tile)
    return np.hstack(tiles)


def find_boxes(
    frames: Iterator[Frame], box: list | None, detector: AnimalDetector | None, skipped: list[str]
) -> Iterator[Frame]:
    """Put boxes into the frames that have none; name and leave out those whose boxes do not fit."""
    for frame in frames:
        height, width = frame.image.shape[:2]
        if detector:
            frame.boxes = detector(frame.image)
        elif frame.boxes is None:
            frame.boxes = box or [[0, 0, width, height]]
        try:
            frame.boxes = check_boxes(frame.boxes)
            for one in frame.boxes:
                clip_box(one, width, height)
        except ValueError as error:
            skipped.append(f'{frame.name}: {error}')
        else:
            yield frame


def predict(
    predictor: PosePredictor, frames: Iterator[Frame], texts: list[str] | None, batch_size: int, writer
) -> None:
    """Predict and write ``batch_size`` frames at a time."""
    while batch := list(islice(frames, batch_size)):
        images, boxes = [frame.image for frame in batch], [frame.boxes for frame in batch]
        poses = predictor(images, boxes, batch_size)
        maps = predictor.score_maps(images, boxes, texts, batch_size) if texts else [None] * len(batch)
        for frame, frame_poses, frame_maps in zip(batch, poses, maps):
            writer.write(frame, frame_poses, frame_maps)


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    skipped: list[str] = []
    try:
        boxes = CocoBoxes(args.boxes) if args.boxes else None
        box = parse_box(args.box) if args.box else None
        sources, said = find_sources(args.inputs, boxes)
        print(*said, sep='\n', end='\n' * bool(said), file=sys.stderr)
        predictor = PosePredictor(args.config, args.checkpoint, args.device, args.cfg_options)
        detector = AnimalDetector(args.detector or None, device=args.device) if args.detector is not None else None
        if args.keypoints:
            predictor.set_keypoint_names(args.keypoints)
        if args.prompts:
            predictor.check_texts(args.prompts)
        frames = tqdm(read_frames(sources, skipped, boxes), total=count_frames(sources), unit='frame')
        with PredictionWriter(args.out, predictor, args.prompts, skipped) as writer:
            predict(predictor, find_boxes(frames, box, detector, skipped), args.prompts, args.batch_size, writer)
    except (ImportError, OSError, ValueError) as error:
        sys.exit(f'error: {error}')
    print(f'{len(writer.results)} animals in {writer.num_frames} frames: {os.path.abspath(args.out)}')
    if skipped:
        sys.exit('\n'.join([f'{len(skipped)} skipped:', *skipped]))


if __name__ == '__main__':
    main()
