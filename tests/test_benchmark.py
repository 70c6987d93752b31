"""What the benchmark measures; its command and tables: tests/test_tools/test_benchmark_tool.py"""

import json
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch

from clamp import benchmark
from clamp.datasets.synthetic.species import SPECIES


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    path = tmp_path_factory.mktemp('benchmark') / 'images'
    benchmark.make_images(path, number=2, longer_side=160)
    return path


def tiny(root, options: str = 'off', batch_size: int = 2):
    return benchmark.load_config('configs/demo/simplebaseline_tiny.py', options, root, batch_size)


def test_images_have_their_size_and_their_animals(root):
    coco = json.loads((root / 'annotations/ap10k-train-split1.json').read_text())
    # AP-10K's ids, as the generated animals have them, whichever of the species are drawn
    assert {each['id'] for each in coco['categories']} == {species.category_id for species in SPECIES}
    image = coco['images'][0]
    assert cv2.imread(str(root / 'data' / image['file_name'])).shape == (image['height'], image['width'], 3)
    assert max(image['height'], image['width']) == 160
    for animal in coco['annotations']:
        keypoints, box = np.reshape(animal['keypoints'], (-1, 3)), np.array(animal['bbox'])
        inside = keypoints[keypoints[:, 2] > 0, :2]
        assert (inside >= box[:2] - 1).all()
        assert (inside <= box[:2] + box[2:] + 1).all()


def test_options_are_those_of_the_config(root):
    off, on, some = (tiny(root, options) for options in ('off', 'on', 'fused+amp'))
    assert [cfg.optim_wrapper.optimizer.fused for cfg in (off, on, some)] == [False, True, True]
    assert [cfg.default_hooks.compile.enable for cfg in (off, on, some)] == [False, True, False]
    assert [cfg.default_hooks.matmul_precision.precision for cfg in (off, on, some)] == ['highest', 'high', 'highest']
    assert [cfg.optim_wrapper.get('type') for cfg in (off, some)] == [None, 'BFloat16OptimWrapper']
    assert [cfg.test_cfg.get('fp16', False) for cfg in (off, some)] == [False, True]
    with pytest.raises(ValueError, match="no option 'fast'"):
        benchmark.option_names('amp+fast')


def test_ratio_is_paired():
    """Twice as slow in each round, however slow the round: the ratio of the medians, 9 / 2, would be wrong."""
    assert benchmark.ratio([2, 18, 200], [1, 9, 100]) == 2
    assert benchmark.ratio([2, 9, 200], [1, 9, 50]) == 2


def test_competitors_take_turns():
    order = []
    results = benchmark.interleave({name: lambda name=name: order.append(name) or len(order) for name in 'ab'}, 2, '')
    assert order == ['a', 'b', 'a', 'b']
    assert results == dict(a=[1, 3], b=[2, 4])


def test_stages_are_those_of_the_pipeline(root):
    stages = benchmark.time_stages(benchmark.build_dataset(tiny(root).train_dataloader), 3)
    assert list(stages) == [
        'annotation', 'LoadTrainImage', 'GetBBoxCenterScale', 'RandomFlip', 'FastRandomBBoxTransform',
        'FastTopdownAffine', 'PackKeypointInputs',
    ]  # fmt: skip
    assert all(seconds > 0 for seconds in stages.values())


@pytest.mark.slow
def test_training_and_prediction_of_a_competitor(root):
    competitor = benchmark.Competitor(tiny(root), 'cpu', train=True)
    before = [parameter.clone() for parameter in competitor.model.parameters()]
    assert competitor.timed(1) > 0
    assert any(not torch.equal(old, new) for old, new in zip(before, competitor.model.parameters()))
    # twice the images, twice the operations
    large = benchmark.Competitor(tiny(root, batch_size=4), 'cpu', train=True)
    assert large.count_flops() == 2 * competitor.count_flops() > 0
    tester = benchmark.Competitor(tiny(root), 'cpu', train=False)
    assert [sample.pred_instances.keypoints.shape for sample in tester.run()] == [(1, 17, 2)] * 2
    tester.model.backbone.register_forward_hook(lambda *_: recorded.append(torch.is_grad_enabled()))
    recorded = []
    tester.run()
    assert recorded == [False]  # as in tools/test.py
    batches = benchmark.load_batches(tiny(root).train_dataloader, 0)
    seconds, share = benchmark.time_loader(competitor, batches, 1, ready=1)
    assert seconds > 0
    assert 0 < share < 1


def test_the_peak_is_of_the_fastest_product(monkeypatch):
    timer = SimpleNamespace(blocked_autorange=lambda min_run_time: SimpleNamespace(times=[0.7, 0.5, 0.6]))
    monkeypatch.setattr(benchmark, 'Timer', lambda *_, **__: timer)
    assert benchmark.measure_peak('cpu', 'fp32') == 2 * 2048**3 / 0.5  # a product and a sum for each
