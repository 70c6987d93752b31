"""Predict poses on own images and videos.

python tools/predict.py photo.jpg --out poses
python tools/predict.py CONFIG CHECKPOINT photos/ clip.mp4 --out predictions
python tools/predict.py MODEL_FOLDER clip.mp4 --detector --track --format dlc
python tools/predict.py CONFIG CHECKPOINT photos/ --boxes annotations.json --prompts "left ear tip" hoof
python tools/predict.py CONFIG CHECKPOINT camera1/ camera2/ --score-threshold 0.3 --labels
python tools/predict.py configs/demo/openvocab_tiny.py CHECKPOINT photos/ --keypoints "left hock" hoof
"""

from __future__ import annotations

import argparse
import os
import sys

from clamp.command_line import Options, at_least, box, output_folder
from clamp.formats import FORMATS, Source, check_formats, export

PIXELS = 40_000_000  # of the images that are in memory at once: two large photographs, or 20 frames of 1080p


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
        'tools/publish.py (default: the small model of the package); then images, folders, videos, or quoted '
        'patterns of them',
    )
    parser.add_argument(
        '--out', type=output_folder, default='predictions', help='new folder for the results (default: predictions)'
    )
    boxes = parser.add_mutually_exclusive_group()
    boxes.add_argument(
        '--boxes',
        metavar='COCO.json',
        help='boxes of the animals, for images whose paths end in its file_name entries, and for the frames (from 0) '
        'that its images name beside a video; without any boxes, the whole image is one',
    )
    boxes.add_argument(
        '--box',
        type=box,
        metavar='X,Y,WIDTH,HEIGHT',
        help='one box for every image, in pixels; --box=-5,0,... if it begins with a minus',
    )
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
    parser.add_argument('--labels', action='store_true', help='write the names of the keypoints into the pictures')
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
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from tqdm import tqdm

from clamp.inference import check_boxes, clip_box
from clamp.inference.exported import ExportedPredictor
from clamp.inference.media import IMAGES, VIDEOS, Frame, count_frames, frame_rate, read_frames
from clamp.inference.sources import CocoBoxes, find_sources
from clamp.inference.video import has_h264
from clamp.inference.writing import PredictionWriter, as_text
from clamp.pretrained import split_model

if TYPE_CHECKING:  # what needs torch is imported where it is used: an exported model does without
    from clamp.inference import PosePredictor
    from clamp.inference.detection import AnimalDetector
    from clamp.inference.tracking import Follower, VideoTracking


def load_predictor(config: str | None, checkpoint: str, args: argparse.Namespace) -> PosePredictor | ExportedPredictor:
    """Return what predicts: of an exported model without a config, without torch and MMPose.

    Raises:
        FileNotFoundError, ImportError, ValueError: If there is no such model, or it takes no --keypoints or --prompts.
    """
    if config is None:
        for option in ('keypoints', 'prompts', 'cfg_options', 'device'):
            if getattr(args, option) and not (option == 'device' and args.detector is not None):  # it is the detector's
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
    args: argparse.Namespace, given: list | None, sigmas: np.ndarray
) -> tuple[VideoTracking | None, Follower | None]:
    """Return what knows the animals of a video and what follows a marked one, if --track asks for it."""
    if not args.track:
        return None, None
    from clamp.inference.tracking import Follower, VideoTracking

    return VideoTracking(sigmas, args.smooth), Follower(np.array(given)) if given else None


def check_swallowed(args: argparse.Namespace) -> None:
    """Check that no input stands among the texts of an option, which take all that follows it.

    Raises:
        ValueError: If one does.
    """
    for option in ('prompts', 'keypoints', 'detector'):
        taken = getattr(args, option) or ()
        for text in [taken] if isinstance(taken, str) else taken:
            if (
                Path(text).is_file()
                or Path(text).suffix.lower() in IMAGES + VIDEOS
                or (os.sep in text and os.path.exists(text))
            ):
                raise ValueError(f'--{option} takes what follows it, {text} too: write the inputs before --{option}.')


def batches(frames: Iterator[Frame], most: int) -> Iterator[list[Frame]]:
    """Yield the frames in lists of at most ``most``, and of no more than ``PIXELS`` but for the last."""
    batch, pixels = [], 0
    for frame in frames:
        batch.append(frame)
        pixels += frame.image.shape[0] * frame.image.shape[1]
        if len(batch) == most or pixels >= PIXELS:
            yield batch
            batch, pixels = [], 0
    if batch:
        yield batch


def find_boxes(
    frames: Iterator[Frame],
    given: list | None,
    detector: AnimalDetector | None,
    skipped: list[str],
    follower: Follower | None = None,
) -> Iterator[Frame]:
    """Put boxes into the frames that have none; name and leave out boxes that do not fit, and images without another.

    Frames of a video stay, so that its pictures and tables keep their time. A box that fits none of many is named once.
    """
    refused: dict[tuple[str, str], list[str]] = {}
    for frame in frames:
        height, width = frame.image.shape[:2]
        if detector:
            frame.boxes = detector(frame.image)
        elif follower:
            frame.boxes = follower.boxes(frame)
        elif frame.boxes is None:
            frame.boxes = given or [[0, 0, width, height]]
        fitting = []
        for place, one in enumerate(frame.boxes):
            try:
                clip_box(check_boxes([one])[0], width, height)
            except ValueError as error:
                refused.setdefault((frame.source.name, str(error)), []).append(frame.name)
            else:
                fitting.append(place)
        if frame.number is None and len(frame.boxes) and not fitting:
            continue
        frame.category_ids = [frame.category_ids[place] for place in fitting] if frame.category_ids else []
        frame.boxes = check_boxes([frame.boxes[place] for place in fitting])
        yield frame
    for (_, error), (first, *others) in refused.items():
        more = f' Likewise in {len(others)} more, the last one {others[-1]}.' if others else ''
        skipped.append(f'{first}: {error}{more}')


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
    for batch in batches(frames, 1 if follower else batch_size):
        images, boxes = [frame.image for frame in batch], [frame.boxes for frame in batch]
        poses = predictor(images, boxes, batch_size)
        maps = predictor.score_maps(images, boxes, texts, batch_size) if texts else [None] * len(batch)
        for frame, frame_poses, frame_maps in zip(batch, poses, maps):
            if follower:
                follower.update(frame, frame_poses)
            numbers, frame_poses = tracking(frame, frame_poses) if tracking else (None, frame_poses)
            writer.write(frame, frame_poses, frame_maps, numbers)
        writer.flush()


def export_formats(
    args: argparse.Namespace, predictor: PosePredictor | ExportedPredictor, sources: list, lengths: dict[str, int]
) -> None:
    """Write the files of other programs that --format asks for; a video is known by its name in the table."""
    known = {}
    for one in sources:
        name = as_text(one.name)
        of_video = (frame_rate(one.path), lengths[name]) if name in lengths else ()
        known[name] = Source(one.path.absolute(), *of_video)
    export(args.out / 'predictions.csv', args.format, predictor.metainfo['skeleton_links'], known)


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    skipped: list[str] = []
    try:
        if args.format and args.keypoints and len(set(args.keypoints)) < len(args.keypoints):
            raise ValueError('The files of --format know a keypoint by its name: name each of --keypoints once.')
        check_formats(args.format)
        check_swallowed(args)
        config, checkpoint, inputs = split_model(args.arguments)
        if not inputs:
            raise ValueError('Name the images, folders or videos after the model.')
        if args.smooth and not args.track:
            raise ValueError('--smooth steadies the poses of each animal: add --track, which knows them.')
        boxes = CocoBoxes(args.boxes) if args.boxes else None
        given = [args.box] if args.box else None
        sources, said = find_sources(inputs, boxes)
        several = args.boxes or args.detector is not None
        if args.format and several and not args.track and any(one.is_video for one in sources):
            said.append('--format without --track: which animal is which is its place in each frame, no identity')
        if any(one.is_video for one in sources) and not args.no_pictures and not has_h264():
            said.append('videos are written as MPEG-4 Part 2, which browsers do not play; for H.264: pip install av')
        print(*said, sep='\n', end='\n' * bool(said), file=sys.stderr)
        predictor, detector = load_predictor(config, checkpoint, args), load_detector(args)
        tracking, follower = load_tracking(args, given, predictor.metainfo['sigmas'])
        frames = tqdm(read_frames(sources, skipped, boxes), total=count_frames(sources), unit='frame')
        frames = find_boxes(frames, given, detector, skipped, follower)
        look = dict(pictures=not args.no_pictures, min_score=args.score_threshold, labels=args.labels)
        with PredictionWriter(args.out, predictor, args.prompts, skipped, **look) as writer:
            predict(predictor, frames, args.prompts, args.batch_size, writer, tracking, follower)
        if args.format and writer.num_frames:
            export_formats(args, predictor, sources, writer.lengths)
    except KeyboardInterrupt:
        if not args.out.exists() or not os.listdir(args.out):
            sys.exit('\nstopped; nothing is written')
        sys.exit(
            f'\nstopped; what was predicted until then is in {os.path.abspath(args.out)}. To start again, delete it or '
            'give another --out.'
        )
    except (ImportError, OSError, ValueError) as error:
        sys.exit(f'error: {error}')
    except RuntimeError as error:
        if type(error).__name__ != 'OutOfMemoryError':  # torch's, which an exported model does without
            raise
        sys.exit(f'error: the memory of the GPU is full. Give a smaller --batch-size than {args.batch_size}.')
    print(f'{writer.num_animals} animals in {writer.num_frames} frames: {os.path.abspath(args.out)}')
    if skipped:
        sys.exit('\n'.join([f'{len(skipped)} skipped:', *skipped]))


if __name__ == '__main__':
    main()
