"""Write the few-shot, zero-shot and low-data parts of a data set as annotation files that anyone can check.

Every split is a COCO JSON beside a manifest, in the folder `splits` next to its source:

    python tools/make_splits.py fewshot ap10k-train-split1.json --shots 20 --seed 0
    python tools/make_splits.py zeroshot --train-family Bovidae --test-family Canidae \\
        --train-ann ap10k-train-split1.json --val-ann ap10k-val-split1.json
    python tools/make_splits.py unseen animalpose_trainval.json --species cat
    python tools/make_splits.py fraction person_keypoints_train2017.json --percent 5 --seed 1
    python tools/make_splits.py holdout animalpose_train.json --percent 20
    python tools/make_splits.py relabel animalpose_train.json --name pets --species dog cat --keypoints Nose=snout
    python tools/make_splits.py without animalpose_train.json --list shared.json
    python tools/make_splits.py verify splits/*.manifest.json

docs/protocols.md says what is drawn, and why.
"""

import argparse
import hashlib
import json
import re
import sys
from pathlib import Path

from clamp.command_line import input_path


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(
        dest='command', required=True, metavar='{fewshot,zeroshot,unseen,fraction,holdout,relabel,without,verify}'
    )
    drawn = argparse.ArgumentParser(add_help=False)
    drawn.add_argument('ann', type=input_path, help='COCO annotation file to draw from')
    drawn.add_argument('--seed', type=int, default=0, help='which draw (default: %(default)s)')
    written = argparse.ArgumentParser(add_help=False)
    written.add_argument('--out-dir', type=Path, help='folder of the outputs (default: `splits` next to the source)')

    few = commands.add_parser('fewshot', parents=[drawn, written], help='K animals or images of each species')
    few.add_argument('--shots', type=int, required=True, metavar='K', help='number per species')
    few.add_argument('--unit', choices=('animal', 'image'), default='animal', help='of what (default: %(default)s)')

    zero = commands.add_parser('zeroshot', parents=[written], help='train on one family, test on another')
    zero.add_argument('--train-family', required=True, metavar='FAMILY', help='such as Bovidae')
    zero.add_argument('--test-family', required=True, metavar='FAMILY', help='such as Canidae')
    zero.add_argument(
        '--train-ann', type=input_path, required=True, metavar='ANN', help='where training animals come from'
    )
    zero.add_argument('--val-ann', type=input_path, required=True, metavar='ANN', help='where test animals come from')
    zero.add_argument(
        '--test-from',
        choices=('val', 'all'),
        default='val',
        help='test on the family in --val-ann, or on all of it in --train-ann and --val-ann (default: %(default)s)',
    )

    unseen = commands.add_parser('unseen', parents=[written], help='train on all species but one, test on that one')
    unseen.add_argument('ann', type=input_path, help='COCO annotation file of both')
    unseen.add_argument('--species', required=True, help='the one that is tested on, such as cat')
    unseen.add_argument(
        '--keypoints', nargs='+', metavar='NAME', help='train on these alone, by their names in the file (default: all)'
    )

    part = commands.add_parser('fraction', parents=[drawn, written], help='a percentage of the images')
    part.add_argument('--percent', type=float, required=True, metavar='P', help='percentage of the images')

    held = commands.add_parser(
        'holdout', parents=[drawn, written], help='two parts without a common image, to choose settings on'
    )
    held.add_argument('--percent', type=float, required=True, metavar='P', help='percentage of the images to hold out')

    other = commands.add_parser(
        'relabel', parents=[written], help='some species and keypoints, by other names: a data set as another would be'
    )
    other.add_argument('ann', type=input_path, help='COCO annotation file')
    other.add_argument('--name', required=True, help="the part's, in its file name")
    other.add_argument('--species', nargs='+', required=True, help='those to keep, such as dog cat')
    other.add_argument(
        '--keypoints',
        nargs='+',
        metavar='OLD=NEW',
        help='those to keep, in the order to be, each with its new name (default: all, as they are)',
    )

    less = commands.add_parser('without', parents=[written], help='all but the images that another data set has too')
    less.add_argument('ann', type=input_path, help='COCO annotation file')
    less.add_argument(
        '--list', type=input_path, required=True, metavar='SHARED.json', help='of tools/check_dataset.py --against'
    )

    check = commands.add_parser('verify', help='rebuild splits from their sources, and compare')
    check.add_argument('manifests', type=Path, nargs='+', metavar='MANIFEST', help='*.manifest.json')
    check.add_argument(
        '--source-dir', type=input_path, help="the sources' folder (default: the manifest's, or the one above)"
    )
    args = parser.parse_args(argv)
    if args.command == 'relabel' and not re.fullmatch(r'[A-Za-z0-9][\w-]*', args.name):
        parser.error(f'--name {args.name!r}: use letters, digits, - and _')
    return args


if __name__ == '__main__':
    parse_args()  # --help and wrong arguments end here, before the imports that take seconds

from clamp.datasets import coco, relabel, shared_images, split_sources, splits, unseen_species
from clamp.datasets.split_sources import find_sources
from clamp.files import inside, write_new

BUILDERS = splits.BUILDERS | unseen_species.BUILDERS | relabel.BUILDERS
Split = tuple[dict, dict, Path]  # with its manifest and its default path


def make_few_shot(args: argparse.Namespace) -> list[Split]:
    unit = '' if args.unit == 'animal' else f'-{args.unit}'
    options = {'shots': args.shots, 'seed': args.seed, 'unit': args.unit}
    return [build('fewshot', options, [args.ann], f'{args.shots}shot{unit}-seed{args.seed}')]


def make_fraction(args: argparse.Namespace) -> list[Split]:
    options = {'percent': args.percent, 'seed': args.seed}
    return [build('fraction', options, [args.ann], f'{args.percent:g}pct-seed{args.seed}')]


def make_holdout(args: argparse.Namespace) -> list[Split]:
    options = {'percent': args.percent, 'seed': args.seed}
    name = f'holdout{args.percent:g}pct-seed{args.seed}'
    parts = [build('holdout', options | {'part': part}, [args.ann], f'{name}-{part}') for part in ('train', 'val')]
    splits.check_disjoint(parts[0][0], parts[1][0])
    return parts


def make_zero_shot(args: argparse.Namespace) -> list[Split]:
    options = {'train_family': args.train_family, 'test_family': args.test_family}
    name = f'{args.train_family}-to-{args.test_family}'
    train = build('zeroshot-train', options, [args.train_ann], name)
    if args.test_from == 'all':
        test = build('zeroshot-test', options, [args.train_ann, args.val_ann], f'{name}-all')
    else:
        test = build('zeroshot-test', options, [args.val_ann], name)
    if train[2].name == test[2].name:
        raise ValueError(f'--train-ann and --val-ann are both named {args.val_ann.name}, and so would be their parts')
    splits.check_disjoint(train[0], test[0])
    return [train, test]


def make_unseen(args: argparse.Namespace) -> list[Split]:
    options = {'species': args.species}
    kept = f'-{len(set(args.keypoints))}keypoints' if args.keypoints else ''
    train_options = options | ({'keypoints': sorted(set(args.keypoints))} if args.keypoints else {})
    train = build('unseen-train', train_options, [args.ann], f'without-{args.species}{kept}')
    test = build('unseen-test', options, [args.ann], f'only-{args.species}')
    splits.check_disjoint(train[0], test[0])
    return [train, test]


def make_relabelled(args: argparse.Namespace) -> list[Split]:
    options = {'species': args.species}
    if args.keypoints:
        pairs = [pair.partition('=')[::2] for pair in args.keypoints]
        if wrong := [pair for pair, (old, new) in zip(args.keypoints, pairs) if not (old and new)]:
            raise ValueError(f'--keypoints {wrong[0]}: expected OLD=NEW, such as L_Eye=eyeL')
        if len(dict(pairs)) < len(pairs):
            raise ValueError(f'--keypoints {" ".join(args.keypoints)}: a keypoint is there twice')
        options['keypoints'] = dict(pairs)
    return [build('relabel', options, [args.ann], args.name)]


def make_without(args: argparse.Namespace) -> list[Split]:
    images = shared_images.read_list(args.list)
    return [build('without', {'images': images}, [args.ann], f'without-{args.list.stem}')]


def build(protocol: str, options: dict, sources: list[Path], suffix: str) -> Split:
    """A split, its manifest and its default path; it is named after the last source."""
    if len({path.name for path in sources}) < len(sources):
        raise ValueError(f'two sources are named {sources[0].name}, so no manifest could tell them apart; rename one')
    suffix = re.sub(r'[^\w%+.-]', '_', suffix)  # names of species are the file's
    output = inside(sources[-1].parent / 'splits', f'{sources[-1].stem}_{suffix}.json')
    contents = [coco.read(path) for path in sources]
    try:
        part, report = BUILDERS[protocol](*contents, **options)
    except ValueError as error:
        raise ValueError(f'{" and ".join(map(str, sources))}: {error}') from None
    digests = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sources}
    return part, split_sources.manifest(protocol, options, digests, output.name, part, report), output


def write(built: list[Split], out_dir: Path | None) -> None:
    """Write splits and manifests, unless one of the files is there with another content."""
    files = {}
    for part, manifest, output in built:
        path = out_dir / output.name if out_dir else output
        files[path] = splits.dump(part)
        files[path.with_suffix('.manifest.json')] = splits.dump(manifest, indent=1)
    written = write_new(files, 'move it away, or give another --out-dir')
    for (_, manifest, _), path in zip(built, list(files)[::2]):
        print(f'{path}: {"written" if path in written else "up to date"}\n{summary(manifest)}')


def summary(manifest: dict) -> str:
    """What a person wants to see of a split, in a few lines."""
    report, species = manifest['report'], manifest['species']
    lines = [f'{manifest["images"]} images, {manifest["annotations"]} annotations of {len(species)} species']
    lines.append(', '.join(f'{name} {counts["annotations"]}' for name, counts in species.items()))
    if report.get('species_with_fewer'):
        fewer = ', '.join(f'{name} ({number})' for name, number in report['species_with_fewer'].items())
        lines.append(f'used whole, fewer than {manifest["options"]["shots"]}: {fewer}')
    if report.get('species_with_none'):
        lines.append(f'nothing to draw: {", ".join(report["species_with_none"])}')
    if 'images_drawn_from' in report:
        lines.append(f'drawn from {report["images_drawn_from"]} images that can be trained on')
    if report.get('images_dropped_for_species'):
        dropped = len(report['images_dropped_for_species'])
        lines.append(f'{dropped} images left out: they also show a {manifest["options"]["species"]}')
    if 'images_left_out' in report:
        lines.append(f'{report["images_left_out"]} images left out')
    if manifest['options'].get('keypoints'):
        lines.append(f'labels of {", ".join(manifest["options"]["keypoints"])} alone')
    if 'images_dropped_for_test_family' in report:
        dropped = len(report['images_dropped_for_test_family'])
        lines.append(f'{dropped} images left out: they also show {manifest["options"]["test_family"]}')
    return '\n'.join(f'  {line}' for line in lines)


def verify(args: argparse.Namespace) -> int:
    """0 if every manifest's split is what its source and options give, else 1."""
    failed = 0
    for path in args.manifests:
        try:
            problems = find_problems(path, args.source_dir)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            problems = [f'cannot be checked: {error!r}']
        failed += bool(problems)
        print(f'{path}: {"; ".join(problems) or "verified"}')
    return int(failed > 0)


def find_problems(path: Path, source_dir: Path | None) -> list[str]:
    """Where a split on disk, or its manifest, is not what the source and the options give."""
    manifest = json.loads(path.read_bytes())
    if not isinstance(manifest, dict) or manifest.get('tool') != 'tools/make_splits.py':
        return ['not a manifest of tools/make_splits.py']
    if manifest['tool_version'] != splits.VERSION:
        return [f'made by version {manifest["tool_version"]} of the tool, this is version {splits.VERSION}']
    folders = [source_dir] if source_dir else [path.parent, path.parent.parent]
    sources = find_sources(manifest, folders)
    for name, expected, source, digest in sources:
        if source is None:
            return [f'the source {name} is not in {" or ".join(map(str, folders))}; give --source-dir']
        if digest != expected:
            return [f'refused: {source} is not the source (SHA-256 {digest[:12]}, expected {expected[:12]})']
    part, rebuilt, _ = build(manifest['protocol'], manifest['options'], [source.path for source in sources], '')
    rebuilt['output']['file'] = manifest['output']['file']
    problems = [f'manifest: `{key}` differs' for key in rebuilt if manifest.get(key) != rebuilt[key]]
    return problems + compare(path.with_name(manifest['output']['file']), part)


def compare(path: Path, part: dict) -> list[str]:
    """How the file differs from the split that was rebuilt."""
    if not path.is_file():
        return [f'{path} is not there']
    content = path.read_bytes()
    if content == splits.dump(part):
        return []
    there, problems = coco.load(path), []
    for key in ('images', 'annotations'):
        got, expected = ({entry['id']: entry for entry in source[key]} for source in (there, part))
        for what, ids in (
            ('missing', expected.keys() - got.keys()),
            ('too many', got.keys() - expected.keys()),
            ('changed', {id_ for id_ in got.keys() & expected.keys() if got[id_] != expected[id_]}),
        ):
            if ids:
                problems.append(f'{path.name}: {len(ids)} {key} {what}, such as id {min(ids)}')
    return problems or [f'{path.name}: ids agree, but the content differs']


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    makers = dict(fewshot=make_few_shot, zeroshot=make_zero_shot, unseen=make_unseen, fraction=make_fraction)
    makers |= dict(holdout=make_holdout, relabel=make_relabelled, without=make_without)
    try:
        if args.command == 'verify':
            return verify(args)
        write(makers[args.command](args), args.out_dir)
        return 0
    except OSError as error:
        print(f'error: {f"{error.filename}: {error.strerror}" if error.filename else error}', file=sys.stderr)
    except ValueError as error:
        print(f'error: {error}', file=sys.stderr)
    return 2


if __name__ == '__main__':
    sys.exit(main())
