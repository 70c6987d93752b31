"""Check a data set as a careful person does before training on it for 210 epochs.

    python tools/check_dataset.py configs/ap10k/clamp_vitb.py
    python tools/check_dataset.py --train train.json --val val.json --img-root data/ap10k/data --metainfo ap10k

Looks at the annotations and images of a config's loaders: files, ids, images shared between train and the others,
categories, keypoints, boxes, left and right, prompts, and whether loader and evaluator name the same file.
Exit status: 0, 1 if there is an error among the findings, 2 if the arguments cannot be used.
"""

import argparse
import importlib.util
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

from clamp.command_line import input_path, output_file


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', type=input_path, nargs='?', help='config whose loaders are checked')
    parser.add_argument('--train', type=input_path, metavar='ANN', help='without a config: annotation file to train on')
    parser.add_argument(
        '--val', type=input_path, metavar='ANN', help='without a config: annotation file to validate on'
    )
    parser.add_argument('--img-root', type=input_path, metavar='DIR', help='without a config: folder of the images')
    parser.add_argument('--metainfo', default='ap10k', help='without a config: ap10k, animalpose, coco or a file')
    parser.add_argument(
        '--json', type=output_file('.json'), metavar='FILE.json', help='also write findings and counts there'
    )
    parser.add_argument('--fast', action='store_true', help='do not open the images')
    args = parser.parse_args(argv)
    if bool(args.config) == bool(args.train or args.val) or bool(args.config) == bool(args.img_root):
        parser.error('give a config, or annotation files (--train, --val) with --img-root')
    return args


if __name__ == '__main__':
    parse_args()  # --help and wrong arguments end here, before the imports that take seconds

from mmengine.config import Config
from rich.console import Console
from rich.table import Table

from clamp.datasets import coco
from clamp.datasets.audit import Finding, Part, check, count_species, found


def load(args: argparse.Namespace) -> tuple[list[Part], dict[str, str], list[str] | None, list[Finding]]:
    """Parts, the data set's keypoints with their mirror images, prompts, and what is wrong with the config."""
    if not args.config:
        metainfo = args.metainfo if args.metainfo.endswith('.py') else f'configs/_base_/datasets/{args.metainfo}.py'
        parts = [Part(n, f, args.img_root, coco.load(f)) for n, f in (('train', args.train), ('val', args.val)) if f]
        return parts, load_swaps({'from_file': metainfo}), None, []
    from mmpose.registry import DATASETS

    cfg, parts = Config.fromfile(args.config), []
    for name in ('train', 'val', 'test'):
        if 'ann_file' not in (dataset := dataset_of(cfg, name)):
            continue
        root = Path(dataset.get('data_root') or '')
        ann_file, img_root = root / dataset['ann_file'], root / dataset.get('data_prefix', {}).get('img', '')
        if ann_file not in [part.ann_file for part in parts if part.name != 'train']:
            parts.append(Part(name, ann_file, img_root, coco.load(ann_file)))
    if not parts:
        raise ValueError(f'{args.config}: no loader has a dataset with an `ann_file`; name a config for training')
    dataset = dataset_of(cfg, parts[0].name)
    if any(step['type'] == 'KeypointConverter' for step in dataset.get('pipeline', ())):
        raise ValueError(
            f'{args.config}: its pipeline takes some of the keypoints (KeypointConverter), and whole annotation '
            'files are checked. Give the config that takes all, or the files by --train and --val, with --metainfo'
        )
    metainfo = dataset.get('metainfo') or getattr(DATASETS.get(dataset['type']), 'METAINFO', None)
    if not metainfo:
        raise ValueError(f'{args.config}: {dataset["type"]} is no data set of MMPose, and there is no `metainfo`')
    return parts, load_swaps(metainfo), cfg.get('keypoint_names'), check_evaluators(cfg)


def load_swaps(metainfo: dict) -> dict[str, str]:
    """The keypoints of an MMPose metainfo, in order, each with its mirror image: itself where it has none."""
    if 'from_file' in metainfo:
        packaged = Path(importlib.util.find_spec('mmpose').origin).parent / '.mim'
        files = [f for f in (Path(metainfo['from_file']), packaged / metainfo['from_file']) if f.is_file()]
        infos = [info for file in files if (info := Config.fromfile(file).get('dataset_info'))]
        if not infos:
            raise ValueError(f'{metainfo["from_file"]}: no file here or in MMPose that defines `dataset_info`')
        metainfo = infos[0]
    return {info['name']: info.get('swap') or info['name'] for info in metainfo['keypoint_info'].values()}


def dataset_of(cfg: Config, name: str) -> dict:
    """The innermost dataset of a loader, empty where the config has none."""
    dataset = (cfg.get(f'{name}_dataloader') or {}).get('dataset', {})
    while 'dataset' in dataset:
        dataset = dataset['dataset']
    return dataset


def check_evaluators(cfg: Config) -> list[Finding]:
    """CocoMetric counts every image of its ``ann_file``, so the loader must hold just these."""
    findings = []
    for name in ('val', 'test'):
        if 'ann_file' not in (dataset := dataset_of(cfg, name)):
            continue
        evaluators = cfg.get(f'{name}_evaluator') or []
        loads = os.path.normpath(os.path.join(dataset.get('data_root') or '', dataset['ann_file']))
        for metric in evaluators if isinstance(evaluators, list) else [evaluators]:
            file = os.path.normpath(metric.get('ann_file') or loads)
            what = [f'{loads} and {file}'] * (file != loads)
            findings += found('error', 'evaluator', name, 'loader and evaluator name different files', what)
        part = [f'indices={dataset.get("indices")}'] if dataset.get('indices') else []
        findings += found('error', 'evaluator', name, 'the loader leaves out images that the evaluator counts', part)
    return findings


def show(parts: list[Part], findings: list[Finding]) -> None:
    console = Console(width=None if sys.stdout.isatty() else 160, markup=False, highlight=False)
    table = Table('family', 'species', *(f'{part.name}\n{part.ann_file.name}' for part in parts))
    counts = [count_species(part) for part in parts]
    for taxon in sorted(set().union(*counts), key=lambda taxon: (taxon.family or '', taxon.species)):
        table.add_row(taxon.family or '?', taxon.species, *(str(count[taxon]) for count in counts))
    table.add_row('', 'images', *(str(len(part.coco['images'])) for part in parts))
    console.print(table)
    table = Table('level', 'part', 'check', 'count', 'finding', 'such as')
    for f in findings:
        table.add_row(f.level, f.part, f.check, str(f.count), f.message, ', '.join(f.examples))
    console.print(table if findings else 'nothing found')


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    try:
        parts, swaps, prompts, findings = load(args)
        findings += check(parts, swaps, prompts, decode=not args.fast)
    except (OSError, ValueError, KeyError) as error:
        if isinstance(error, OSError) and error.filename:
            error = f'{error.filename}: {error.strerror}; get the data, or mend the path'
        elif isinstance(error, KeyError):
            error = f'an entry of the config has no {error}'
        print(f'error: {error}', file=sys.stderr)
        return 2
    show(parts, findings)
    if args.json:
        counts = {
            part.name: [[*taxon, n] for taxon, n in sorted(count_species(part).items(), key=str)] for part in parts
        }
        args.json.write_text(json.dumps({'findings': [asdict(f) for f in findings], 'species': counts}, indent=1))
    return int(any(f.level == 'error' for f in findings))


if __name__ == '__main__':
    sys.exit(main())
