"""Draw true beside predicted poses: python tools/draw_poses.py CONFIG CHECKPOINT --out poses.png"""

import argparse
import os.path as osp
import sys

import cv2
import numpy as np
from mmengine.config import Config, DictAction
from mmengine.dataset import pseudo_collate
from mmengine.registry import init_default_scope
from mmengine.runner import load_checkpoint
from mmpose.registry import DATASETS, MODELS

import clamp  # noqa: F401
from clamp.checks import check_checkpoint, check_config

SIZE = 256  # of a drawn animal, in pixels


def draw_pose(image: np.ndarray, keypoints: np.ndarray, visible: np.ndarray, metainfo: dict) -> None:
    """Draw a skeleton in MMPose's colours, which tell left from right, in place.

    Args:
        image (np.ndarray): (H, W, 3), BGR.
        keypoints (np.ndarray): (K, 2), (x, y) in pixels of the image.
        visible (np.ndarray): (K,), true for what is drawn.
        metainfo (dict): The data set's, with ``skeleton_links`` and colours.
    """
    points = [tuple(point) for point in np.round(keypoints).astype(int).tolist()]
    for (start, end), colour in zip(metainfo['skeleton_links'], metainfo['skeleton_link_colors'].tolist()):
        if visible[start] and visible[end]:
            cv2.line(image, points[start], points[end], colour[::-1], 2, cv2.LINE_AA)
    for point, shown, colour in zip(points, visible, metainfo['keypoint_colors'].tolist()):
        if shown:
            cv2.circle(image, point, 4, colour[::-1], -1, cv2.LINE_AA)
            cv2.circle(image, point, 4, (0, 0, 0), 1, cv2.LINE_AA)


def draw_pair(sample, metainfo: dict) -> np.ndarray:
    """Return (SIZE, 2 SIZE, 3): the animal with its true pose, and with the predicted one.

    Both show the keypoints that are labelled, as in AP: for hidden ones there is no truth to compare with.
    """
    centre, scale = sample.metainfo['input_center'], sample.metainfo['input_scale']
    to_crop = np.hstack([np.diag(SIZE / scale), ((scale / 2 - centre) * SIZE / scale)[:, None]])  # (2, 3)
    crop = cv2.warpAffine(cv2.imread(sample.metainfo['img_path']), to_crop, (SIZE, SIZE))
    truth, prediction = sample.gt_instances, sample.pred_instances
    labelled = truth.keypoints_visible[0].reshape(len(truth.keypoints[0]), -1)[:, 0] > 0
    panels = []
    for title, keypoints in (('true', truth.keypoints[0]), ('predicted', prediction.keypoints[0])):
        panel = crop.copy()
        draw_pose(panel, keypoints @ to_crop[:, :2].T + to_crop[:, 2], labelled, metainfo)
        (width, height), _ = cv2.getTextSize(title, cv2.FONT_HERSHEY_SIMPLEX, 0.5, 1)
        cv2.rectangle(panel, (0, 0), (width + 8, height + 10), (0, 0, 0), -1)
        cv2.putText(panel, title, (4, height + 4), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (255, 255, 255), 1, cv2.LINE_AA)
        panels.append(panel)
    return np.hstack(panels)


def draw_sheet(cfg: Config, checkpoint: str, number: int, columns: int) -> np.ndarray:
    """Predict ``number`` animals, evenly spread over the test set, and return a sheet of all pairs."""
    init_default_scope('mmpose')
    dataset = DATASETS.build(cfg.test_dataloader.dataset)
    model = MODELS.build(cfg.model).eval()
    load_checkpoint(model, checkpoint, map_location='cpu')
    chosen = np.linspace(0, len(dataset) - 1, min(number, len(dataset))).round().astype(int)
    batch = pseudo_collate([dataset[index] for index in chosen])
    pairs = [draw_pair(sample, dataset.metainfo) for sample in model.test_step(batch)]
    pairs += [np.zeros_like(pairs[0])] * (-len(pairs) % columns)
    return np.vstack([np.hstack(pairs[i : i + columns]) for i in range(0, len(pairs), columns)])


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description='Draw true beside predicted poses of some animals of the test set.')
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint file (.pth)')
    parser.add_argument('--out', default='poses.png', help='picture to write (default: poses.png)')
    parser.add_argument('--number', type=int, default=12, help='how many animals (default: 12)')
    parser.add_argument('--columns', type=int, default=3, help='pairs in a row (default: 3)')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, metavar='KEY=VALUE', help='override settings')
    args = parser.parse_args(argv)
    try:
        cfg = Config.fromfile(args.config)
        if args.cfg_options:
            cfg.merge_from_dict(args.cfg_options)
        check_config(cfg, ('test',))
        check_checkpoint(args.checkpoint)
        sheet = draw_sheet(cfg, args.checkpoint, args.number, args.columns)
    except (FileNotFoundError, ValueError) as error:
        sys.exit(f'error: {error}')
    if not cv2.imwrite(args.out, sheet):
        sys.exit(f'error: {args.out} cannot be written: is the folder there, and the ending .png or .jpg?')
    print(f'True beside predicted poses: {osp.abspath(args.out)}')


if __name__ == '__main__':
    main()
