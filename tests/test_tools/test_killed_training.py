"""A tiny training that is killed again and again goes on, and ends as one that was not; a full disk takes nothing."""

import json
import multiprocessing
import os
import random
import resource
import signal
import time
from functools import partial
from pathlib import Path

import pytest
import torch

from clamp import checkpoints
from tests.repository import DEMO, load_tool

pytestmark = pytest.mark.slow

KILLS, EPOCHS = 20, 4


@pytest.fixture(scope='module')
def options(tmp_path_factory) -> list[str]:
    """Twelve drawn images for training and four for validation, after each epoch."""
    from clamp.datasets.synthetic import generate_dataset

    root = tmp_path_factory.mktemp('data')
    generate_dataset(root, 12, 4, num_workers=1)
    options = [
        'train_cfg.val_interval=1',
        f'train_cfg.max_epochs={EPOCHS}',
        'default_hooks.checkpoint.max_keep_ckpts=1',
    ]
    for part in ('train', 'val', 'test'):
        options += [
            f'{part}_dataloader.{name}' for name in ('batch_size=4', 'num_workers=0', f'dataset.data_root={root}/')
        ]
    return [*options, f'val_evaluator.ann_file={root}/annotations/ap10k-val-split1.json']


@pytest.fixture(scope='module')
def server():
    """Forks processes from one that has all imported and computed nothing: the threads of OpenMP survive no fork."""
    context = multiprocessing.get_context('forkserver')
    context.set_forkserver_preload(['clamp.register', 'mmpose.apis', __name__])
    return context


def train(work_dir: Path, options: list[str], before: partial | None = None) -> None:
    """Run tools/train.py with --resume, its output in a log."""
    with open(f'{work_dir}.log', 'a') as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    if before:
        before()
    load_tool('train').main([DEMO, '--work-dir', str(work_dir), '--resume', '--cfg-options', *options])


def start(server, *args) -> multiprocessing.Process:
    process = server.Process(target=train, args=args)
    process.start()
    return process


def exit_code(process: multiprocessing.Process) -> int:
    process.join()
    return process.exitcode


def kill_in_a_write(number: int, part: float) -> None:
    """Kill this process in its n-th write of a checkpoint, when a part of the file is on the disk."""
    writes = []

    def fsync(descriptor: int) -> None:
        writes.append(descriptor)
        if len(writes) == number:
            os.ftruncate(descriptor, int(part * os.fstat(descriptor).st_size))
            os.kill(os.getpid(), signal.SIGKILL)

    checkpoints.os.fsync = fsync


def end(work_dir: Path) -> tuple[list, dict]:
    """The metrics of the last validation, and all weights."""
    lines = [
        line for file in sorted(work_dir.glob('*/vis_data/scalars.json')) for line in file.read_text().splitlines()
    ]
    metrics = [{key: value for key, value in json.loads(line).items() if 'coco' in key} for line in lines]
    weights = torch.load(work_dir / f'epoch_{EPOCHS}.pth', weights_only=True)['state_dict']
    return [each for each in metrics if each][-1], weights


def no_space() -> None:
    """Let this process write files of at most 1 MiB; a checkpoint has many more bytes."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, 2**20))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)


def test_killed_at_twenty_moments_it_ends_as_one_that_was_not(server, options, tmp_path):
    begin = time.monotonic()
    assert exit_code(start(server, tmp_path / 'whole', options)) == 0, (tmp_path / 'whole.log').read_text()[-2000:]
    duration, draw = time.monotonic() - begin, random.Random(0)
    metrics, weights = end(tmp_path / 'whole')
    assert metrics['coco/AR'] >= 0
    kills = trainings = 0
    while kills < KILLS:
        work_dir = tmp_path / f'cut{trainings}'
        trainings += 1
        status = None
        while status != 0:
            in_write = draw.random() < 0.5
            number, part = draw.randint(1, 3), draw.random()
            process = start(server, work_dir, options, partial(kill_in_a_write, number, part) if in_write else None)
            if not in_write and kills < KILLS:
                process.join(draw.uniform(0.2, 1) * duration)
                process.kill()
            status = exit_code(process)
            assert status in (0, -signal.SIGKILL), Path(f'{work_dir}.log').read_text()[-2000:]
            kills += status == -signal.SIGKILL
            print(f'training {trainings}, kill {kills}: {"in a write" if in_write else "any moment"}, status {status}')
        found = end(work_dir)
        assert found[0] == metrics
        assert all(torch.equal(weights[name], found[1][name]) for name in weights)
        assert list(work_dir.glob('*.part')) == []


def test_a_full_disk_is_one_error_and_the_last_good_checkpoint_is_there(server, options, tmp_path):
    assert exit_code(start(server, tmp_path / 'run', [*options, 'train_cfg.max_epochs=1'])) == 0
    log = tmp_path / 'run.log'
    good, log_before = (tmp_path / 'run/epoch_1.pth').read_bytes(), len(log.read_text())
    assert exit_code(start(server, tmp_path / 'run', options, partial(no_space))) == 1
    message = log.read_text()[log_before:]
    assert 'error: ' in message.splitlines()[-1], message[-2000:]
    assert 'epoch_2.pth could not be written: File too large. Those before are whole: make room' in message
    assert 'Traceback' not in message
    assert (tmp_path / 'run/epoch_1.pth').read_bytes() == good
    assert list((tmp_path / 'run').glob('*.part')) == []
    assert exit_code(start(server, tmp_path / 'run', options)) == 0
