"""Two processes: no parameter may be left without a gradient, and both end with the same weights."""

import os
import socket

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

pytestmark = pytest.mark.slow


def _train_two_steps(rank: int, port: int, kind: str) -> None:
    from mmengine.registry import init_default_scope

    import clamp  # noqa: F401
    from tests.test_models.test_clamp_head import PixelData, estimator, samples

    os.environ.update(MASTER_ADDR='127.0.0.1', MASTER_PORT=str(port))
    torch.set_num_threads(1)
    dist.init_process_group('gloo', rank=rank, world_size=2)
    init_default_scope('mmpose')
    torch.manual_seed(0)
    size, heatmap = (32, 8) if kind == 'vit' else (64, 16)
    model = torch.nn.parallel.DistributedDataParallel(estimator(kind))
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    for step in range(2):  # the second step is where DDP finds parameters that the first left out
        torch.manual_seed(10 * step + rank)
        targets = samples(size=size)
        for sample in targets:
            sample.gt_fields = PixelData(heatmaps=torch.rand(3, heatmap, heatmap))
        losses = model(torch.randn(2, 3, size, size), targets, mode='loss')
        optimizer.zero_grad()
        sum(losses.values()).backward()
        optimizer.step()
    for parameter in model.parameters():
        mine = parameter.detach().clone()
        dist.broadcast(mine, 0)
        torch.testing.assert_close(mine, parameter.detach())
    dist.destroy_process_group()


def test_ddp_without_unused_parameters(kind):
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    mp.spawn(_train_two_steps, args=(port, kind), nprocs=2)
