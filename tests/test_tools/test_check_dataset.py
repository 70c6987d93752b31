"""The tool around the checks: configs, exit status, table and JSON. The checks: tests/test_datasets/test_audit.py"""

import json
import shutil
from pathlib import Path

import pytest

from tests.repository import DEMO, ROOT, load_tool
from tests.tiny_data import make_part

SAMPLE = ROOT.parent / 'shared/data/ap10k-sample'


tool = load_tool('check_dataset')


@pytest.fixture
def parts(tmp_path):
    return [make_part('train', 1, tmp_path), make_part('val', 11, tmp_path)]


CONFIG = """
keypoint_names = ['left eye', 'right eye', 'nose']
metainfo = dict(from_file='{root}/metainfo.py')
train_dataloader = dict(dataset=dict(
    type='X', data_root='{root}', ann_file='train.json', data_prefix=dict(img=''), metainfo=metainfo))
val_dataloader = dict(dataset=dict(type='X', data_root='{root}', ann_file='val.json', {extra}))
test_dataloader = val_dataloader
val_evaluator = dict(type='CocoMetric', ann_file='{root}/{evaluated}.json')
test_evaluator = [val_evaluator]
"""
METAINFO = """
dataset_info = dict(keypoint_info={0: dict(name='L_Eye', swap='R_Eye'), 1: dict(name='R_Eye', swap='L_Eye'),
                                   2: dict(name='Nose', swap='')})
"""


def write_config(parts, root, evaluated='val', extra=''):
    for part in parts:
        part.ann_file.write_text(json.dumps(part.coco))
    (root / 'metainfo.py').write_text(METAINFO)
    config = root / 'config.py'
    config.write_text(CONFIG.format(root=root, evaluated=evaluated, extra=extra))
    return str(config)


def test_config_exit_status_table_and_json(parts, tmp_path, capsys):
    out = tmp_path / 'out.json'
    assert tool.main([write_config(parts, tmp_path), '--json', str(out)]) == 0
    shown = capsys.readouterr().out
    assert 'no errors, no warnings' in shown
    assert 'Bovidae' in shown
    assert json.loads(out.read_bytes()) == {
        'findings': [],
        'species': {'train': [['cow', 'Bovidae', 2]], 'val': [['cow', 'Bovidae', 2]]},
    }
    out = tmp_path / 'second.json'
    assert tool.main([write_config(parts, tmp_path, 'train', 'indices=[0]'), '--json', str(out), '--fast']) == 1
    assert 'loader and evaluator do not fit' in capsys.readouterr().out
    found = [(f['part'], f['message']) for f in json.loads(out.read_bytes())['findings']]
    assert found == [(part, 'loader and evaluator do not fit') for part in ('val', 'test')]


def test_unusable_arguments(parts, tmp_path, capsys):
    for argv, message in (
        ([str(ROOT / 'pyproject.toml')], 'error: '),
        (['--train', str(ROOT / 'pyproject.toml'), '--img-root', '.'], 'pyproject.toml'),
    ):
        assert tool.main(argv) == 2
        error = capsys.readouterr().err
        assert message in error
        assert error.count('\n') == 1
    config, photographs = DEMO, ['--against', str(tmp_path)]
    for argv, message in (
        ([], 'give a config, or annotation files'),
        (['--train', 'pyproject.toml'], 'give a config, or annotation files'),
        (['no.py'], 'no.py is not there'),
        (['--train', 'no.json', '--img-root', '.'], 'no.json is not there'),
        ([config, '--list', str(tmp_path / 'shared.json')], '--list goes with --against'),
        ([config, *photographs, '--fast'], 'leave --json and --fast out'),
    ):
        with pytest.raises(SystemExit) as exit_:
            tool.main(argv)
        assert exit_.value.code == 2
        assert message in capsys.readouterr().err


def test_a_config_with_some_of_the_keypoints_is_refused(parts, tmp_path, capsys):
    config = Path(write_config(parts, tmp_path))
    converter = "dict(type='KeypointConverter', num_keypoints=2, mapping=[(0, 0), (1, 1)])"
    config.write_text(config.read_text() + f"train_dataloader['dataset']['pipeline'] = [{converter}]\n")
    assert tool.main([str(config)]) == 2
    assert 'takes some of the keypoints' in capsys.readouterr().err


def swap_sides(coco):
    names = coco['categories'][25]['keypoints']
    swapped = {'left': 'right', 'right': 'left'}
    coco['categories'][25]['keypoints'] = ['_'.join(swapped.get(w, w) for w in name.split('_')) for name in names]


@pytest.mark.skipif(not SAMPLE.is_dir(), reason='needs the AP-10K sample')
def test_broken_copy_of_ap10k(tmp_path, capsys):
    root = Path(shutil.copytree(SAMPLE, tmp_path / 'ap10k'))
    argv = ['--train', str(root / 'test_ap10k.json'), '--img-root', str(root), '--metainfo', 'ap10k']
    assert tool.main(argv) == 0
    assert 'no errors, no warnings' in capsys.readouterr().out
    coco = json.loads((root / 'test_ap10k.json').read_bytes())
    (root / '000000000004.jpg').unlink()
    coco['annotations'].append(coco['annotations'][1])
    swap_sides(coco)
    del coco['categories'][0]
    (root / 'test_ap10k.json').write_text(json.dumps(coco))
    assert tool.main([*argv, '--json', str(tmp_path / 'out.json')]) == 1
    found = {f['message']: f['examples'] for f in json.loads((tmp_path / 'out.json').read_bytes())['findings']}
    assert found.pop('category: left and right swapped')[0] == "'right_eye' for L_Eye"
    assert found == {
        'missing': ['000000000004.jpg'],
        '`id` of `annotations` should be unique': ['6 is that of 2'],
        '`category_id` should be the id of one of `categories`': ['annotation 6: category_id is 1'],
    }
