"""The paper's tables as data, their arithmetic, and runs that are skipped, gone on with, refused or killed."""

import json
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from filelock import FileLock

from clamp.tables import choose, fold_row, read_tables, statistics, summarize, to_markdown
from tests.repository import ROOT, header_command, load_tool

FAKE_TRAIN = """
import shutil, sys
from pathlib import Path
open('calls', 'a').write(' '.join(['train', *sys.argv[2:]]) + chr(10))
if 'clamp_tiny' in sys.argv[1] and Path('out_of_memory').exists():
    sys.exit('no memory left')
work_dir = Path(sys.argv[sys.argv.index('--work-dir') + 1])
work_dir.mkdir(exist_ok=True)
shutil.copy('checkpoint.pth', work_dir / 'epoch_4.pth')
"""
FAKE_TEST = """
import json, re, sys
from pathlib import Path
open('calls', 'a').write(' '.join(['test', sys.argv[2]]) + chr(10))
out = Path(sys.argv[sys.argv.index('--out') + 1])
out.parent.mkdir(exist_ok=True)
seed = int(re.search(r'randomness\\s*=\\s*dict\\(\\s*seed=(\\d+)', Path(sys.argv[1]).read_text())[1])
names = ['AP', 'AP .5', 'AP .75', 'AP (M)', 'AP (L)', 'AR']
open(out, 'x').write(json.dumps({f'coco/{name}': 0.5 + 0.1 * seed for name in names}))  # as test.py: nothing over
"""


reproduce = load_tool('reproduce')
TABLES = read_tables(ROOT / 'tools/tables.json')


def paper(table: str) -> dict[str, list[float]]:
    return {row['key']: row['paper'] for row in TABLES[table]['rows']}


def test_tables_have_the_papers_numbers():
    assert {name: len(table['rows']) for name, table in TABLES.items() if name.isdigit()} == {
        '1': 5, '2': 5, '3': 4, '4': 5, '6': 4, '8': 3, '9': 2, '10': 8, '11': 10,
    }  # fmt: skip
    assert paper('1')['clamp_vitb'] == [74.3, 95.8, 81.4, 47.6, 74.9, 77.5]
    assert paper('4')['simplebaseline_r50'] == [70.8, 94.8, 79.5, 67.3, 72.0, 75.0]
    assert list(paper('6').values()) == [[70.9, 74.1], [72.1, 75.3], [72.6, 75.8], [72.9, 76.3]]
    assert list(paper('8').values()) == [[72.6], [72.8], [74.3]]
    assert paper('9')['clamp_vitl'] == [77.8, 96.8, 85.0, 58.7, 78.1, 81.0]
    assert [paper('11')[f'clamp_vitb_{k}pct'] for k in (1, 2, 3, 5, 10)] == [[53.1], [56.8], [57.6], [59.5], [62.7]]
    number = r' \| (\d+\.\d)' * 6
    documented = re.findall(rf'\]\(\.\./configs/ap10k/(\w\S+)\.py\){number}', (ROOT / 'docs/protocols.md').read_text())
    assert len(documented) == 17
    rows = paper('2') | paper('3') | paper('10')
    assert {key: [float(value) for value in values] for key, *values in documented} == rows
    for table in TABLES.values():
        assert all(len(row.get('paper', table['metrics'])) == len(table['metrics']) for row in table['rows'])
        assert all((ROOT / row['config']).is_file() for row in table['rows'])


@pytest.mark.slow
@pytest.mark.parametrize('name', TABLES)
def test_every_row_has_its_config_and_is_tested_on_what_the_table_says(name, tmp_path, monkeypatch):
    monkeypatch.setenv('SPLIT_SEED', '7')
    for run in reproduce.plan(TABLES[name], [3], tmp_path, {}):
        assert run.cfg.randomness.seed == 3
        assert run.folder.name == 'seed3'
        novel = 'fold' in run.row
        drawn = '20shot' in run.row['config'] or 'pct' in run.row['config']
        assert any('-seed3.json' in file for file in run.annotations['train']) == drawn  # the seed is the draw's, too
        if 'make_splits' in run.row.get('make', ''):
            documented = header_command(
                ROOT / ('configs/animalpose/clamp_lite0-minilm_novel.py' if novel else run.row['config'])
            )
            documented = [run.row['fold'] if novel and word == 'cat' else word for word in documented]
            assert shlex.split(run.row['make'].format(seed=0))[1:] == documented


def test_statistics_by_hand():
    assert statistics([0.5, 0.52, 0.6]) == pytest.approx({'n': 3, 'mean': 54.0, 'std': 28**0.5})  # n - 1, not n
    assert statistics([0.5]) == {'n': 1, 'mean': 50.0, 'std': None}
    assert statistics([-1.0, -1.0]) == {'n': 0, 'mean': None, 'std': None}  # COCOeval: there are no such animals


def result(seed: int, ap: float, digest: str = 'ab' * 32) -> dict:
    data = {'test': {'file': 'val.json', 'sha256': digest}}
    return dict(seed=seed, data=data, starts=[dict(commit='c0ffee')], metrics={'coco/AP': ap, 'coco/AP (M)': -1.0})


def small_table(**changes) -> dict:
    rows = [
        dict(name='Baseline', key='baseline', test='val.json', paper=[70.9, 44.8]),
        dict(name='Ours', key='ours', test='val.json'),
    ]
    return dict(title='A table', metrics=['AP', 'APM'], rows=[row | changes.get(row['key'], {}) for row in rows])


def test_markdown_has_mean_deviation_and_the_papers_number():
    summary = summarize(small_table(), dict(baseline=[result(0, 0.701), result(2, 0.715)], ours=[result(0, 0.73)]))
    assert to_markdown(summary) == (
        '**A table**\n\n'
        '| row | config | seeds | AP | APM |\n'
        '| --- | --- | --- | --- | --- |\n'
        '| Baseline | baseline | 0 2 | 70.8 ± 1.0 (70.9) | - (44.8) |\n'
        '| Ours | ours | 0 | 73.0 | - |\n\n'
        "Mean ± sample standard deviation over the seeds, last epoch, in percent; the paper's number in brackets. "
        'Tested on `val.json` (SHA-256 abababababab). Commit c0ffee.\n'
    )
    elsewhere = summarize(small_table(ours=dict(test='splits/val_cats.json')), {})
    assert '| Ours | ours | val_cats | - | - | - |' in to_markdown(elsewhere)


def folded_table() -> dict:
    rows = [
        dict(name='Ours', group='ours', key=f'ours_{fold}', fold=fold, test=f'{fold}.json') for fold in ('cat', 'dog')
    ]
    return dict(title='Folds', metrics=['AP', 'novel/PCK'], folds=['cat', 'dog'], rows=rows)


def test_a_fold_is_in_all_commands_of_its_row():
    row = fold_row(dict(config='a/b.py', test='{fold}.json', make=['make {fold} {seed}', 'check {fold}']), 'cat')
    assert (row['key'], row['test'], row['make']) == ('b_cat', 'cat.json', ['make cat {seed}', 'check cat'])


def test_a_table_with_folds_has_their_means():
    """By seed, of the seeds that all folds have; what a fold did not measure has no mean."""
    results = dict(
        ours_cat=[result(0, 0.2, 'aa' * 32), result(1, 0.3, 'aa' * 32)],
        ours_dog=[result(0, 0.4, 'bb' * 32), result(1, 0.7, 'bb' * 32), result(2, 0.9, 'bb' * 32)],
    )
    for run in results['ours_dog']:
        run['metrics']['novel/PCK'] = 0.5
    summary = summarize(folded_table(), results)
    assert [row['ours']['AP']['n'] for row in summary['rows']] == [2, 3]
    (row,) = summary['means']
    assert row['ours']['AP'] == pytest.approx(dict(n=2, mean=40.0, std=200**0.5))  # of 30 and 50
    assert row['ours']['novel/PCK'] == dict(n=0, mean=None, std=None)
    assert '| Ours | ours | 0 1 | 40.0 ± 14.1 | - |' in to_markdown(summary)
    assert 'Each is the mean of cat, dog.' in to_markdown(summary)
    assert '| Ours | ours | - | - | - |' in to_markdown(summarize(folded_table(), {}))
    other = dict(row, test='mean of cat')  # by --rows; then a column says what each is the mean of
    assert 'Each is' not in to_markdown(summary | dict(means=[row, other]))


def test_folds_are_rows_of_one_group(tmp_path):
    row = dict(name='Ours', config='configs/demo/clamp_tiny.py', make='tool --species {fold} --seed {seed}')
    path = tmp_path / 'tables.json'
    path.write_text(
        json.dumps(dict(new=dict(title='', metrics=[], folds=['cat', 'dog'], test='{fold}.json', rows=[row])))
    )
    table = read_tables(path)['new']
    assert [row['key'] for row in table['rows']] == ['clamp_tiny_cat', 'clamp_tiny_dog']
    assert [row['test'] for row in table['rows']] == ['cat.json', 'dog.json']
    assert table['rows'][1]['make'] == 'tool --species dog --seed {seed}'
    assert len(choose(dict(new=table), 'new', ['clamp_tiny'])['rows']) == 2
    assert len(choose(dict(new=table), 'new', ['clamp_tiny_dog'])['rows']) == 1
    with pytest.raises(ValueError, match='has no row clamp; it has clamp_tiny, clamp_tiny_cat, clamp_tiny_dog'):
        choose(dict(new=table), 'new', ['clamp'])


def test_results_on_different_annotations_make_no_table(tmp_path):
    results = dict(baseline=[result(0, 0.7)], ours=[result(0, 0.7, digest='cd' * 32)])
    with pytest.raises(ValueError, match=r'different contents of val\.json'):
        summarize(small_table(), results)
    (row,) = [row for row in TABLES['1']['rows'] if row['key'] == 'clamp_r50']
    row = row | dict(options={'test_dataloader.dataset.ann_file': 'annotations/ap10k-test-split1.json'})
    with pytest.raises(ValueError, match=r'is tested on .*ap10k-test-split1\.json, but the table says .*val-split1'):
        reproduce.plan(dict(rows=[row]), [0], tmp_path, {})


@pytest.fixture
def workplace(tmp_path, monkeypatch) -> Path:
    """A folder with the least data that passes the checks, and tools that only look as if they trained."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('SPLIT_SEED', '0')  # restored after the test
    write_data(Path('data/demo'))
    torch.save(dict(state_dict={}), 'checkpoint.pth')
    for name, content in (('TRAIN', FAKE_TRAIN), ('TEST', FAKE_TEST)):
        path = tmp_path / f'{name.lower()}.py'
        path.write_text(content)
        monkeypatch.setattr(reproduce, name, path)
    return tmp_path


def write_data(root: Path) -> None:
    annotation = dict(id=1, image_id=1, category_id=1, keypoints=[1, 1, 2] * 17, bbox=[0, 0, 9, 9])
    image = dict(id=1, file_name='1.jpg', width=64, height=48)
    coco = dict(images=[image], annotations=[annotation], categories=[dict(id=1, name='dog')])
    for folder in ('annotations', 'data'):
        (root / folder).mkdir(parents=True)
    (root / 'data/1.jpg').touch()
    for part in ('train', 'val'):
        (root / f'annotations/ap10k-{part}-split1.json').write_text(json.dumps(coco))


def calls() -> list[str]:
    path = Path('calls')
    lines = path.read_text().splitlines() if path.exists() else []
    path.unlink(missing_ok=True)
    return lines


def folder(row: str = 'clamp_tiny', seed: int = 0) -> Path:
    return Path(f'work_dirs/reproduce/demo/{row}_4-epochs/seed{seed}')


ONE = ['demo', '--rows', 'clamp_tiny_4-epochs', '--seeds', '0']


def test_a_table_is_trained_once_tested_and_collected(workplace, capsys):
    reproduce.main([*ONE, '1'])
    assert [line.split()[0] for line in calls()] == ['train', 'test'] * 2
    record = json.loads((folder(seed=1) / 'result.json').read_text())
    assert (record['config'], record['seed']) == ('configs/demo/clamp_tiny.py', 1)
    assert record['metrics']['coco/AP'] == 0.6
    assert record['checkpoint'] == str(folder(seed=1) / 'train/epoch_4.pth')
    assert record['data']['test']['file'] == 'data/demo/annotations/ap10k-val-split1.json'
    (start,) = record['starts']
    assert set(start) == {'date', 'commit', 'host', 'device', 'torch'}
    hash_ = rf"sed -E '/^ *(num_workers|persistent_workers|prefetch_factor)=/d' {folder(seed=1)}/config.py | sha256sum"
    assert (
        subprocess.run(hash_, shell=True, capture_output=True, text=True).stdout.split()[0] == record['config_sha256']
    )
    table = Path('work_dirs/reproduce/table_demo.md').read_text()
    assert '| CLAMP | clamp_tiny_4-epochs | 0 1 | 55.0 ± 7.1 |' in table
    assert table in capsys.readouterr().out

    reproduce.main([*ONE, '1', '--cfg-options', 'train_dataloader.num_workers=0'])
    assert calls() == []  # all is done: by how many workers images are read changes no result
    assert Path('work_dirs/reproduce/table_demo.md').read_text() == table


def test_a_run_goes_on_from_the_last_epoch_that_can_be_read(workplace):
    train = folder() / 'train'
    train.mkdir(parents=True)
    content = Path('checkpoint.pth').read_bytes()
    (train / 'epoch_2.pth').write_bytes(content)
    (train / 'epoch_10.pth').write_bytes(content[: len(content) // 2])  # killed while it was written
    reproduce.main(ONE)
    training, test = calls()
    assert training == f'train --work-dir {train} --no-validate --resume {train}/epoch_2.pth'
    assert test == f'test {train}/epoch_4.pth'
    (folder() / 'result.json').unlink()  # killed in the test
    reproduce.main(ONE)
    assert calls() == [test]
    assert len(json.loads((folder() / 'result.json').read_text())['starts']) == 2


@pytest.mark.parametrize('done', [True, pytest.param(False, marks=pytest.mark.slow)])
def test_a_run_of_another_config_or_other_data_is_refused(workplace, done):
    reproduce.main(ONE)
    calls()
    (folder() / ('run.json' if done else 'result.json')).unlink()  # either has what it was begun with
    with pytest.raises(SystemExit, match=r'seed0 was begun with another config .* Delete the folder, or give another'):
        reproduce.main([*ONE, '--cfg-options', 'train_dataloader.batch_size=16'])
    path = Path('data/demo/annotations/ap10k-train-split1.json')
    path.write_text(path.read_text() + ' ')
    with pytest.raises(SystemExit, match='was begun with other annotations'):
        reproduce.main(ONE)
    assert calls() == []
    reproduce.main([*ONE, '--work-dir', 'elsewhere'])
    assert Path('elsewhere/table_demo.md').is_file()


def test_runs_of_another_machine_count_as_done(workplace, capsys):
    reproduce.main([*ONE, '--work-dir', 'there'])
    calls()
    both = ['demo', '--seeds', '0', '--also', 'there/table_demo.json']
    capsys.readouterr()
    reproduce.main([*both, '--dry-run'])
    assert capsys.readouterr().out.endswith('demo/clamp_tiny_4-epochs seed 0: done\n')
    reproduce.main([*both, '--report'])
    assert calls() == []
    assert '| SimpleBaseline | simplebaseline_tiny_4-epochs | - | - |' in capsys.readouterr().out
    tables = [json.loads(Path(path, 'table_demo.json').read_text()) for path in ('work_dirs/reproduce', 'there')]
    assert tables[0]['rows'][1:] == tables[1]['rows']
    reproduce.main(both)
    assert ['clamp_tiny' in line for line in calls()] == [False, False]  # SimpleBaseline's training and test alone
    assert not folder().exists()


def test_runs_of_another_machine_are_of_the_same_config_and_data(workplace):
    reproduce.main([*ONE, '--work-dir', 'there'])
    calls()
    also = ['--also', 'there/table_demo.json']
    ours = 'clamp_tiny_4-epochs seed 0 in a table of --also'
    with pytest.raises(SystemExit, match=f'{ours} was begun with another config'):
        reproduce.main([*ONE, *also, '--cfg-options', 'train_dataloader.batch_size=16'])
    path = Path('data/demo/annotations/ap10k-val-split1.json')
    path.write_text(path.read_text() + ' ')
    with pytest.raises(SystemExit, match=f'{ours} was begun with other annotations .* Leave that table out'):
        reproduce.main([*ONE, *also])
    for content in ('', '{}', '{"rows": [{"key": "a", "runs": [{"seed": 0}]}]}'):
        Path('there/table_demo.json').write_text(content)
        with pytest.raises(SystemExit, match=r'table_demo\.json is no table that tools/reproduce.py has written: '):
            reproduce.main([*ONE, *also])
    assert calls() == []
    assert not Path('work_dirs').exists()


@pytest.mark.parametrize(
    ('name', 'message'),
    [
        ('run.json', r'run.json is damaged .* Delete the folder .*seed0, or'),
        ('result.json', r'result.json is damaged .* Delete it, and the run is tested again'),
    ],
)
@pytest.mark.parametrize('content', ['', '{}', '3'])
def test_a_damaged_record_is_named_before_anything_is_done(workplace, name, message, content):
    folder().mkdir(parents=True)
    (folder() / name).write_text(content)
    with pytest.raises(SystemExit, match=message):
        reproduce.main([*ONE, '1'])
    assert calls() == []


@pytest.mark.parametrize(
    ('tables', 'message'),
    [
        ([], 'Expected `object`, got `array`'),
        ({'a': {}}, r'missing required field `title` - at `\$\[...\]`'),
        (dict(a=dict(title='', metrics=[], rows=[])), r'length >= 1 - at `\$\[...\].rows`'),
        (dict(a=dict(title='', metrics='AP', rows=[dict(name='', config='a.py')])), r'\.metrics`'),
        (
            dict(a=dict(title='', metrics=[], rows=[dict(name='', config='a.py', optoins={})])),
            'unknown field `optoins`',
        ),
        (dict(a=dict(title='', metrics=[], rows=[dict(name='', config='a.py')])), 'table a: a has no `test`'),
    ],
)
def test_tables_of_another_form_are_refused(tables, message, tmp_path):
    (tmp_path / 'tables.json').write_text(json.dumps(tables))
    with pytest.raises(ValueError, match=f'tables.json.*{message}'):
        read_tables(tmp_path / 'tables.json')


def test_a_failed_run_is_named_and_the_others_go_on(workplace, capsys):
    Path('out_of_memory').touch()
    with pytest.raises(SystemExit, match='error: 1 of 2 runs failed'):
        reproduce.main(['demo', '--seeds', '0'])
    captured = capsys.readouterr()
    assert re.search(r'error: demo/clamp_tiny_4-epochs seed 0: train.py failed \(1\).*\nno memory left\n', captured.err)
    assert '| SimpleBaseline | simplebaseline_tiny_4-epochs | 0 | 50.0 |' in captured.out
    assert '| CLAMP | clamp_tiny_4-epochs | - | - |' in captured.out
    Path('out_of_memory').unlink()
    calls()
    reproduce.main(['demo', '--seeds', '0'])
    assert len(calls()) == 2  # the one that failed


def test_a_training_that_leaves_no_last_epoch_has_failed(workplace, capsys):
    Path('checkpoint.pth').write_bytes(b'cut short')
    with pytest.raises(SystemExit, match='error: 1 of 1 runs failed'):
        reproduce.main(ONE)
    assert 'seed 0: the training ended, but left no readable epoch_4.pth.' in capsys.readouterr().err
    assert [line.split()[0] for line in calls()] == ['train']


def test_two_processes_do_not_share_a_run(workplace, capsys):
    folder().mkdir(parents=True)
    with FileLock(folder() / 'lock'), pytest.raises(SystemExit, match='1 of 2 runs failed'):
        reproduce.main(['demo', '--seeds', '0'])
    assert 'error: demo/clamp_tiny_4-epochs seed 0: another process is at work in' in capsys.readouterr().err
    assert len(calls()) == 2


def test_a_dry_run_says_what_would_be_done_and_does_nothing(workplace, capsys):
    reproduce.main([*ONE, '--dry-run'])
    assert capsys.readouterr().out == 'demo/clamp_tiny_4-epochs seed 0: train epochs 1 to 4, test\n'
    assert calls() == []
    assert not Path('work_dirs').exists()
    Path('data/demo').rename('data/away')
    reproduce.main([*ONE, '--dry-run'])
    assert ': python tools/make_demo_data.py, train epochs 1 to 4, test\n' in capsys.readouterr().out


def test_missing_annotations_are_made(workplace, capsys):
    source = Path('data/away')
    Path('data/demo').rename(source)
    make = workplace / 'make.py'
    make.write_text("import shutil, sys; assert sys.argv[1:] == ['0']; shutil.copytree('data/away', 'data/demo')")
    table = TABLES['demo'] | dict(make=f'{make} {{seed}}')
    made_here = ('make', 'key', 'group')
    table['rows'] = [{key: row[key] for key in row if key not in made_here} for row in table['rows']]
    Path('tables.json').write_text(json.dumps(dict(demo=table)))
    reproduce.main([*ONE, '--tables', 'tables.json'])
    assert len(calls()) == 2


def test_a_command_may_read_what_one_before_it_makes(workplace, capsys):
    Path('data/demo').rename('data/away')
    Path('copy.py').write_text('import shutil, sys; shutil.copytree(*sys.argv[1:3])')
    tables = json.loads((ROOT / 'tools/tables.json').read_bytes())
    copy = workplace / 'copy.py'
    tables['demo']['make'] = [f'{copy} data/away data/between', f'{copy} data/between data/demo data/between/a.json']
    Path('data/away/a.json').touch()
    Path('tables.json').write_text(json.dumps(tables))
    reproduce.main([*ONE, '--tables', 'tables.json', '--dry-run'])
    reproduce.main([*ONE, '--tables', 'tables.json'])
    assert len(calls()) == 2


def test_annotations_that_cannot_be_made_are_named(workplace):
    Path('data/demo').rename('data/away')
    Path('make.py').write_text("raise SystemExit('no disk')")
    tables = json.loads((ROOT / 'tools/tables.json').read_bytes())
    tables['demo']['make'] = str(workplace / 'make.py')
    Path('tables.json').write_text(json.dumps(tables))
    with pytest.raises(SystemExit, match=r'error: python .*make\.py failed; its message is above\.'):
        reproduce.main([*ONE, '--tables', 'tables.json'])
    assert calls() == []


@pytest.mark.parametrize(
    ('args', 'message'),
    [
        (['5'], 'There is no table 5; there are 1, 2, 3, 4, 6'),
        (['9', '--rows', 'clamp_vitb'], 'Table 9 has no row clamp_vitb; it has simplebaseline_vitl, clamp_vitl'),
        (['8', '--seeds', '0'], 'data/ap10k/annotations/ap10k-train-split1.json is not there'),
        (
            ['2', '--rows', 'clamp_r50_20shot', '--seeds', '0'],
            'data/ap10k/annotations/ap10k-train-split1.json is not there',
        ),
        ([*ONE, '--cfg-options', 'model.head.out_channels=16'], 'model.head.out_channels is 16'),
    ],
)
def test_errors_are_one_line_before_anything_is_done(args, message, workplace):
    with pytest.raises(SystemExit) as error:
        reproduce.main(args)
    assert str(error.value).startswith('error: ')
    assert message in str(error.value)
    assert '\n' not in str(error.value)
    assert calls() == []
    assert not Path('work_dirs').exists()


def is_running(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        return Path(f'/proc/{pid}/stat').read_text().rsplit(')', 1)[1].split()[0] != 'Z'
    except FileNotFoundError:
        return False


@pytest.fixture
def tiny_tables(tmp_path, monkeypatch) -> Path:
    """A table of one row: the demo's CLAMP on 24 drawn images, 3 epochs."""
    from clamp.datasets.synthetic import generate_dataset

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('SPLIT_SEED', '0')
    monkeypatch.setenv('OMP_NUM_THREADS', '1')
    generate_dataset('data/demo', 24, 8, num_workers=1)
    options = {'train_cfg.max_epochs': 3, 'train_dataloader.batch_size': 4}
    for part in ('train', 'val', 'test'):
        options |= {f'{part}_dataloader.num_workers': 0, f'{part}_dataloader.persistent_workers': False}
    table = {**TABLES['demo'], 'variant': 'tiny', 'options': options}
    table['rows'] = [dict(name='CLAMP', config='configs/demo/clamp_tiny.py')]
    path = tmp_path / 'tables.json'
    path.write_text(json.dumps(dict(tiny=table)))
    return path


@pytest.mark.slow
def test_a_table_cut_off_by_sigkill_ends_as_one_that_was_not(tiny_tables):
    args = ['tiny', '--seeds', '0', '--tables', str(tiny_tables), '--work-dir']
    cut, whole = Path('cut/demo/clamp_tiny_tiny/seed0'), Path('whole/demo/clamp_tiny_tiny/seed0')
    with open('log', 'w') as log:
        command = [sys.executable, str(ROOT / 'tools/reproduce.py'), *args, 'cut']
        process = subprocess.Popen(command, stdout=log, stderr=log)
    end = time.monotonic() + 120
    while not (cut / 'train/last_checkpoint').is_file() and process.poll() is None and time.monotonic() < end:
        time.sleep(0.01)
    (training,) = map(int, Path(f'/proc/{process.pid}/task/{process.pid}/children').read_text().split())
    process.kill()
    assert process.wait() == -signal.SIGKILL, Path('log').read_text()
    end = time.monotonic() + 10
    while is_running(training) and time.monotonic() < end:
        time.sleep(0.01)
    assert not is_running(training)
    assert not (cut / 'train/epoch_3.pth').exists()

    for name in ('cut', 'whole'):
        reproduce.main([*args, name])
    assert re.search(r'resumed epoch: [12], ', (cut / 'train.log').read_text())
    tables = [json.loads(Path(name, 'table_tiny.json').read_text()) for name in ('cut', 'whole')]
    assert tables[0]['rows'][0]['ours'] == tables[1]['rows'][0]['ours']
    weights = [torch.load(run / 'train/epoch_3.pth', weights_only=True)['state_dict'] for run in (cut, whole)]
    assert weights[0].keys() == weights[1].keys()
    different = [key for key in weights[0] if not torch.equal(weights[0][key], weights[1][key])]
    assert different == []
    results = [json.loads((run / 'result.json').read_text()) for run in (cut, whole)]
    assert results[0]['metrics'] == results[1]['metrics']
    assert [len(result['starts']) for result in results] == [2, 1]


def test_tables_are_listed(capsys):
    reproduce.main(['--list'])
    out = capsys.readouterr().out
    assert all(f'{name}: {table["title"]}' in out for name, table in TABLES.items())
    reproduce.main(['demo', '--list'])
    alone = capsys.readouterr().out
    assert alone in out
    assert all(row['key'] in alone for row in TABLES['demo']['rows'])
    with pytest.raises(SystemExit):
        reproduce.main([])
    assert 'name a table, or --list them' in capsys.readouterr().err
