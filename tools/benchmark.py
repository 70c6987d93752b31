"""Measure speed, in one run and one table each: training step, inference with flip test, data pipeline, end to end.

    python tools/benchmark.py
    python tools/benchmark.py --sections step --models ap10k/clamp_r50 ap10k/simplebaseline_r50 --options off amp on

Models have random weights and images are generated: nothing needs to be downloaded. Competitors take turns, so that
ratios hold on a busy machine too. `mmpose` is MMPose's own SimpleBaseline for AP-10K (ResNet-50), and its own pipeline.
"""

import argparse
import contextlib
import gc
import json
import os
import platform
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path
from statistics import median

from clamp.command_line import at_least, errors_in_one_line, output_file

MODELS = [f'ap10k/{name}' for name in ('clamp_vitb', 'simplebaseline_vitb', 'clamp_r50', 'simplebaseline_r50')]
SECTIONS = ('step', 'inference', 'data', 'loader')


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        '--sections', nargs='+', choices=SECTIONS, default=SECTIONS, help='what to measure (default: all)'
    )
    parser.add_argument(
        '--models', nargs='+', default=[*MODELS, 'mmpose'], help='configs of AP-10K, by folder and name, and `mmpose`'
    )
    parser.add_argument(
        '--options',
        nargs='+',
        help='off, on, or some of fused, tf32, amp, compile, joined by + (default: off on; on a CPU: off)',
    )
    parser.add_argument('--device', choices=['cuda', 'cpu'], help='default: cuda, if there is a GPU')
    parser.add_argument('--batch-size', type=at_least(1), help='default: 128; on a CPU: 8')
    parser.add_argument('--iterations', type=at_least(1), help='runs in a round (default: 20; on a CPU: 1)')
    parser.add_argument('--rounds', type=at_least(1), help='turns of each competitor (default: 5; on a CPU: 3)')
    parser.add_argument('--images', type=at_least(1), default=32, help='generated images (default: 32)')
    parser.add_argument(
        '--samples', type=at_least(1), default=128, help='samples of the data section in a round (default: 128)'
    )
    parser.add_argument(
        '--workers',
        type=at_least(0),
        default=min(16, os.cpu_count()),
        help='workers of the loader section (default: one per core, 16 at most)',
    )
    parser.add_argument('--json', type=output_file('.json'), metavar='FILE.json', help='save all figures')
    return parser.parse_args(argv)


if __name__ == '__main__':
    parse_args()  # --help and wrong arguments end here, before the imports that take seconds

import cv2
import mmpose
import torch
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope

import clamp.register
from clamp import benchmark
from clamp.tables import as_markdown

ROOT = Path(__file__).resolve().parents[1]
MMPOSE = 'animal_2d_keypoint/topdown_heatmap/ap10k/td-hm_res50_8xb64-210e_ap10k-256x256.py'
LIKE_MMPOSE = dict(LoadTrainImage='LoadImage', PackKeypointInputs='PackPoseInputs')  # what takes whose place


def fill_in(args: argparse.Namespace) -> None:
    """Put in what depends on the device, where the command line does not say."""
    args.device = args.device or ('cuda' if torch.cuda.is_available() else 'cpu')
    if args.device == 'cuda':
        defaults = dict(options=['off', 'on'], batch_size=128, iterations=20, rounds=5)
    else:
        defaults = dict(options=['off'], batch_size=8, iterations=1, rounds=3)
    vars(args).update({name: value for name, value in defaults.items() if getattr(args, name) is None})


def config_path(name: str) -> str:
    """The config file of a model's name."""
    return str(
        Path(mmpose.__file__).parent / '.mim/configs' / MMPOSE if name == 'mmpose' else ROOT / f'configs/{name}.py'
    )


def backbone_of(name: str) -> str:
    """vitb of ap10k/clamp_vitb; MMPose's is a r50."""
    return 'r50' if name == 'mmpose' else name.split('_')[-1]


def precision_of(options: str, device: str) -> str:
    """The precision that limits a matrix product under these options."""
    stock = ['tf32'] if device == 'cuda' else []  # cuDNN's default
    names = benchmark.option_names(options) if options else stock
    return next((precision for name, precision in (('amp', 'bf16'), ('tf32', 'tf32')) if name in names), 'fp32')


def compare_models(args: argparse.Namespace, root: Path, train: bool) -> list[dict]:
    """Time all models with all options; those with the same backbone take turns."""
    rows, peaks = [], {}
    for backbone in dict.fromkeys(map(backbone_of, args.models)):
        competitors = {}
        for name in (name for name in args.models if backbone_of(name) == backbone):
            flops = None
            for options in [''] if name == 'mmpose' else args.options:
                cfg = benchmark.load_config(config_path(name), options, root, args.batch_size)
                competitor = competitors[name, options] = benchmark.Competitor(cfg, args.device, train)
                if train and 'compile' not in (benchmark.option_names(options) if options else []):
                    flops = flops or competitor.count_flops()
                competitor.flops = flops
        runs = {key: lambda it=it: it.timed(args.iterations) for key, it in competitors.items()}
        seconds = benchmark.interleave(runs, args.rounds, f'{"training" if train else "inference"} {backbone}')
        for (name, options), times in seconds.items():
            competitor, precision = competitors[name, options], precision_of(options, args.device)
            row = dict(model=name, options=options or 'its own', ms=1e3 * median(times))
            row['images_per_s'] = args.batch_size / median(times)
            baseline = seconds.get((name.replace('clamp', 'simplebaseline'), options))
            row['times_baseline'] = benchmark.ratio(times, baseline) if baseline and 'clamp' in name else None
            row['memory_gb'] = competitor.peak_memory / 1e9 or None
            if competitor.flops:
                peaks[precision] = peaks.get(precision) or benchmark.measure_peak(args.device, precision)
                row['share_of_peak'] = competitor.flops / median(times) / peaks[precision]
            rows.append(row)
        competitor = competitors = runs = None
        free_memory()
    return rows


def free_memory() -> None:
    """Forget the models of before, and what torch.compile keeps of them with the methods that all models share."""
    gc.collect()
    torch._dynamo.reset()
    torch.cuda.empty_cache()


def build_crops(name: str, root: Path) -> Path:
    """Prepare crops of the generated images by the tool for it."""
    command = [sys.executable, ROOT / 'tools/build_crops.py', config_path(name), root.parent / 'crops', '--cfg-options']
    command += [f'train_dataloader.dataset.data_root={root}/']
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    return root.parent / 'crops'


def ours(args: argparse.Namespace) -> str:
    """Return the first of the models that is not MMPose's."""
    return next((name for name in args.models if name != 'mmpose'), MODELS[0])


def compare_data(args: argparse.Namespace, root: Path, crops: Path) -> list[dict]:
    """Time the train pipelines stage by stage in one process: MMPose's, ours, and ours from crops."""
    sources = [('mmpose', 'mmpose', root), ('ours', ours(args), root), ('crops', ours(args), crops)]
    datasets = {
        label: benchmark.build_dataset(benchmark.load_config(config_path(name), '', data, 1).train_dataloader)
        for label, name, data in sources
    }
    threads = cv2.getNumThreads()
    cv2.setNumThreads(0)  # as in the workers of a loader
    runs = {label: lambda it=it: benchmark.time_stages(it, args.samples) for label, it in datasets.items()}
    rounds = benchmark.interleave(runs, args.rounds, 'data')
    cv2.setNumThreads(threads)
    table: dict[str, dict] = {}
    for label, results in rounds.items():
        for stage in results[0]:
            name = LIKE_MMPOSE.get(stage, stage.removeprefix('Fast'))
            ms = 1e3 * median(result[stage] for result in results)
            table.setdefault(name, dict(stage=name, **dict.fromkeys(rounds)))[label] = ms
    totals = {label: [sum(result.values()) for result in results] for label, results in rounds.items()}
    summaries = {
        'sum': {label: 1e3 * median(times) for label, times in totals.items()},
        'samples/s': {label: 1 / median(times) for label, times in totals.items()},
        'times as fast': {label: benchmark.ratio(totals['mmpose'], times) for label, times in totals.items()},
    }
    return [*table.values(), *(dict(stage=name, **values) for name, values in summaries.items())]


def compare_loaders(args: argparse.Namespace, root: Path, crops: Path) -> list[dict]:
    """Train on batches that workers prepare: how fast, and how long does the device wait for them?"""
    rows = []
    for name in args.models:
        options = '' if name == 'mmpose' else args.options[-1]
        cfg = benchmark.load_config(config_path(name), options, root, args.batch_size)
        competitor, loaders = benchmark.Competitor(cfg, args.device, train=True), {}
        for label, data in [('images', root)] + [('crops', crops)] * (name != 'mmpose'):
            cfg.train_dataloader.dataset.data_root = f'{data}/'
            loaders[label] = benchmark.load_batches(cfg.train_dataloader, args.workers)
            next(loaders[label])  # the workers have started
        runs = {
            label: lambda batches=batches, competitor=competitor: benchmark.time_loader(
                competitor, batches, args.iterations, ready=2 * args.workers
            )
            for label, batches in loaders.items()
        }
        for label, results in benchmark.interleave(runs, args.rounds, f'loader {name}').items():
            seconds, share = (median(values) for values in zip(*results))
            row = dict(model=name, options=options or 'its own', data=label, images_per_s=args.batch_size / seconds)
            rows.append(row | dict(share_waiting=share))
        competitor = loaders = runs = None
        free_memory()
    return rows


def format_table(rows: list[dict]) -> str:
    """Format rows that have the same keys as a Markdown table; numbers with three digits, None as a dash."""

    def text(value) -> str:
        if value is None:
            return '-'
        return value if isinstance(value, str) else f'{value:.3g}' if abs(value) < 1000 else f'{value:.0f}'

    keys = list(dict.fromkeys(key for row in rows for key in row))
    lines = [[key.replace('_', ' ') for key in keys]] + [[text(row.get(key)) for key in keys] for row in rows]
    return as_markdown(lines)


def environment(args: argparse.Namespace) -> dict:
    """What the figures depend on."""
    device = torch.cuda.get_device_name() if args.device == 'cuda' else f'{platform.processor() or platform.machine()}'
    versions = dict(
        clamp=clamp.__version__, torch=torch.__version__, opencv=cv2.__version__, python=platform.python_version()
    )
    threads = dict(threads=torch.get_num_threads(), cores=os.cpu_count())
    return dict(
        device=device, **threads, **versions, batch_size=args.batch_size, rounds=args.rounds, workers=args.workers
    )


def main(argv: list[str] | None = None) -> dict:
    args = parse_args(argv)
    fill_in(args)
    with errors_in_one_line():
        for name in args.models:
            if not Path(config_path(name)).is_file():
                raise FileNotFoundError(f'There is no config {config_path(name)} for {name}.')
        for options in args.options:
            benchmark.option_names(options)
    warnings.filterwarnings('ignore')
    torch._dynamo.config.recompile_limit = 64  # of a method, over all models and options that take turns
    init_default_scope('mmpose')
    MMLogger.get_instance('benchmark', log_level='ERROR')
    results = dict(environment=environment(args))
    print(', '.join(f'{key} {value}' for key, value in results['environment'].items()))
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder, 'images')
        benchmark.make_images(root, args.images)
        crops = build_crops(ours(args), root) if {'data', 'loader'} & set(args.sections) else None
        sections = dict(
            step=('Training step', lambda: compare_models(args, root, train=True)),
            inference=('Inference with flip test', lambda: compare_models(args, root, train=False)),
            data=('Data pipeline on one core, ms per sample', lambda: compare_data(args, root, crops)),
            loader=('Training with its loader', lambda: compare_loaders(args, root, crops)),
        )
        for section in (name for name in SECTIONS if name in args.sections):
            title, measure = sections[section]
            with contextlib.redirect_stdout(sys.stderr):  # what pycocotools has to say
                results[section] = measure()
            print(f'\n### {title}\n\n{format_table(results[section])}')
            if args.json:
                args.json.write_text(json.dumps(results, indent=2))
    return results


if __name__ == '__main__':
    main()
