import json
from pathlib import Path

import pytest

from tests.repository import load_tool

tool = load_tool('benchmark')


def test_the_table_is_aligned_and_has_three_digits():
    rows = [dict(model='a', ms=1234.5, times_baseline=None), dict(model='bcd', ms=0.01234, share=1.0)]
    assert tool.format_table(rows).splitlines() == [
        '| model | ms     | times baseline | share |',
        '| ----- | ------ | -------------- | ----- |',
        '| a     | 1234   | -              | -     |',
        '| bcd   | 0.0123 | -              | 1     |',
    ]


def test_models_have_configs_and_options_a_precision():
    assert Path(tool.config_path('mmpose')).is_file()
    assert all(Path(tool.config_path(name)).is_file() for name in tool.MODELS)
    assert [tool.backbone_of(name) for name in ('ap10k/clamp_vitb', 'mmpose')] == ['vitb', 'r50']
    expected = {'': 'tf32', 'off': 'fp32', 'on': 'bf16', 'fused+tf32': 'tf32'}
    assert {options: tool.precision_of(options, 'cuda') for options in expected} == expected
    assert tool.precision_of('', 'cpu') == 'fp32'


def test_a_wrong_name_ends_it_before_any_work(capsys):
    with pytest.raises(SystemExit, match=r'no config .*nothing'):
        tool.main(['--models', 'demo/nothing'])
    with pytest.raises(SystemExit, match="no option 'fats'"):
        tool.main(['--options', 'fats'])
    assert capsys.readouterr().out == ''


@pytest.mark.slow
def test_all_sections_of_small_models(tmp_path, capsys):
    models = ['demo/clamp_tiny', 'demo/simplebaseline_tiny']
    options = ['--device', 'cpu', '--batch-size', '2', '--iterations', '1', '--rounds', '1', '--images', '2']
    options += ['--samples', '4', '--workers', '0', '--options', 'off', '--json', str(tmp_path / 'out.json')]
    results = tool.main(['--models', *models, *options])
    assert json.loads((tmp_path / 'out.json').read_text()) == results
    step, inference, data, loader = (results[section] for section in tool.SECTIONS)
    assert [row['model'] for row in step] == [row['model'] for row in inference] == models
    for clamp_row, baseline_row in (step, inference):
        assert clamp_row['times_baseline'] == pytest.approx(clamp_row['ms'] / baseline_row['ms'])
        assert baseline_row['times_baseline'] is None
    assert all(row['share_of_peak'] > 0 for row in step)
    assert 'share_of_peak' not in inference[0]
    rows = {row['stage']: row for row in data}
    assert rows['times as fast']['mmpose'] == 1
    assert rows['GenerateTarget']['ours'] is None
    assert rows['sum']['crops'] == pytest.approx(sum(row['crops'] or 0 for row in data[: list(rows).index('sum')]))
    assert [(row['model'], row['data']) for row in loader] == [(m, d) for m in models for d in ('images', 'crops')]
    assert all(0 < row['share_waiting'] < 1 for row in loader)
    assert '### Training step' in capsys.readouterr().out
