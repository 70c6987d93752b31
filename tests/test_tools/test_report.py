"""The report from the command line, on drawn animals and a small CLAMP and SimpleBaseline with random weights."""

import json
import re

import numpy as np
import pytest

from clamp.report.page import spread_over
from tests.repository import ROOT, load_tool
from tests.tiny_models import save_checkpoint

CONFIGS = [str(ROOT / f'configs/demo/{name}_tiny.py') for name in ('clamp', 'simplebaseline')]


def test_errors_are_one_line(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    args = [CONFIGS[0], CONFIGS[0], '--cfg-options', 'test_dataloader.dataset.data_root=nowhere/']
    with pytest.raises(SystemExit, match=r'^error: [^\n]*nowhere/annotations/[^\n]*$'):
        load_tool('report').main(args)
    assert list(tmp_path.iterdir()) == []


def test_the_gallery_spreads_over_oks():
    assert spread_over(np.array([0.5, 0.1, 0.9, 0.3, 0.7]), 3).tolist() == [0, 1, 2]
    assert spread_over(np.array([0.5, 0.1]), 9).tolist() == [0, 1]


@pytest.fixture(scope='module')
def data_options(tmp_path_factory) -> list[str]:
    """Options that put 12 drawn images, one species with a hostile name, in place of the demo's test data."""
    from clamp.datasets.synthetic import generate_dataset

    root = tmp_path_factory.mktemp('data')
    generate_dataset(root, 1, 12)
    path = root / 'annotations/ap10k-val-split1.json'
    coco = json.loads(path.read_text())
    used = {ann['category_id'] for ann in coco['annotations']}
    next(category for category in coco['categories'] if category['id'] in used)['name'] = '</script><b>cow'
    path.write_text(json.dumps(coco))
    options = [f'test_dataloader.dataset.data_root={root}/', f'test_evaluator.ann_file={path}']
    return [*options, 'test_dataloader.num_workers=0', 'test_dataloader.persistent_workers=False']


@pytest.fixture(scope='module')
def checkpoints(tmp_path_factory) -> list[str]:
    folder = tmp_path_factory.mktemp('checkpoints')
    return [save_checkpoint(config, folder / f'{seed}.pth', seed, peaks=True) for seed, config in enumerate(CONFIGS)]


def page_data(page: str) -> dict:
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.S)[1])


@pytest.mark.slow
def test_report_of_two_runs(data_options, checkpoints, tmp_path, capsys):
    out = tmp_path / 'report.html'
    against = ['--against', CONFIGS[1], checkpoints[1]]
    load_tool('report').main(
        [CONFIGS[0], checkpoints[0], *against, '--out', str(out), '--gallery', '9', '--cfg-options', *data_options]
    )
    page, said = out.read_text(), capsys.readouterr().out.splitlines()
    assert [line.split(':')[0] for line in said[:2]] == ['clamp_tiny', 'simplebaseline_tiny']
    assert len(said) == 5  # MMEngine would print both configs, a thousand lines
    assert '12 images alone' in page
    assert said[2].startswith('12 images alone')
    assert '<span>0</span><span>50</span><span>100</span>' in page  # what the bars are read by
    metrics = tmp_path / 'metrics.json'
    load_tool('test').main(
        [CONFIGS[0], checkpoints[0], '--out', str(metrics), '--work-dir', str(tmp_path), '--cfg-options', *data_options]
    )
    for name, value in json.loads(metrics.read_text()).items():
        assert f'{name}</th><td class="number">{value:.6f}' in page
    assert not re.search(r'(src|href)="(?!#|data:)', page)  # nothing is loaded
    assert '</script><b>cow' not in page
    data = page_data(page)
    assert len(data['animals']) == 9
    assert [run['mapName'] for run in data['runs']] == ['score map', 'heatmap']
    animal = data['animals'][0]
    assert len(animal['places']) == 2 * len(data['keypoints'])
    left, top, right, bottom = animal['runs'][1]['mapPlace']
    assert (left, top, right, bottom) == (0, 0, 1000, 1000)


@pytest.mark.slow
def test_runs_on_other_animals_are_not_compared(data_options, checkpoints, tmp_path):
    from clamp.report.analysis import same_animals
    from clamp.report.collect import collect

    tool = load_tool('report')
    options = dict(option.split('=') for option in data_options[:2])
    options |= {'test_dataloader.num_workers': 0, 'test_dataloader.persistent_workers': False}
    run = collect(tool.load_config(CONFIGS[0], checkpoints[0], options), checkpoints[0], 'one', '')
    other = type(run)(**vars(run) | dict(name='two', annotation_ids=run.annotation_ids[1:]))
    with pytest.raises(ValueError, match='one and two were tested on different animals'):
        same_animals(run, other)
    sigmas = dict(run.metainfo, sigmas=2 * run.metainfo['sigmas'])
    with pytest.raises(ValueError, match='one and two were tested with different sigmas'):
        same_animals(run, type(run)(**vars(run) | dict(name='two', metainfo=sigmas)))
    backwards = type(run)(**vars(run) | dict(annotation_ids=run.annotation_ids[::-1], keypoints=run.keypoints[::-1]))
    assert (same_animals(run, backwards).keypoints == run.keypoints).all()
