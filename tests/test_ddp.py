"""Two processes on CPUs: they train on halves of a batch as one process does on the whole."""

import os
import socket
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import nn

pytestmark = pytest.mark.slow

STEPS, LR = 2, 0.1
LABELLED = torch.tensor([[1.0, 1, 1], [1, 1, 0], [1, 0, 0], [0, 0, 1]])  # four keypoints for one, three for the other


def batch(kind: str, step: int) -> tuple:
    """Images, and targets as the heads of MMPose read them, of a global batch of four."""
    from clamp.models.data_preprocessor import HeatmapDataPreprocessor

    generator = torch.Generator().manual_seed(step)
    size, heatmap = (32, 8) if kind == 'vit' else (64, 16)
    codec = dict(type='MSRAHeatmap', input_size=(size, size), heatmap_size=(heatmap, heatmap), sigma=1)
    prepare = HeatmapDataPreprocessor([0, 0, 0], [1, 1, 1], codec=codec)
    images = torch.randn(4, 3, size, size, generator=generator)
    keypoints = size * torch.rand(4, 3, 2, generator=generator)
    data = prepare(dict(inputs=images, keypoints=keypoints, keypoint_weights=LABELLED), True)
    return data['inputs'], data['data_samples']


def train(kind: str, rank: int = 0, world_size: int = 1) -> dict:
    """Return the losses of each step and the weights after the last."""
    from tests.tiny_models import estimator

    torch.manual_seed(0)
    model = estimator(kind)
    for module in model.modules():  # what draws numbers, or sees its own half alone
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
        elif isinstance(module, nn.Dropout):
            module.p = 0.0
        elif isinstance(module, nn.MultiheadAttention):
            module.dropout = 0.0
    wrapped = nn.parallel.DistributedDataParallel(model) if world_size > 1 else model
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=LR)
    history = []
    for step in range(STEPS):  # the second is where DDP finds parameters that the first left without a gradient
        images, samples = batch(kind, step)
        losses = wrapped(images[rank::world_size], samples[rank::world_size], mode='loss')
        optimizer.zero_grad()
        sum(losses.values()).backward()
        optimizer.step()
        history.append(torch.stack([loss.detach() for loss in losses.values()]))
    return dict(losses=torch.stack(history), weights=model.state_dict())


def _train_in_process(rank: int, port: int, kind: str, folder: Path) -> None:
    from mmengine.registry import init_default_scope

    from clamp.engine import leave_process_group

    os.environ.update(MASTER_ADDR='127.0.0.1', MASTER_PORT=str(port))
    torch.set_num_threads(1)
    dist.init_process_group('gloo', rank=rank, world_size=2)
    init_default_scope('mmpose')
    torch.save(train(kind, rank, world_size=2), folder / f'{rank}.pth')
    leave_process_group()
    threads = [path.read_text() for path in Path('/proc/self/task').glob('*/comm')]  # none where there is no /proc
    assert not [name for name in threads if 'gloo' in name]


def test_two_processes_train_as_one(kind, tmp_path):
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    mp.spawn(_train_in_process, args=(port, kind, tmp_path), nprocs=2)
    one, two = train(kind), [torch.load(tmp_path / f'{rank}.pth') for rank in range(2)]
    torch.testing.assert_close(sum(each['losses'] for each in two) / 2, one['losses'], rtol=1e-4, atol=1e-6)
    for name, weight in one['weights'].items():
        assert torch.equal(two[0]['weights'][name], two[1]['weights'][name]), name
        torch.testing.assert_close(two[0]['weights'][name], weight, rtol=1e-4, atol=1e-5, msg=name)
