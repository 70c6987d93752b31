"""Make a data set of a COCO keypoint file, and the configs that train CLAMP and SimpleBaseline on it.

    python tools/new_dataset.py my_keypoints.json --images my_images --name mice
    python tools/train.py configs/mice/clamp_vitb.py

Writes data/NAME/annotations/{train,val}.json, configs/_base_/datasets/NAME_SIZE.py and the two configs in configs/NAME.
The source is left as it is, and so are the images. docs/new_dataset.md says how the rest is worked out.
Exit status: 0, 1 if nothing was written or what was written has errors.
"""

import argparse
import json
import math
import os
import re
import sys
from pathlib import Path

from clamp.command_line import errors_in_one_line, input_path

SIZES = {'vitb': '256x256', 'r50': '256x256', 'lite0-minilm': '128x128', 'tiny': '128x128'}


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        'ann',
        type=input_path,
        metavar='KEYPOINTS',
        help="COCO keypoint file (.json), DeepLabCut project (its folder or config.yaml) or SLEAP's labels (.slp)",
    )
    parser.add_argument(
        '--images', type=input_path, metavar='DIR', help="folder of its images (default: the file's, or the one above)"
    )
    val = parser.add_mutually_exclusive_group()
    val.add_argument('--val', type=input_path, metavar='VAL.json', help='COCO keypoint file to validate on')
    val.add_argument(
        '--val-fraction', type=float, default=0.1, help='without --val: share of the images held out (default: 0.1)'
    )
    parser.add_argument('--seed', type=int, default=0, help='which images are held out (default: 0)')
    parser.add_argument('--name', help="the data set's name (default: the file's)")
    parser.add_argument('--backbone', choices=SIZES, default='vitb', help='of both configs (default: vitb)')
    parser.add_argument(
        '--pair',
        nargs=2,
        action='append',
        default=[],
        metavar=('LEFT', 'RIGHT'),
        help='two keypoints that mirror each other, where their names do not tell; once for each pair',
    )
    parser.add_argument('--force', action='store_true', help='write over files that are there')
    args = parser.parse_args(argv)
    named = args.ann.absolute().parent if args.ann.name == 'config.yaml' else args.ann
    args.name = args.name or re.sub(r'\W+', '_', named.stem)
    if not re.fullmatch(r'[A-Za-z0-9][\w-]*', args.name):
        parser.error(f'--name {args.name!r}: use letters, digits, - and _')
    return args


if __name__ == '__main__':
    parse_args()  # --help and wrong arguments end here, before the imports that take seconds

from mmengine.config import Config

import clamp.register  # noqa: F401
from clamp.checks import check_config, check_data
from clamp.datasets import audit, coco, splits
from clamp.datasets.checked_coco import check_use, fill_sizes
from clamp.datasets.names import readable, spell_out, words
from clamp.datasets.new_dataset import SIGMA, known_keypoints, make_metainfo, sides_of
from clamp.datasets.vocabulary import differences, near, propose
from clamp.files import check_printable, write_new
from clamp.formats.deeplabcut import read_project
from clamp.formats.sleap import read_labels

METHODS = {'clamp': 'CLAMP', 'simplebaseline': 'SimpleBaseline'}
BASE = """\
# Written by tools/new_dataset.py, of {source!r}.
_base_ = './animalpose_{size}.py'  # its pipelines and loaders

# The prompts: change the names freely, their order is the data set's.
keypoint_names = [
{prompts}
]

metainfo = dict(
    dataset_name={name!r},
    keypoint_info={{
{keypoints}
    }},
    skeleton_info={{
{links}
    }},
    joint_weights=[1.0] * {k},
    sigmas=[
{sigmas}
    ],
)

data_root = 'data/{name}/'
dataset = dict(
    type='BaseCocoStyleDataset', metainfo=metainfo, data_root=data_root, data_prefix=dict(img={images!r})
)

train_dataloader = dict(dataset=dict(ann_file='annotations/train.json', **dataset))
val_dataloader = dict(dataset=dict(ann_file='annotations/val.json', **dataset))
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=data_root + 'annotations/val.json')
test_evaluator = val_evaluator
"""


def find_images(args: argparse.Namespace, names: list[str]) -> Path:
    """Return the folder that the file names of the images start from.

    Raises:
        FileNotFoundError: If images are missing there, or the first is in no folder that is looked at.
    """
    parent = args.ann.parent
    folders = [args.images] if args.images else [parent, parent / 'images', parent.parent, parent.parent / 'images']
    found = [folder for folder in folders if (folder / names[0]).is_file()]
    if not found:
        raise FileNotFoundError(f'{names[0]} is not in {", ".join(map(str, folders))}. Give the folder with --images.')
    missing = [name for name in names if not (found[0] / name).is_file()]
    if missing:
        raise FileNotFoundError(
            f'{len(missing)} of {len(names)} images are not in {found[0]}, such as {", ".join(missing[:3])}. Give the '
            'right folder with --images, or take them out of the file.'
        )
    return found[0]


def render_base(args: argparse.Namespace, metainfo: dict, images: Path) -> str:
    """Return the config of the data set, in which all that comes from files is written as Python's own literals.

    Raises:
        ValueError: If the name of the source or of the folder of images could do more than name it.
    """
    names = [info['name'] for info in metainfo['keypoint_info'].values()]
    keypoints, links = (
        '\n'.join(
            f'        {i}: dict({", ".join(f"{k}={v!r}" for k, v in info.items())}),' for i, info in infos.items()
        )
        for infos in (metainfo['keypoint_info'], metainfo['skeleton_info'])
    )
    check_printable(str(args.ann), str(images))
    here = Path('data', args.name).resolve()  # through links, as the system goes up by '..'
    prefix = images if args.images and images.is_absolute() else os.path.relpath(images.resolve(), here)
    return BASE.format(
        source=str(args.ann),
        size=SIZES[args.backbone],
        prompts='\n'.join(f'    {readable(name)!r},' for name in spell_out(names)),
        name=args.name,
        keypoints=keypoints,
        links=links,
        k=len(names),
        sigmas='\n'.join(f'        {sigma},  # {name!r}' for name, sigma in zip(names, metainfo['sigmas'])),
        images=f'{prefix}/',
    )


def render_leaves(args: argparse.Namespace) -> dict[Path, str]:
    """Return the two configs to train with by their paths: those of Animal-Pose, with the new data set in its place."""
    leaves = {}
    for method, title in METHODS.items():
        backbone = args.backbone if method == 'clamp' else args.backbone.partition('-')[0]  # without a text tower
        template = Path(f'configs/animalpose/{method}_{backbone}.py').read_text()
        _, body = template.replace('datasets/animalpose_', f'datasets/{args.name}_').split('\n', 1)
        leaves[Path(f'configs/{args.name}/{method}_{backbone}.py')] = f'# {title} on {args.name}\n{body}'
    return leaves


def write(files: dict[Path, str | bytes], force: bool) -> None:
    """Write files, unless one is there with another content.

    Raises:
        ValueError: If so, and ``force`` is not given; nothing is written then.
    """
    contents = {path: text.encode() if isinstance(text, str) else text for path, text in files.items()}
    write_new(contents, 'choose another --name, or use --force.', force)
    print(*(f'written: {path}' for path in contents), sep='\n')


def as_coco(args: argparse.Namespace) -> None:
    """Write the labels of a DeepLabCut project or of a SLEAP file as a COCO file, and name that in their place.

    Raises:
        FileNotFoundError, ImportError, ValueError: If they cannot be read.
    """
    folder = Path('data', args.name)
    if args.ann.is_dir() or args.ann.suffix in ('.yaml', '.yml'):
        labels, images = read_project(args.ann)
    elif args.ann.suffix == '.slp':
        labels, images = read_labels(args.ann, folder / 'images'), folder / 'images'
    else:
        return
    content = splits.dump(labels)
    coco.refuse(args.ann, coco.inspect(json.loads(content)))  # before it is written
    args.ann, args.images = folder / 'labels.json', args.images or images
    write({args.ann: content}, args.force)


def read_parts(args: argparse.Namespace) -> tuple[dict, dict]:
    """Return the annotations to train on and to validate on: of two files, or of one with images held out."""
    source = coco.read(args.ann)
    if args.val:
        return source, coco.read(args.val)
    held = dict(percent=100 * args.val_fraction, seed=args.seed)
    try:
        return tuple(splits.holdout(source, **held, part=part)[0] for part in ('train', 'val'))
    except ValueError as error:
        raise ValueError(f'--val-fraction {args.val_fraction:g}: {error}') from error


def make(args: argparse.Namespace) -> tuple[list[Path], dict, list[audit.Part]]:
    """Write the data set; return the two configs, its metainfo, and its parts."""
    if not Path('configs/_base_').is_dir():
        raise FileNotFoundError('There is no configs/_base_ here: run this in the folder of the repository.')
    as_coco(args)
    train, val = read_parts(args)
    names, skeleton = coco.keypoints_of(train)
    if coco.keypoints_of(val)[0] != names:
        raise ValueError(f'{args.ann} and {args.val} have different keypoints, or the same in another order')
    splits.check_disjoint(train, val)
    metainfo = make_metainfo(args.name, names, skeleton, args.pair)
    images = find_images(args, [image['file_name'] for part in (train, val) for image in part['images']])
    for part, ann_file in ((train, args.ann), (val, args.val or args.ann)):
        findings = fill_sizes(part['images'], images)
        coco.refuse(ann_file, findings)
        coco.tell(ann_file, findings)
        check_use(ann_file, part, test=part is val)
    data = Path('data', args.name, 'annotations')
    parts = [audit.Part(name, data / f'{name}.json', images, part) for name, part in (('train', train), ('val', val))]
    leaves = render_leaves(args)
    outputs = [part.ann_file.resolve() for part in parts]
    for source in filter(None, (args.ann, args.val)):
        if source.resolve() in outputs:
            raise ValueError(f'{source} is a source, and would be written over: choose another --name.')
    write(
        {part.ann_file: splits.dump(part.coco) for part in parts}
        | {Path(f'configs/_base_/datasets/{args.name}_{SIZES[args.backbone]}.py'): render_base(args, metainfo, images)}
        | leaves,
        args.force,
    )
    for leaf in leaves:
        cfg = Config.fromfile(leaf)
        check_config(cfg, ('val', 'test'))  # not 'train', which asks for CLIP's weights
        check_data(cfg.train_dataloader.dataset)
    return list(leaves), metainfo, parts


def describe_schedule(cfg: Config, animals: int) -> None:
    """Say so if there are so few animals that warming up takes a large part of the steps."""
    epochs, warm_up = cfg.train_cfg.max_epochs, cfg.param_scheduler[0].end
    steps = epochs * math.ceil(animals / cfg.train_dataloader.batch_size)
    if steps < 10 * warm_up:
        print(
            f'note: {epochs} epochs of so few animals are {steps} steps, and {warm_up} of these are warm-up: '
            'docs/new_dataset.md, Few animals, has what to change'
        )


def describe(metainfo: dict, parts: list[audit.Part], pairs: list[list[str]]) -> None:
    """Say what was worked out, and what was assumed."""
    names = [info['name'] for info in metainfo['keypoint_info'].values()]
    for part in parts:
        print(f'{part.name}: {len(part.coco["images"])} images, {len(part.coco["annotations"])} animals')
    spelled, sides = spell_out(names), sides_of(names, pairs)
    print(f'{len(names)} keypoints, {sides.count("left")} pairs of left and right: {", ".join(map(readable, spelled))}')
    if 'left' not in sides:
        print(
            'warning: no name tells left from right. If some do, give each pair with --pair LEFT RIGHT: as it is, '
            'training would take the left ones of mirrored images for the right ones'
        )
    if not metainfo['skeleton_info']:
        print('no skeleton in the file: poses will be drawn as points; add links to skeleton_info if you want lines')
    describe_vocabulary(names)
    known = known_keypoints(spelled)
    if assumed := [name for name, spoken in zip(names, spelled) if words(spoken) not in known]:
        print(f'sigma {SIGMA}, assumed, for {", ".join(assumed)}: AP depends on it, set your own in `sigmas`')


def describe_vocabulary(names: list[str]) -> None:
    """Say which names keypoints have where data sets train one model, and what is near to those that have none."""
    found = propose(names)
    told = ', '.join(f'{own}: {name}' for own, name in zip(names, found) if name)
    print(f'in a training with other data sets (docs/many_datasets.md), {told or "none has a name yet"}')
    for own, name in zip(names, found):
        if not name:
            print(f'  {own} is in no vocabulary{"; near: " if near(own) else ""}{", ".join(near(own))}')
    for name, note in differences(filter(None, found)).items():
        print(f'  note on {name!r}: {note}')


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    with errors_in_one_line():
        leaves, metainfo, parts = make(args)
    describe(metainfo, parts, args.pair)
    describe_schedule(Config.fromfile(leaves[0]), len(parts[0].coco['annotations']))
    print('checking all annotations and images ...')
    swaps = {info['name']: info['swap'] or info['name'] for info in metainfo['keypoint_info'].values()}
    findings = audit.check(parts, swaps, [readable(name) for name in spell_out(list(swaps))], decode=True)
    for f in findings:
        print(f'  {f.level}, {f.part}: {f.message} ({f.count}: {", ".join(f.examples)})')
    failed = any(f.level == 'error' for f in findings)
    print(f'{"mend the errors first, then" if failed else "next"}: python tools/train.py {leaves[0]}')
    return int(failed)


if __name__ == '__main__':
    sys.exit(main())
