"""Tables of results: their rows as data (tools/tables.json), and what was measured beside the paper's numbers.

A file of tables is JSON: ``{name: {title, metrics, rows, test, make, variant, options}}``. A row is ``{name, config,
paper}`` and may have any of the last four keys of its table too, which then count for that row alone:

- ``config``: the path of a config, from the root of the repository.
- ``paper``: the paper's numbers in percent, in the order of ``metrics``; may be left out.
- ``test``: the annotation file that the row is measured on.
- ``make``: the command that makes the annotation files if they are missing, with ``{seed}`` for the draw.
- ``options``, ``variant``: settings that replace those of the config, and the name of what they make of it.
"""

import json
from pathlib import Path
from statistics import mean, stdev

METRICS = {
    'AP': 'coco/AP', 'AP50': 'coco/AP .5', 'AP75': 'coco/AP .75', 'APM': 'coco/AP (M)', 'APL': 'coco/AP (L)',
    'AR': 'coco/AR',
}  # fmt: skip


def read_tables(path: Path) -> dict[str, dict]:
    """Read a file of tables. Each row gets what its table says of all rows, and a ``key``: its name in commands.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no JSON, or two rows of a table have the same key.
    """
    try:
        tables = json.loads(path.read_text(encoding='utf-8'))
    except ValueError as error:
        raise ValueError(f'{path} is no JSON: {error}') from error
    for name, table in tables.items():
        shared = {key: table[key] for key in ('test', 'make', 'variant', 'options') if key in table}
        table['rows'] = [shared | row for row in table['rows']]
        for row in table['rows']:
            row['key'] = '_'.join(filter(None, (Path(row['config']).stem, row.get('variant'))))
        if len({row['key'] for row in table['rows']}) < len(table['rows']):
            raise ValueError(f'{path}, table {name}: two rows have the same config and variant; name other variants.')
    return tables


def choose(tables: dict[str, dict], name: str, keys: list[str] | None = None) -> dict:
    """Take a table with all its rows, or with those of the given keys.

    Raises:
        ValueError: If there is no such table or row; the message names those there are.
    """
    if name not in tables:
        raise ValueError(f'There is no table {name}; there are {", ".join(tables)}.')
    there = [row['key'] for row in tables[name]['rows']]
    unknown = [key for key in keys or () if key not in there]
    if unknown:
        raise ValueError(f'Table {name} has no row {unknown[0]}; it has {", ".join(there)}.')
    return {**tables[name], 'rows': [row for row in tables[name]['rows'] if not keys or row['key'] in keys]}


def summarize(table: dict, results: dict[str, list[dict]]) -> dict:
    """Put what was measured beside the paper's numbers.

    Args:
        table (dict): A table as :func:`choose` returns it.
        results (dict[str, list[dict]]): By the row's key, the results of its runs, each with ``metrics`` as MMPose's
            CocoMetric returns them (in [0, 1], -1 where nothing could be measured) and ``data``.

    Returns:
        dict: ``title``, ``metrics``, and for each row ``name``, ``key``, ``test``, ``ours`` and ``paper`` by metric, in
        percent, and its ``runs``. ``ours`` has n, the mean, and the sample standard deviation (None if n < 2).

    Raises:
        ValueError: If rows that are measured on one annotation file have results on different contents of it.
    """
    contents, rows = {}, []
    for row in table['rows']:
        runs = results.get(row['key'], [])
        for run in runs:
            digest = run['data']['test']['sha256']
            if contents.setdefault(row['test'], digest) != digest:
                raise ValueError(f'The results are of different contents of {row["test"]}; they make no one table.')
        ours = {name: statistics([run['metrics'][METRICS[name]] for run in runs]) for name in table['metrics']}
        paper = dict(zip(table['metrics'], row.get('paper', ())))
        rows.append({key: row[key] for key in ('name', 'key', 'test')} | {'ours': ours, 'paper': paper, 'runs': runs})
    return {'title': table['title'], 'metrics': table['metrics'], 'rows': rows}


def statistics(values: list[float]) -> dict:
    """Number, mean and sample standard deviation of fractions, in percent; -1 is what could not be measured."""
    percent = [100 * value for value in values if value >= 0]
    return {
        'n': len(percent),
        'mean': mean(percent) if percent else None,
        'std': stdev(percent) if len(percent) > 1 else None,
    }


def to_markdown(summary: dict) -> str:
    """Write a summary as a Markdown table: ``mean ± std (the paper's number)``."""
    tests = sorted({row['test'] for row in summary['rows']})
    head = ['row', 'config', *(['tested on'] if len(tests) > 1 else []), 'seeds', *summary['metrics']]
    lines = [head, ['---'] * len(head)]
    for row in summary['rows']:
        tested_on = [Path(row['test']).stem] if len(tests) > 1 else []
        cells = [cell(row['ours'][name], row['paper'].get(name)) for name in summary['metrics']]
        seeds = ' '.join(str(run['seed']) for run in row['runs']) or '-'
        lines.append([row['name'], row['key'], *tested_on, seeds, *cells])
    runs = [run for row in summary['rows'] for run in row['runs']]
    commits = sorted({start['commit'] for run in runs for start in run['starts']})
    brackets = "; the paper's number in brackets" if any(row['paper'] for row in summary['rows']) else ''
    notes = [f'Mean ± sample standard deviation over the seeds, last epoch, in percent{brackets}.']
    for file, digest in sorted({tuple(run['data']['test'].values()) for run in runs}):
        notes.append(f'Tested on `{file}` (SHA-256 {digest[:12]}).')
    notes += [f'Commit {commit}.' for commit in commits]
    table = '\n'.join(f'| {" | ".join(line)} |' for line in lines)
    return f'**{summary["title"]}**\n\n{table}\n\n{" ".join(notes)}\n'


def cell(ours: dict, paper: float | None) -> str:
    """Write one number of ours beside the paper's."""
    text = '-' if ours['mean'] is None else f'{ours["mean"]:.1f}'
    text += '' if ours['std'] is None else f' ± {ours["std"]:.1f}'
    return text if paper is None else f'{text} ({paper})'


def to_text(name: str, table: dict) -> str:
    """Name a table's rows, each by its key first."""
    rows = (f'    {row["key"]:42} {row["name"]}' for row in table['rows'])
    return '\n'.join([f'{name}: {table["title"]}', *rows])
