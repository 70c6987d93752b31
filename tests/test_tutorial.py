"""The notebook runs from its first cell to its last."""

import json
import re
import subprocess
import sys

import pytest

from tests.repository import ROOT


def code_cells() -> list[str]:
    notebook = json.loads((ROOT / 'docs/tutorial.ipynb').read_text(encoding='utf-8'))
    return [''.join(cell['source']) for cell in notebook['cells'] if cell['cell_type'] == 'code']


def run_cell(source: str, names: dict) -> None:
    """Run a cell as Jupyter does: ``!`` begins a command, in which ``{NAME}`` is a variable."""
    source = re.sub(r'^!(.+)$', lambda match: f'run_command(f{match[1]!r})', source, flags=re.MULTILINE)
    exec(compile(source, 'tutorial.ipynb', 'exec'), names)


def run_command(command: str) -> None:
    subprocess.run(command, shell=True, check=True)


@pytest.mark.slow
def test_the_notebook_runs(tmp_path, monkeypatch):
    for name in ('configs', 'tools'):
        (tmp_path / name).symlink_to(ROOT / name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('PYTHONPATH', str(ROOT))
    monkeypatch.setenv('MPLBACKEND', 'agg')
    names = dict(run_command=run_command)
    for source in code_cells():
        run_cell(source, names)
        if 'EPOCHS' in source and names['EPOCHS'] != 1:
            names.update(NUM_TRAIN=40, NUM_VAL=10, EPOCHS=1)
    assert names['PYTHON'] == sys.executable
    for name in ('report.html', 'pose.png', 'metrics.json', 'model/README.md'):
        assert (tmp_path / 'work_dirs/tutorial' / name).stat().st_size > 0


def test_the_notebook_is_kept_without_its_output():
    notebook = json.loads((ROOT / 'docs/tutorial.ipynb').read_text(encoding='utf-8'))
    assert not any(cell.get('outputs') or cell.get('execution_count') for cell in notebook['cells'])
