"""Check a data set as a careful person does before training on it for 210 epochs.

    python tools/check_dataset.py configs/ap10k/clamp_vitb.py
    python tools/check_dataset.py --train train.json --val val.json --img-root data/ap10k/data --metainfo ap10k
    python tools/check_dataset.py configs/animalpose/clamp_tiny.py --against data/ap10k/data --list shared.json

Looks at the annotations and images of a config's loaders: files, ids, images shared between train and the others,
categories, keypoints, boxes, left and right, prompts, and whether loader and evaluator name the same file. Of a config
that combines data sets, each is looked at for itself, and then whether one is trained on what another is tested on.
With --against, it looks for the photographs that another data set has too, mirrored and cut out as well, and nothing
else; docs/many_datasets.md says how, and what it finds.
Exit status: 0, 1 if there is an error among the findings (an image that is shared, or cannot be looked at), 2 if the
arguments cannot be used.
"""

import argparse
import json
import sys
from collections import Counter, defaultdict
from dataclasses import asdict, replace
from pathlib import Path
from typing import NamedTuple

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
    parser.add_argument(
        '--against',
        type=input_path,
        metavar='OTHER',
        help='look for the photographs that this config or folder has too',
    )
    parser.add_argument(
        '--list', type=output_file('.json'), metavar='FILE.json', help='with --against: write what was found there'
    )
    args = parser.parse_args(argv)
    if bool(args.config) == bool(args.train or args.val) or bool(args.config) == bool(args.img_root):
        parser.error('give a config, or annotation files (--train, --val) with --img-root')
    if args.list and not args.against:
        parser.error('--list goes with --against')
    if args.against and (args.json or args.fast):
        parser.error('--against looks at photographs alone: leave --json and --fast out')
    return args


if __name__ == '__main__':
    parse_args()  # --help and wrong arguments end here, before the imports that take seconds

from mmengine.config import Config
from rich.console import Console
from rich.table import Table

from clamp.checks import read_file
from clamp.combined_checks import check_evaluator
from clamp.datasets import coco
from clamp.datasets.audit import Finding, Part, check, count_species, found
from clamp.datasets.metainfo import converts_keypoints, dataset_of, parts_of, raw_metainfo
from clamp.datasets.shared_images import find_shared, write_list

IMAGES = {'.jpg', '.jpeg', '.png', '.bmp', '.webp', '.tif', '.tiff'}


class DataSet(NamedTuple):
    """The parts of a data set, its keypoints with their mirror images, prompts (None: not known), and its name."""

    parts: list[Part]
    swaps: dict[str, str]
    prompts: list[str] | None
    name: str = ''


def load(args: argparse.Namespace) -> tuple[list[DataSet], list[Finding]]:
    """The data sets of the arguments, and what is wrong with the config."""
    if not args.config:
        metainfo = args.metainfo if args.metainfo.endswith('.py') else f'configs/_base_/datasets/{args.metainfo}.py'
        parts = [Part(n, f, args.img_root, coco.load(f)) for n, f in (('train', args.train), ('val', args.val)) if f]
        return [DataSet(parts, load_swaps(dict(metainfo={'from_file': metainfo})), None)], []
    cfg = read_file(args.config)
    configs = by_name(cfg)
    if not configs:
        raise ValueError(f'{args.config}: no loader has a dataset with an `ann_file`; name a config for training')
    datasets = []
    for (name, *_), loaders in configs.items():
        parts: dict[Path, Part] = {}
        for split, dataset in loaders:
            part = load_part(split, dataset)
            parts.setdefault(part.ann_file if split != 'train' else Path(), part)
        datasets.append(DataSet(list(parts.values()), load_swaps(loaders[0][1]), None, name))
    if any(each.name for each in datasets):
        return datasets, check_evaluators(cfg)
    (_, dataset), *_ = next(iter(configs.values()))
    if converts_keypoints(dataset):
        raise ValueError(
            f'{args.config}: its pipeline takes some of the keypoints (KeypointConverter), and whole annotation '
            'files are checked. Give the config that takes all, or the files by --train and --val, with --metainfo'
        )
    return [datasets[0]._replace(prompts=cfg.get('keypoint_names'))], check_evaluators(cfg)


def by_name(cfg: Config) -> dict[tuple[str, ...], list[tuple[str, dict]]]:
    """The loaders' data sets that have files, split and config: by their name ('' where none are combined) and those of
    their keypoints, which may be others in training and test.
    """
    found = defaultdict(list)
    for split in ('train', 'val', 'test'):
        dataset = dataset_of(cfg, split)
        for part in parts_of(dataset):
            if 'ann_file' in part:
                named = (raw_metainfo(part)['dataset_name'], *load_swaps(part)) if 'datasets' in dataset else ('',)
                found[named].append((split, part))
    return dict(found)


def load_part(split: str, dataset: dict) -> Part:
    root = Path(dataset.get('data_root') or '')
    ann_file, img_root = root / dataset['ann_file'], root / dataset.get('data_prefix', {}).get('img', '')
    return Part(split, ann_file, img_root, coco.load(ann_file))


def load_swaps(dataset: dict) -> dict[str, str]:
    """The keypoints of a data set config, in order, each with its mirror image: itself where it has none."""
    infos = raw_metainfo(dataset)['keypoint_info'].values()
    return {info['name']: info.get('swap') or info['name'] for info in infos}


def images_of(parts: list[Part]) -> dict[str, Path]:
    """The files of the images of some parts, by the names that the annotation files have for them, or their paths."""
    found = {}
    for part in parts:
        for image in part.coco['images']:
            if not isinstance(image, dict) or not isinstance(image.get('file_name'), str):
                raise ValueError(f'{part.ann_file}: an entry of `images` has no file name')
            found[part.img_root / image['file_name']] = image['file_name']
    counts = Counter(found.values())
    return {name if counts[name] == 1 else str(path): path for path, name in found.items()}


def images_against(place: Path) -> dict[str, Path]:
    """The files of the images of another data set, given as a config or as a folder."""
    if place.is_dir():
        files = sorted(path for path in place.rglob('*') if path.suffix.lower() in IMAGES)
        return {str(path.relative_to(place)): path for path in files}
    if place.suffix != '.py':
        raise ValueError(f'--against {place}: a config (.py) or a folder of images is needed')
    loaders = by_name(read_file(place)).values()
    return images_of([load_part(split, dataset) for of_dataset in loaders for split, dataset in of_dataset])


def audit_against(args: argparse.Namespace, datasets: list[DataSet]) -> int:
    """Look for the photographs that another data set has too; returns the exit status."""
    images, others = images_of([part for each in datasets for part in each.parts]), images_against(args.against)
    if not others:
        raise ValueError(f'there is no image in {args.against}')
    if missing := [path for path in (*images.values(), *others.values()) if not path.is_file()]:
        raise ValueError(f'{len(missing)} images are not there, such as {missing[0]}; get the data, or mend the path')
    names = {image['file_name'] for each in datasets for part in each.parts for image in part.coco['images']}
    if args.list and (twice := [name for name in images if name not in names]):  # the list has images by their names
        raise ValueError(f'two images have the name of {twice[0]}: give --list for one part at a time, as --train')
    print(f'looking for {len(images)} images among {len(others)} of {args.against} ...', flush=True)
    pairs, broken = find_shared(images, others)
    table = Table('image', f'lies to that of {args.against}', 'other', 'correlation')
    for pair in pairs:
        table.add_row(pair.image, pair.how, pair.other, f'{pair.correlation:.3f}')
    console().print(table if pairs else 'no photograph is in both')
    print(f'{len({pair.image for pair in pairs})} of {len(images)} images are in both')
    if broken:
        print(f'not looked at, for they are no images that can be read: {len(broken)}, such as {broken[0]}')
    if args.list:
        write_list(args.list, pairs, str(args.config or args.train or args.val), str(args.against))
    return int(bool(pairs or broken))


def check_between(datasets: list[DataSet]) -> list[Finding]:
    """Photographs that one of several data sets is trained on, and another one is tested on."""
    findings = []
    for one in datasets:
        trained = images_of([part for part in one.parts if part.name == 'train'])
        for other in datasets:
            tested = images_of([part for part in other.parts if part.name != 'train'])
            if one is not other and trained and tested:
                pairs = [f'{p.image} = {p.other} ({p.how})' for p in find_shared(tested, trained)[0]]
                what = f'photograph of {other.name} tested on is trained on in {one.name}'
                findings += found('error', 'shared', 'between', what, pairs)
    return findings


def check_evaluators(cfg: Config) -> list[Finding]:
    """Whether each evaluator measures what its loader holds: CocoMetric counts every image of its ``ann_file``."""
    findings = []
    for name in ('val', 'test'):
        dataset = dataset_of(cfg, name)
        if not any('ann_file' in part for part in parts_of(dataset)):
            continue
        try:
            check_evaluator(cfg, name)
        except ValueError as error:
            findings += found('error', 'evaluator', name, 'loader and evaluator do not fit', [str(error)])
    return findings


def console() -> Console:
    return Console(width=None if sys.stdout.isatty() else 160, markup=False, highlight=False)


def show(parts: list[Part], findings: list[Finding]) -> None:
    table = Table('family', 'species', *(f'{part.name}\n{part.ann_file.name}' for part in parts))
    counts = [count_species(part) for part in parts]
    for taxon in sorted(set().union(*counts), key=lambda taxon: (taxon.family or '', taxon.species)):
        table.add_row(taxon.family or '?', taxon.species, *(str(count[taxon]) for count in counts))
    table.add_row('', 'images', *(str(len(part.coco['images'])) for part in parts))
    console().print(table)
    table = Table('level', 'part', 'check', 'count', 'finding', 'such as')
    for f in findings:
        table.add_row(f.level, f.part, f.check, str(f.count), f.message, ', '.join(f.examples))
    console().print(table if findings else 'no errors, no warnings')


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    try:
        datasets, findings = load(args)
        if args.against:
            return audit_against(args, datasets)
        for each in datasets:
            of_dataset = check(each.parts, each.swaps, each.prompts, decode=not args.fast)
            findings += [replace(f, part=f'{each.name} {f.part}'.strip()) for f in of_dataset]
        if not args.fast:
            findings += check_between(datasets)
    except (OSError, ValueError, KeyError) as error:
        if isinstance(error, OSError) and error.filename:
            error = f'{error.filename}: {error.strerror}; get the data, or mend the path'
        elif isinstance(error, KeyError):
            error = f'an entry of the config has no {error}'
        print(f'error: {error}', file=sys.stderr)
        return 2
    parts = [part._replace(name=f'{each.name} {part.name}'.strip()) for each in datasets for part in each.parts]
    show(parts, sorted(findings, key=lambda f: ('error', 'warning', 'note').index(f.level)))
    if args.json:
        counts = {
            part.name: [[*taxon, n] for taxon, n in sorted(count_species(part).items(), key=str)] for part in parts
        }
        args.json.write_text(json.dumps({'findings': [asdict(f) for f in findings], 'species': counts}, indent=1))
    return int(any(f.level == 'error' for f in findings))


if __name__ == '__main__':
    sys.exit(main())
