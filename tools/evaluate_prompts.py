"""How well are keypoints found by name that a model was trained without?

python tools/evaluate_prompts.py configs/demo/clamp_tiny_heldout.py CHECKPOINT
"""

import argparse
import json
import os
import sys
from collections import defaultdict
from pathlib import Path

# on a busy CPU, threads of torch that spin while they wait slow each other down several times
os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')

import numpy as np
from mmengine.config import Config
from tqdm import tqdm

import clamp  # noqa: F401
from clamp.checks import annotation_path, check_config, check_data, read_config
from clamp.command_line import output_file
from clamp.datasets.coco import read
from clamp.datasets.mean_pose import mean_pose
from clamp.inference import PosePredictor
from clamp.settings import Options

THRESHOLDS = (0.1, 0.2)
OTHER_WORDS = ('cloud', 'table', 'window', 'river', 'engine', 'paper', 'music', 'seven', 'yellow', 'yesterday')
BATCH = 32  # images
SIDE = (np.arange(32) + 0.5) / 32
ANYWHERE = np.stack(np.meshgrid(SIDE, SIDE), -1).reshape(-1, 2)  # (1024, 2), fractions of a box


class Animals:
    """The labelled animals of a COCO file.

    Args:
        dataset (dict): A data set config.

    Attributes:
        paths (list[str]): Of the images.
        boxes (list[np.ndarray]): Of each image its animals' boxes (n, 4): x, y, width, height, in pixels.
        keypoints (np.ndarray): Of all N animals, image by image, (N, K, 3): x, y, in pixels, and 0 = unlabelled.
    """

    def __init__(self, dataset: dict):
        coco = read(annotation_path(dataset))
        folder = Path(dataset.get('data_root') or '', dataset.get('data_prefix', {}).get('img', ''))
        by_image = defaultdict(list)
        for annotation in coco['annotations']:
            by_image[annotation['image_id']].append(annotation)
        images = [image for image in coco['images'] if by_image[image['id']]]
        groups = [by_image[image['id']] for image in images]
        self.paths = [str(folder / image['file_name']) for image in images]
        self.boxes = [np.array([annotation['bbox'] for annotation in group], float) for group in groups]
        flat = [annotation['keypoints'] for group in groups for annotation in group]
        self.keypoints = np.array(flat, float).reshape(len(flat), -1, 3)


def pck(predicted: np.ndarray, keypoints: np.ndarray, boxes: np.ndarray) -> list[float]:
    """Return the share of labelled keypoints that a prediction hits, for each of ``THRESHOLDS``.

    A hit is nearer than the threshold times the longer side of the box.

    Args:
        predicted (np.ndarray): (N, 2), (x, y) in pixels; or (N, M, 2), M equally likely predictions.
        keypoints (np.ndarray): (N, 3), the truth: x, y, and 0 = unlabelled.
        boxes (np.ndarray): (N, 4): x, y, width, height.

    Returns:
        list[float]: In [0, 1]; NaN if nothing is labelled.
    """
    labelled = keypoints[:, 2] > 0
    predicted = predicted.reshape(len(predicted), -1, 2)[labelled]  # (n, M, 2)
    distance = np.linalg.norm(predicted - keypoints[labelled, None, :2], axis=-1) / boxes[labelled, 2:].max(1)[:, None]
    return [float((distance < threshold).mean()) if len(distance) else float('nan') for threshold in THRESHOLDS]


def in_boxes(fractions: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Return M places given as fractions of a box (M, 2) in the pixels of N boxes, (N, M, 2)."""
    return boxes[:, None, :2] + fractions * boxes[:, None, 2:]


def predict(predictor: PosePredictor, animals: Animals, texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return the keypoints by heatmap (N, K, 2) and where the texts fit best (N, P, 2), in pixels of the images."""
    poses, peaks = [], []
    for start in tqdm(range(0, len(animals.paths), BATCH), unit='batch'):
        images, boxes = animals.paths[start : start + BATCH], animals.boxes[start : start + BATCH]
        poses += [pose.keypoints for found in predictor(images, boxes) for pose in found]
        peaks += [score_map.peaks() for found in predictor.score_maps(images, boxes, texts) for score_map in found]
    return np.stack(poses), np.stack(peaks)


def evaluate(cfg: Config, predictor: PosePredictor, names: list[str]) -> dict[str, dict]:
    """Measure how well held-out names are found.

    Args:
        cfg (Config): With ``held_out``, the place of each held-out name in the annotations, and ``kept``, the places of
            the names trained on.
        predictor (PosePredictor): Of this config.
        names (list[str]): The held-out names to ask for.

    Returns:
        dict[str, dict]: For each name the number of labelled ``animals``, the ``nearest`` trained name, and PCK at the
        ``THRESHOLDS`` of: ``by_name``, the peak of the score map in the box; ``other_words``, the same for words that
        name no keypoint, their mean, and ``best_other_word``, the best of them; ``nearest_trained``, the heatmaps'
        place of the trained keypoint whose mean place is nearest; ``mean_pose``, the mean place in the training data;
        ``chance``, anywhere in the box. A last entry, ``trained names``, has the mean of the names trained on.
    """
    animals = Animals(cfg.test_dataloader.dataset)
    boxes = np.concatenate(animals.boxes)
    train = read(annotation_path(cfg.train_dataloader.dataset))
    mean = mean_pose(train['annotations'])  # (K, 2), all keypoints of the annotations
    trained = predictor.keypoint_names
    poses, peaks = predict(predictor, animals, [*names, *trained, *OTHER_WORDS])

    rows = {}
    for index, (name, place) in enumerate([*((name, cfg.held_out[name]) for name in names), *zip(trained, cfg.kept)]):
        nearest = int(np.linalg.norm(mean[list(cfg.kept)] - mean[place], axis=1).argmin())
        truth = animals.keypoints[:, place]
        other = [pck(peaks[:, -word], truth, boxes) for word in range(1, len(OTHER_WORDS) + 1)]
        rows[name] = dict(
            animals=int((truth[:, 2] > 0).sum()),
            nearest=trained[nearest],
            by_name=pck(peaks[:, index], truth, boxes),
            other_words=np.mean(other, 0).tolist(),
            best_other_word=np.max(other, 0).tolist(),
            nearest_trained=pck(poses[:, nearest], truth, boxes),
            mean_pose=pck(in_boxes(mean[place][None], boxes), truth, boxes),
            chance=pck(in_boxes(ANYWHERE, boxes), truth, boxes),
        )
    known = [rows.pop(name) for name in trained]
    means = {key: np.nanmean([row[key] for row in known], 0).tolist() for key in list(known[0])[2:]}
    rows['trained names'] = dict(animals=sum(row['animals'] for row in known), nearest='itself', **means)
    return rows


def format_table(rows: dict[str, dict]) -> str:
    """Return the rows of :func:`evaluate` as a Markdown table: PCK in percent, at both thresholds."""

    def cell(values: list[float]) -> str:
        return ' / '.join(f'{100 * value:.1f}' for value in values)

    columns = ('keypoint', 'animals', 'by name', 'other words', 'best of these')
    columns += ('nearest trained', 'mean pose', 'chance')
    lines = [f'| {" | ".join(columns)} |', '|---' * len(columns) + '|']
    for name, row in rows.items():
        nearest = f'{cell(row["nearest_trained"])} ({row["nearest"]})'
        words = [cell(row[key]) for key in ('by_name', 'other_words', 'best_other_word')]
        cells = [name, row['animals'], *words, nearest, cell(row['mean_pose']), cell(row['chance'])]
        lines.append(f'| {" | ".join(map(str, cells))} |')
    return '\n'.join(lines)


def check_names(cfg: Config, names: list[str] | None) -> list[str]:
    """Return the held-out names to ask for, by default all.

    Raises:
        ValueError: If the config holds out none, or not one of these.
    """
    if not cfg.get('held_out'):
        raise ValueError('The config holds out no keypoints. See configs/demo/clamp_tiny_heldout.py for one that does.')
    if unknown := [name for name in names or () if name not in cfg.held_out]:
        raise ValueError(f'{", ".join(unknown)}: not held out. Held out are {", ".join(cfg.held_out)}.')
    return names or list(cfg.held_out)


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description='Find keypoints by name that a model was trained without: PCK.')
    parser.add_argument('config', help='config file with held_out, such as configs/demo/clamp_tiny_heldout.py')
    parser.add_argument('checkpoint', help='checkpoint file (.pth)')
    parser.add_argument('--names', nargs='+', metavar='NAME', help='some of the held-out names (default: all)')
    parser.add_argument('--json', type=output_file('.json'), metavar='FILE.json', help='save the table')
    parser.add_argument('--device', help='such as cuda:1 or cpu (default: the GPU if there is one)')
    parser.add_argument('--cfg-options', nargs='+', action=Options, metavar='KEY=VALUE', help='override settings')
    args = parser.parse_args(argv)
    try:
        cfg = read_config(args.config, args.cfg_options)
        names = check_names(cfg, args.names)
        check_config(cfg, ('test',))
        check_data(cfg.train_dataloader.dataset)
        rows = evaluate(cfg, PosePredictor(cfg, args.checkpoint, args.device), names)
    except (FileNotFoundError, ImportError, ValueError) as error:
        sys.exit(f'error: {error}')
    if args.json:
        result = dict(config=args.config, checkpoint=args.checkpoint, thresholds=THRESHOLDS, keypoints=rows)
        args.json.write_text(json.dumps(result, indent=2), encoding='utf-8')
    print(f'PCK@{" / PCK@".join(map(str, THRESHOLDS))} of the longer side of the box, in percent\n{format_table(rows)}')


if __name__ == '__main__':
    main()
