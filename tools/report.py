"""A page on what a model gets right and wrong, and how sure that is; with --against, on the difference of two models.

python tools/report.py configs/ap10k/clamp_vitb.py work_dirs/ap10k/clamp_vitb/epoch_210.pth --out report.html
python tools/report.py CONFIG CHECKPOINT --against OTHER_CONFIG OTHER_CHECKPOINT --out comparison.html
"""

import argparse
from pathlib import Path

from clamp.command_line import (
    Options,
    at_least,
    check_model,
    config_or_model,
    errors_in_one_line,
    input_file,
    model_names,
    output_file,
)


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog='docs/report.md says how the figures are computed.',
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('config', type=config_or_model, help='config file, or a published model alone')
    parser.add_argument('checkpoint', type=input_file, nargs='?', help='checkpoint file (.pth)')
    parser.add_argument(
        '--against',
        type=config_or_model,
        nargs='+',
        metavar='CONFIG CHECKPOINT',
        help='a second model, tested on the same animals',
    )
    parser.add_argument(
        '--out', type=output_file('.html'), default='report.html', help='page to write (default: report.html)'
    )
    parser.add_argument('--gallery', type=at_least(1), default=1500, help='most animals in the gallery (default: 1500)')
    parser.add_argument('--seed', type=at_least(0), default=0, help='of the bootstrap (default: 0)')
    parser.add_argument(
        '--cfg-options', nargs='+', action=Options, metavar='KEY=VALUE', help='override settings of the config(s)'
    )
    args = parser.parse_args(argv)
    args.models = [[args.config, args.checkpoint], *([args.against] if args.against else [])]
    for model in args.models:
        check_model(parser, *model)
    return args


if __name__ == '__main__':
    parse_args()  # --help and wrong arguments end here, before the imports that take seconds

from mmengine.config import Config

import clamp.register  # noqa: F401
from clamp.checkpoints import read_checkpoint
from clamp.checks import check_config, read_config
from clamp.pretrained import find_model
from clamp.report.collect import Run, check_test, collect
from clamp.report.page import FEW, render


def load_config(path: str, checkpoint: str, options: dict | None) -> Config:
    """Read a config with the command line's options, and check it and the checkpoint before anything is run."""
    cfg = read_config(path, options)
    check_config(cfg, ('test',))
    check_test(cfg)
    read_checkpoint(checkpoint)
    return cfg


def collect_all(tested: list[list[str]], options: dict | None) -> list[Run]:
    """Test each (config, checkpoint)."""
    configs = [load_config(config, checkpoint, options) for config, checkpoint in tested]
    sources = ['{}, {}'.format(*('/'.join(Path(path).parts[-2:]) for path in pair)) for pair in tested]
    return [
        collect(cfg, checkpoint, name, source)
        for cfg, (_, checkpoint), name, source in zip(configs, tested, model_names(tested), sources)
    ]


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    with errors_in_one_line():
        tested = [[*find_model(*model)] for model in args.models]
        runs = collect_all(tested, args.cfg_options)
        for run in runs:
            print(f'{run.name}: AP {100 * run.metrics["coco/AP"]:.1f}, AR {100 * run.metrics["coco/AR"]:.1f}')
        if len(runs[0].coco.imgs) < FEW:
            print(f'{len(runs[0].coco.imgs)} images alone: the intervals will be too narrow.')
        print(f'Resampling {len(runs[0].coco.imgs)} images 1000 times ...', flush=True)
        page = render(runs, args.gallery, seed=args.seed)
        args.out.write_text(page, encoding='utf-8', errors='backslashreplace')  # file names may be no UTF-8
    print(f'Report, {len(page) / 1e6:.1f} MB: {args.out.resolve()}')


if __name__ == '__main__':
    main()
