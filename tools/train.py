"""Train a model from a config.

python tools/train.py configs/demo/clamp_tiny.py
python tools/train.py configs/ap10k/clamp_vitb.py --amp --cfg-options train_dataloader.batch_size=64
python tools/train.py configs/ap10k/clamp_vitb.py --resume
"""

import argparse
import copy
import errno
import os
import re
import sys
from pathlib import Path

from clamp.command_line import Options, errors_in_one_line, input_file


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', type=input_file, help='config file, such as configs/ap10k/clamp_vitb.py')
    parser.add_argument(
        '--work-dir', help='folder for logs and checkpoints (default: work_dirs/FOLDER/NAME of the config)'
    )
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        metavar='CHECKPOINT_OR_FOLDER',
        help='go on from a checkpoint, or from the newest that can be read in a folder (default: the work dir)',
    )
    parser.add_argument(
        '--amp', action='store_true', help='train in mixed precision: bfloat16, or float16 on a GPU that lacks it'
    )
    parser.add_argument('--compile', action='store_true', help='compile the training step (see docs/speed.md)')
    parser.add_argument('--no-validate', action='store_true', help='leave out validation during training')
    parser.add_argument(
        '--auto-scale-lr',
        action='store_true',
        help='scale the learning rate linearly with the total batch size, from the base_batch_size of the config',
    )
    parser.add_argument('--show-dir', help='folder where pictures of predictions during validation are saved')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=Options,
        metavar='KEY=VALUE',
        help='override settings of the config: train_dataloader.batch_size=64 randomness.seed=0',
    )
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none')
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.show_dir and args.no_validate:
        parser.error('--show-dir shows what validation predicts, which --no-validate leaves out')
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    return args


if __name__ == '__main__':
    parse_args()  # --help and wrong arguments end here, before the imports that take seconds

import torch
from mmengine.config import Config
from mmengine.runner import Runner

import clamp.register  # noqa: F401
from clamp.checkpoints import check_resumable, check_start, checkpoint_to_resume, read_checkpoint
from clamp.checks import check_config, check_work_dir, read_config
from clamp.engine import check_launcher, check_loop, check_sync_bn, keep_hooks, leave_process_group
from clamp.models.clip import forget_weights


def load_config(args: argparse.Namespace) -> Config:
    """Read the config and put the command line's options into it.

    Raises:
        FileNotFoundError: If the config is not there.
        ValueError: If an option would be without effect, or the work dir is that of the config's base.
    """
    cfg = read_config(args.config, dict(launcher=args.launcher) | (args.cfg_options or {}))
    given = args.work_dir or 'work_dir' in (args.cfg_options or {})
    own = given or re.search(r'^work_dir\b', Path(args.config).read_text(encoding='utf-8'), re.MULTILINE)
    if cfg.get('work_dir') and not own:
        raise ValueError(
            f'{args.config} has the work_dir of its base, {cfg.work_dir}, and would train over what is there: write a '
            'line work_dir = ... into it, or give --work-dir.'
        )
    folder_and_name = Path(args.config).with_suffix('').parts[-2:]  # ap10k/clamp_vitb
    cfg.work_dir = args.work_dir or cfg.get('work_dir') or str(Path('work_dirs', *folder_and_name))
    if args.amp:
        lacks_bfloat16 = torch.cuda.is_available() and not torch.cuda.is_bf16_supported(including_emulation=False)
        cfg.optim_wrapper.type = 'AmpOptimWrapper' if lacks_bfloat16 else 'BFloat16OptimWrapper'
    if args.compile:
        more = cfg.model.get('data_preprocessor') or {}
        if more.get('auxiliary') is not None or (more.get('absent') or {}).get('words'):
            raise ValueError(
                '--compile is for the K names alone: model.data_preprocessor adds auxiliary or absent ones.'
            )
        cfg.merge_from_dict({'default_hooks.compile': dict(type='CompileHook', enable=True)})
    keep_hooks(cfg)
    if args.no_validate:
        cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
        cfg.default_hooks.checkpoint.pop('save_best', None)
    if args.auto_scale_lr:
        if not (cfg.get('auto_scale_lr') or {}).get('base_batch_size'):
            raise ValueError('--auto-scale-lr needs auto_scale_lr.base_batch_size in the config.')
        cfg.auto_scale_lr.enable = True
    if args.show_dir:
        cfg.default_hooks.visualization.update(enable=True, out_dir=args.show_dir)
    return cfg


def to_resume(cfg: Config, place: str | None) -> Config:
    """Return the config of a run that goes on from a checkpoint, if ``--resume`` or the config itself asks for it.

    Raises:
        ValueError: As :func:`checkpoint_to_resume`.
    """
    place = place or (cfg.get('resume') and (cfg.get('load_from') or 'auto'))
    if not place:
        return cfg
    cfg = copy.deepcopy(cfg)
    cfg.load_from = checkpoint_to_resume(cfg, place)
    cfg.resume = bool(cfg.load_from)  # True without a checkpoint, MMEngine would look for one by itself
    if cfg.resume:
        forget_weights(cfg.model)  # the checkpoint holds everything
    return cfg


def prepare(args: argparse.Namespace) -> Runner:
    """Check everything, and build all of the training but its data.

    Raises:
        FileNotFoundError: If data, weights or checkpoint are not there.
        ValueError: If something does not fit.
        OSError: If the work dir cannot be written.
    """
    recipe = load_config(args)
    cfg = to_resume(recipe, args.resume)
    check_launcher(args.launcher)
    check_loop(cfg)
    check_config(cfg, ('train',) if args.no_validate else ('train', 'val'))
    if cfg.get('load_from'):
        check_resumable(cfg.load_from) if cfg.resume else read_checkpoint(cfg.load_from)
    check_work_dir(cfg.work_dir)
    runner = Runner.from_cfg(cfg)
    check_sync_bn(runner.model)
    if cfg is not recipe:  # which the work dir keeps: a resumed run's has no weights to begin with, and says resume
        runner.cfg = recipe
        runner.dump_config()
    runner.optim_wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
    if cfg.get('load_from'):
        check_resumable(cfg.load_from, runner) if cfg.resume else check_start(cfg.load_from, runner.model)
    _ = runner.val_loop  # built now: a metric may refuse its config
    return runner


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    with errors_in_one_line():
        runner = prepare(args)
    try:
        runner.train()
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        sys.exit(
            f'error: {error.filename or runner.work_dir} could not be written: {error.strerror}. Those before are '
            'whole: make room, and go on with --resume'
        )
    del runner
    leave_process_group()


if __name__ == '__main__':
    main()
