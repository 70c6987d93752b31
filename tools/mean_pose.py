"""The floor under every result: AP of always predicting the mean training pose.

python tools/mean_pose.py configs/ap10k/clamp_vitb.py
"""

import argparse

from clamp.command_line import Options, errors_in_one_line, input_file


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', type=input_file, help='config file: its train and test annotations are used')
    parser.add_argument('--cfg-options', nargs='+', action=Options, metavar='KEY=VALUE', help='override settings')
    return parser.parse_args(argv)


if __name__ == '__main__':
    parse_args()  # --help and wrong arguments end here, before the imports that take seconds

import numpy as np
from xtcocotools.cocoeval import COCOeval

import clamp.register  # noqa: F401
from clamp.checks import check_config, check_data, read_config
from clamp.datasets.checked_coco import CheckedCOCO
from clamp.datasets.coco import read
from clamp.datasets.mean_pose import mean_pose
from clamp.datasets.metainfo import annotation_path, converts_keypoints, dataset_metainfo, dataset_of
from clamp.datasets.splits import is_trainable


def predict(pose: np.ndarray, annotations: list[dict]) -> list[dict]:
    """Return COCO keypoint results that put the pose (K, 2) into the box of every annotation."""
    results = []
    for annotation in annotations:
        x, y, width, height = annotation['bbox']
        keypoints = pose * (width, height) + (x, y)
        results.append(
            dict(
                image_id=annotation['image_id'],
                category_id=annotation['category_id'],
                keypoints=np.hstack([keypoints, np.ones((len(pose), 1))]).flatten().tolist(),
                score=1.0,
                bbox=annotation['bbox'],  # its area is the detection's; else COCO takes the extent of the keypoints
            )
        )
    return results


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    with errors_in_one_line():
        cfg = read_config(args.config, args.cfg_options)
        check_config(cfg, ('test',))
        train, test = (dataset_of(cfg, split) for split in ('train', 'test'))
        for split, dataset in (('train', train), ('test', test)):
            if 'ann_file' not in dataset:
                raise ValueError(f'{args.config} has no one data set for {split}: name the config of one.')
            if converts_keypoints(dataset):
                raise ValueError(f'{args.config} takes some of the keypoints of its file: name the config of all.')
        check_data(train)
        pose = mean_pose(read(annotation_path(train))['annotations'])
        names = list(dataset_metainfo(train)['keypoint_id2name'].values())
        if unlabelled := [name for name, place in zip(names, pose) if np.isnan(place).any()]:
            print(f'no label in training, hence the middle of the box: {", ".join(unlabelled)}')
            pose = np.nan_to_num(pose, nan=0.5)
    truth = CheckedCOCO(annotation_path(test))
    results = truth.loadRes(predict(pose, [each for each in truth.anns.values() if is_trainable(each)]))
    sigmas = dataset_metainfo(test)['sigmas']
    evaluation = COCOeval(truth, results, 'keypoints', sigmas, use_area=True)
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()


if __name__ == '__main__':
    main()
