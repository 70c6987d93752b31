"""Evaluate a pose model: COCO-style OKS AP and AR.

python tools/test.py configs/ap10k/clamp_vitb.py work_dirs/ap10k/clamp_vitb/epoch_210.pth --out metrics.json
python tools/test.py MODEL_FOLDER
python tools/test.py MODEL_FOLDER --on configs/ap10k/clamp_vitb.py  # by the keypoints whose names both have
"""

import argparse
import os
from pathlib import Path

from clamp.command_line import Options, check_model, config_or_model, errors_in_one_line, input_file, output_file


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        'config',
        type=config_or_model,
        help='config file, such as configs/ap10k/clamp_vitb.py, or a published model alone',
    )
    parser.add_argument(
        'checkpoint',
        type=input_file,
        nargs='?',
        help='checkpoint (.pth), or what tools/export_onnx.py made of it (.onnx)',
    )
    parser.add_argument(
        '--on',
        type=input_file,
        metavar='OTHER_CONFIG',
        help='test on the data set of another config, by the keypoints whose names model and data set have in common',
    )
    parser.add_argument('--work-dir', help='folder for the logs (default: work_dirs/FOLDER/NAME of the config)')
    parser.add_argument('--out', type=output_file('.json'), metavar='METRICS.json', help='save the metrics')
    parser.add_argument(
        '--dump',
        type=output_file('.pkl', '.pickle'),
        metavar='PREDICTIONS.pkl',
        help='save all predictions, for a later evaluation',
    )
    parser.add_argument('--show-dir', help='folder where a picture of each prediction is saved')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=Options,
        metavar='KEY=VALUE',
        help='override settings of the config: test_dataloader.batch_size=8 model.test_cfg.flip_test=False',
    )
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none')
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    check_model(parser, args.config, args.checkpoint)
    if args.show_dir and args.launcher != 'none':
        parser.error('--show-dir: of several processes, one would draw its own share alone; leave --launcher out')
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    return args


if __name__ == '__main__':
    parse_args()  # --help and wrong arguments end here, before the imports that take seconds

from mmengine.config import Config
from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.runner import Runner

import clamp.register  # noqa: F401
from clamp.checkpoints import load_weights, read_checkpoint
from clamp.checks import check_config, check_work_dir, read_config
from clamp.datasets.vocabulary import differences
from clamp.engine import check_launcher, leave_process_group
from clamp.evaluation.cross_dataset import measure_on
from clamp.onnx.estimator import onnx_estimator
from clamp.pretrained import find_model


class SaveMetricsHook(Hook):
    """Save the metrics of a test as JSON.

    Args:
        path (Path): The file.
    """

    def __init__(self, path: Path):
        self.path = path

    @master_only
    def after_test_epoch(self, runner: Runner, metrics: dict | None = None) -> None:
        import mmengine

        if metrics:
            mmengine.dump(metrics, self.path, indent=2)


def say_what_is_measured(names: list[str], path: str) -> None:
    """Say which keypoints model and data set have in common, and where one word may be two places."""
    print(f'measured on {path}, {len(names)} keypoints that both have: {", ".join(names)}')
    for name, note in differences(names).items():
        print(f'note on {name!r}: {note}')


def load_config(args: argparse.Namespace) -> Config:
    """Read the config and put the command line's options into it."""
    place = Path(args.config)
    args.config, args.checkpoint = find_model(args.config, args.checkpoint)
    cfg = read_config(args.config, dict(launcher=args.launcher) | (args.cfg_options or {}))
    if args.on:
        own = ('test_dataloader.dataset', 'test_evaluator')
        if vain := [option for option in args.cfg_options or {} if option.startswith(own)]:
            raise ValueError(f'The option {vain[0]} would be without effect: data and metric are those of {args.on}.')
        other = read_config(args.on)
        say_what_is_measured(measure_on(cfg, other), args.on)
    folder_and_name = place.with_suffix('').parts[-2:] if place.suffix == '.py' else [place.resolve().name]
    cfg.work_dir = args.work_dir or cfg.get('work_dir') or str(Path('work_dirs', *folder_and_name))
    cfg.load_from = args.checkpoint
    cfg.sync_bn = None  # of which a test needs nothing: it takes the statistics of the training
    cfg.resume = False  # a config of a resumed training may say so, and MMEngine would take the work dir's checkpoint
    if args.show_dir:
        cfg.default_hooks.visualization.update(enable=True, out_dir=args.show_dir)
    if args.dump:
        if 'datasets' in cfg.test_dataloader.dataset:
            raise ValueError(
                '--dump saves predictions of one data set; here keypoints of several are brought together.'
            )
        evaluators = cfg.test_evaluator if isinstance(cfg.test_evaluator, list) else [cfg.test_evaluator]
        cfg.test_evaluator = [*evaluators, dict(type='DumpResults', out_file_path=str(args.dump))]
    return cfg


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    with errors_in_one_line():
        cfg = load_config(args)
        exported = args.checkpoint.endswith('.onnx')
        if exported and args.launcher != 'none':
            raise ValueError('An exported model is tested by one process: leave --launcher out.')
        check_launcher(args.launcher)
        check_config(cfg, ('test',))
        if exported:
            cfg.model, cfg.load_from = onnx_estimator(cfg.model, args.checkpoint), None
        else:
            read_checkpoint(args.checkpoint)  # before the model is built and the log begins
        check_work_dir(cfg.work_dir)
    runner = Runner.from_cfg(cfg)
    with errors_in_one_line():
        if not exported:
            load_weights(runner.model, args.checkpoint)
        _ = runner.test_loop  # built here: a metric may refuse its config
    if args.out:
        runner.register_hook(SaveMetricsHook(args.out), priority='LOWEST')
    runner.test()
    del runner
    leave_process_group()


if __name__ == '__main__':
    main()
