"""Predict poses on own images and videos.

python tools/predict.py CONFIG CHECKPOINT photos/ clip.mp4 --out predictions
python tools/predict.py MODEL_FOLDER clip.mp4 --detector --track --format dlc
python tools/predict.py CONFIG CHECKPOINT photos/ --boxes annotations.json --prompts "left ear tip" hoof
python tools/predict.py configs/demo/openvocab_tiny.py CHECKPOINT photos/ --keypoints "left hock" hoof
"""

from __future__ import annotations

import argparse
import os
import sys

# on a busy CPU, threads of torch that spin while they wait slow each other down several times
os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')

from clamp.command_line import Options, at_least, output_folder
from clamp.formats import FORMATS, Source, check_formats, export


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Predict poses on images, folders of images, and videos.',
        epilog=__doc__.split('\n\n', 1)[1],
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        'arguments',
        nargs='+',
        metavar='argument',
        help='the model, CONFIG CHECKPOINT (.pth or .onnx), an .onnx file alone, or a folder or hub id of '
        'tools/publish.py; then images, folders, videos, or quoted patterns of them',
    )
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
    video = parser.add_argument_group('videos')
    video.add_argument(
        '--track',
        action='store_true',
        help='keep identities from frame to frame; --box is then the box of the first frame, and follows the animal',
    )
    video.add_argument('--smooth', action='store_true', help='steady the poses; takes --track')
    parser.add_argument(
        '--format', nargs='+', default=[], choices=FORMATS, help='also write files of DeepLabCut, SLEAP and NWB'
    )
    parser.add_argument('--no-pictures', action='store_true', help='write the tables alone')
    parser.add_argument(
        '--score-threshold',
        type=float,
        metavar='SCORE',
        help='draw keypoints from this score on, opaque (default: all, the less certain the fainter)',
    )
    parser.add_argument('--device', help='such as cuda:1 or cpu (default: the GPU if there is one)')
    parser.add_argument('--cfg-options', nargs='+', action=Options, metavar='KEY=VALUE', help='override settings')
    return parser.parse_args(argv)


if __name__ == '__main__':
    parse_args()  # --help and wrong arguments end here, before the imports that take seconds

from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
from tqdm import tqdm

from clamp.inference import check_boxes, clip_box
from clamp.inference.exported import ExportedPredictor
from clamp.inference.media import CocoBoxes, Frame, count_frames, find_sources, frame_rate, read_frames
from clamp.inference.writing import PredictionWriter
from clamp.pretrained import split_model

if TYPE_CHECKING:  # what needs torch is imported where it is used: an exported model does without
    from clamp.inference import PosePredictor
    from clamp.inference.detection import AnimalDetector
    from clamp.inference.tracking import Follower, VideoTracking


def parse_box(text: str) -> list[list[float]]:
    """Return the box of --box, (1, 4).

    Raises:
        ValueError: If it is not four numbers, the last two positive.
    """
    try:
        return check_boxes([[float(number) for number in text.split(',')]]).tolist()
    except ValueError as error:
        raise ValueError(f'--box {text} should be four numbers, X,Y,WIDTH,HEIGHT, sizes positive.') from error


def load_predictor(config: str | None, checkpoint: str, args: argparse.Namespace) -> PosePredictor | ExportedPredictor:
    """Return what predicts: of an exported model without a config, without torch and MMPose.

    Raises:
        FileNotFoundError, ImportError, ValueError: If there is no such model, or it takes no --keypoints or --prompts.
    """
    if config is None:
        for option in ('keypoints', 'prompts', 'cfg_options'):
            if getattr(args, option):
                name = option.replace('_', '-')
                raise ValueError(f'An exported model takes no --{name}: give the config and checkpoint it was made of.')
        return ExportedPredictor(checkpoint)
    from clamp.inference import PosePredictor

    predictor = PosePredictor(config, checkpoint, args.device, args.cfg_options)
    if args.keypoints:
        predictor.set_keypoint_names(args.keypoints)
    if args.prompts:
        predictor.check_texts(args.prompts)
    return predictor


def load_detector(args: argparse.Namespace) -> AnimalDetector | None:
    """Return the detector, if --detector asks for it."""
    if args.detector is None:
        return None
    from clamp.inference.detection import AnimalDetector

    return AnimalDetector(args.detector or None, device=args.device)


def load_tracking(
    args: argparse.Namespace, box: list | None, sigmas: np.ndarray
) -> tuple[VideoTracking | None, Follower | None]:
    """Return what knows the animals of a video and what follows a marked one, if --track asks for it."""
    if not args.track:
        return None, None
    from clamp.inference.tracking import Follower, VideoTracking

    return VideoTracking(sigmas, args.smooth), Follower(np.array(box)) if box else None


def find_boxes(
    frames: Iterator[Frame],
    box: list | None,
    detector: AnimalDetector | None,
    skipped: list[str],
    follower: Follower | None = None,
) -> Iterator[Frame]:
    """Put boxes into the frames that have none; name and leave out those whose boxes do not fit."""
    for frame in frames:
        height, width = frame.image.shape[:2]
        if detector:
            frame.boxes = detector(frame.image)
        elif follower:
            frame.boxes = follower.boxes(frame)
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
    predictor: PosePredictor | ExportedPredictor,
    frames: Iterator[Frame],
    texts: list[str] | None,
    batch_size: int,
    writer: PredictionWriter,
    tracking: VideoTracking | None = None,
    follower: Follower | None = None,
) -> None:
    """Predict and write ``batch_size`` frames at a time; one, where its pose says where the next one is."""
    while batch := list(islice(frames, 1 if follower else batch_size)):
        images, boxes = [frame.image for frame in batch], [frame.boxes for frame in batch]
        poses = predictor(images, boxes, batch_size)
        maps = predictor.score_maps(images, boxes, texts, batch_size) if texts else [None] * len(batch)
        for frame, frame_poses, frame_maps in zip(batch, poses, maps):
            if follower:
                follower.update(frame, frame_poses)
            numbers, frame_poses = tracking(frame, frame_poses) if tracking else (None, frame_poses)
            writer.write(frame, frame_poses, frame_maps, numbers)
        writer.flush()


def export_formats(args: argparse.Namespace, predictor: PosePredictor | ExportedPredictor, sources: list) -> None:
    """Write the files of other programs that --format asks for."""
    videos = {one.name: Source(one.path, frame_rate(one.path)) for one in sources if one.is_video}
    export(args.out / 'predictions.csv', args.format, predictor.metainfo['skeleton_links'], videos)


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    skipped: list[str] = []
    try:
        check_formats(args.format)
        config, checkpoint, inputs = split_model(args.arguments)
        if not inputs:
            raise ValueError('Name the images, folders or videos after the model.')
        if args.smooth and not args.track:
            raise ValueError('--smooth steadies the poses of each animal: add --track, which knows them.')
        boxes = CocoBoxes(args.boxes) if args.boxes else None
        box = parse_box(args.box) if args.box else None
        sources, said = find_sources(inputs, boxes)
        print(*said, sep='\n', end='\n' * bool(said), file=sys.stderr)
        predictor, detector = load_predictor(config, checkpoint, args), load_detector(args)
        tracking, follower = load_tracking(args, box, predictor.metainfo['sigmas'])
        frames = tqdm(read_frames(sources, skipped, boxes), total=count_frames(sources), unit='frame')
        frames = find_boxes(frames, box, detector, skipped, follower)
        look = dict(pictures=not args.no_pictures, min_score=args.score_threshold)
        with PredictionWriter(args.out, predictor, args.prompts, skipped, **look) as writer:
            predict(predictor, frames, args.prompts, args.batch_size, writer, tracking, follower)
        export_formats(args, predictor, sources)
    except KeyboardInterrupt:
        sys.exit(f'\nstopped; what was predicted until then is in {os.path.abspath(args.out)}')
    except (ImportError, OSError, ValueError) as error:
        sys.exit(f'error: {error}')
    print(f'{writer.num_animals} animals in {writer.num_frames} frames: {os.path.abspath(args.out)}')
    if skipped:
        sys.exit('\n'.join([f'{len(skipped)} skipped:', *skipped]))


if __name__ == '__main__':
    main()
