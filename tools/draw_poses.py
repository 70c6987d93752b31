"""Draw true beside predicted poses of some animals of the test set.

python tools/draw_poses.py CONFIG CHECKPOINT --number 3 --out poses.png
"""

import argparse
import sys

from clamp.command_line import Options, at_least, input_file, output_file


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', type=input_file, help='config file')
    parser.add_argument('checkpoint', type=input_file, help='checkpoint file (.pth)')
    parser.add_argument(
        '--out',
        type=output_file('.png', '.jpg'),
        default='poses.png',
        help='picture to write, .png or .jpg (default: poses.png)',
    )
    parser.add_argument('--number', type=at_least(1), default=12, help='how many animals (default: 12)')
    parser.add_argument('--columns', type=at_least(1), default=3, help='pairs in a row (default: 3)')
    parser.add_argument('--cfg-options', nargs='+', action=Options, metavar='KEY=VALUE', help='override settings')
    return parser.parse_args(argv)


if __name__ == '__main__':
    parse_args()  # --help and wrong arguments end here, before the imports that take seconds

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmpose.registry import DATASETS

from clamp.checks import check_checkpoint, check_config, read_config
from clamp.inference import PosePredictor
from clamp.visualization import crop_animal, draw_pose, labelled_keypoints

SIZE = 256  # of a drawn animal, in pixels


def draw_pair(sample, metainfo: dict) -> np.ndarray:
    """Return (height, 2 SIZE, 3), RGB: the animal with its true pose, and with the predicted one.

    Both show the keypoints that are labelled, as in AP: for hidden ones there is no truth to compare with.
    """
    crop, matrix = crop_animal(sample, SIZE)
    panels = []
    for title, instances in (('true', sample.gt_instances), ('predicted', sample.pred_instances)):
        keypoints = cv2.transform(instances.keypoints, matrix)[0]
        panel = draw_pose(crop, keypoints, metainfo, labelled_keypoints(sample), radius=SIZE // 75)
        (width, height), _ = cv2.getTextSize(title, cv2.FONT_HERSHEY_SIMPLEX, 0.5, 1)
        cv2.rectangle(panel, (0, 0), (width + 8, height + 10), (0, 0, 0), -1)
        cv2.putText(panel, title, (4, height + 4), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (255, 255, 255), 1, cv2.LINE_AA)
        panels.append(panel)
    return np.hstack(panels)


@torch.no_grad()
def draw_sheet(cfg: Config, checkpoint: str, number: int, columns: int) -> np.ndarray:
    """Predict ``number`` animals, evenly spread over the test set, and return a sheet of all pairs, RGB."""
    predictor = PosePredictor(cfg, checkpoint)
    dataset = DATASETS.build(cfg.test_dataloader.dataset)
    chosen = np.linspace(0, len(dataset) - 1, min(number, len(dataset))).round().astype(int)
    batch = pseudo_collate([dataset[index] for index in chosen])
    pairs = [draw_pair(sample, dataset.metainfo) for sample in predictor.model.test_step(batch)]
    pairs += [np.zeros_like(pairs[0])] * (-len(pairs) % columns)
    return np.vstack([np.hstack(pairs[i : i + columns]) for i in range(0, len(pairs), columns)])


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    try:
        cfg = read_config(args.config, args.cfg_options)
        check_config(cfg, ('test',))
        check_checkpoint(args.checkpoint)
        sheet = draw_sheet(cfg, args.checkpoint, args.number, args.columns)
    except (FileNotFoundError, ValueError) as error:
        sys.exit(f'error: {error}')
    if not cv2.imwrite(str(args.out), sheet[..., ::-1]):
        sys.exit(f'error: {args.out} cannot be written.')
    print(f'True beside predicted poses: {args.out.absolute()}')


if __name__ == '__main__':
    main()
