"""Train a model from a config: python tools/train.py configs/ap10k/clamp_vitb.py"""

import argparse
import os
import sys
from pathlib import Path

# on a busy CPU, threads of torch that spin while they wait slow each other down several times
os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')

import torch
from mmengine.config import Config, DictAction
from mmengine.runner import Runner, find_latest_checkpoint

import clamp  # noqa: F401
from clamp.checks import check_checkpoint, check_config, read_config
from clamp.engine import leave_process_group
from clamp.models.clip import forget_weights


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Train a pose model.')
    parser.add_argument('config', help='config file, such as configs/ap10k/clamp_vitb.py')
    parser.add_argument(
        '--work-dir', help='folder for logs and checkpoints (default: work_dirs/FOLDER/NAME of the config)'
    )
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        metavar='CHECKPOINT',
        help='go on from the given checkpoint, or, without a value, from the latest one in the work dir',
    )
    parser.add_argument(
        '--amp', action='store_true', help='train in mixed precision: bfloat16, or float16 on a GPU that lacks it'
    )
    parser.add_argument('--compile', action='store_true', help='compile the training step (see docs/speed.md)')
    parser.add_argument('--no-validate', action='store_true', help='leave out validation during training')
    parser.add_argument(
        '--auto-scale-lr',
        action='store_true',
        help='scale the learning rate linearly with the total batch size, from the base in the config (128)',
    )
    parser.add_argument('--show-dir', help='folder where pictures of predictions during validation are saved')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        metavar='KEY=VALUE',
        help='override settings of the config: train_dataloader.batch_size=64 randomness.seed=0',
    )
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none')
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    return args


def load_config(args: argparse.Namespace) -> Config:
    """Read the config and put the command line's options into it."""
    cfg = read_config(args.config, dict(launcher=args.launcher) | (args.cfg_options or {}))
    folder_and_name = Path(args.config).with_suffix('').parts[-2:]  # ap10k/clamp_vitb
    cfg.work_dir = args.work_dir or cfg.get('work_dir') or str(Path('work_dirs', *folder_and_name))
    if args.amp:
        lacks_bfloat16 = torch.cuda.is_available() and not torch.cuda.is_bf16_supported(including_emulation=False)
        cfg.optim_wrapper.type = 'AmpOptimWrapper' if lacks_bfloat16 else 'BFloat16OptimWrapper'
    if args.compile:
        cfg.default_hooks.compile.enable = True
    if args.no_validate:
        cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
        cfg.default_hooks.checkpoint.pop('save_best', None)
    if args.auto_scale_lr:
        cfg.auto_scale_lr.enable = True
    if args.show_dir:
        cfg.default_hooks.visualization.update(enable=True, out_dir=args.show_dir)
    if args.resume:
        cfg.resume = True
        cfg.load_from = find_latest_checkpoint(cfg.work_dir) if args.resume == 'auto' else args.resume
        if cfg.load_from:
            forget_weights(cfg.model)  # the checkpoint holds everything
    return cfg


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    try:
        cfg = load_config(args)
        check_config(cfg, ('train',) if args.no_validate else ('train', 'val'))
        if cfg.load_from:
            check_checkpoint(cfg.load_from)
    except (FileNotFoundError, ValueError) as error:
        sys.exit(f'error: {error}')
    runner = Runner.from_cfg(cfg)
    if cfg.resume and cfg.load_from:
        try:
            check_checkpoint(cfg.load_from, runner.model)
        except ValueError as error:
            sys.exit(f'error: {error}')
    runner.train()
    del runner
    leave_process_group()


if __name__ == '__main__':
    main()
