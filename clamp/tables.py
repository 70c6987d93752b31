"""Tables of results: their rows as data (tools/tables.json), and what was measured beside the paper's numbers.

A file of tables is JSON: ``{name: {title, metrics, rows, folds, test, make, variant, options}}``. A row is ``{name,
config, paper}`` and may have any of the last four keys of its table too, which then count for that row alone:

- ``config``: the path of a config, from the root of the repository.
- ``paper``: the paper's numbers in percent, in the order of ``metrics``; may be left out.
- ``test``: the annotation file that the row is measured on; several, of combined data sets, with `` + `` between them.
- ``make``: the command that makes the annotation files if they are missing, with ``{seed}`` for the draw; or a list.
- ``options``, ``variant``: settings that replace those of the config, and the name of what they make of it.

``metrics`` are the short names of ``METRICS``, or names as the evaluator has them. With ``folds``, a list of words, a
row is run once for each of them: it takes the place of ``{fold}`` in ``test`` and ``make``, and is the environment's
``FOLD`` where the config is read. What stands in the table is the mean over the folds.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Annotated, Any

import msgspec

METRICS = {
    'AP': 'coco/AP', 'AP50': 'coco/AP .5', 'AP75': 'coco/AP .75', 'APM': 'coco/AP (M)', 'APL': 'coco/AP (L)',
    'AR': 'coco/AR',
}  # fmt: skip

ALL_OF = ' + '  # between annotation files of data sets that are combined


class _OfRows(msgspec.Struct, forbid_unknown_fields=True):
    test: str | None = None
    make: str | list[str] | None = None
    variant: str | None = None
    options: dict[str, Any] = {}


class _Row(_OfRows, kw_only=True):
    name: str
    config: str
    paper: list[float] = []


class _Table(_OfRows, kw_only=True):
    title: str
    metrics: list[str]
    rows: Annotated[list[_Row], msgspec.Meta(min_length=1)]
    folds: Annotated[list[str], msgspec.Meta(min_length=1)] | None = None


class _Result(msgspec.Struct):
    seed: int
    config_sha256: str
    data: dict[str, dict[str, str]]
    starts: list[dict[str, str]]
    metrics: dict[str, float]


class _SummaryRow(msgspec.Struct):
    key: str
    runs: list[_Result]


class _Summary(msgspec.Struct):
    rows: list[_SummaryRow]


def read_tables(path: Path) -> dict[str, dict]:
    """Read a file of tables. Each row gets what its table says of all rows, and a ``key``: its name in commands.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no JSON of this form, a row does not say what it is tested on, or two rows of a table have
            the same key.
    """
    try:
        tables = json.loads(path.read_bytes())
        msgspec.convert(tables, dict[str, _Table])
    except msgspec.ValidationError as error:
        raise ValueError(f'{path} is no file of tables, whose form docs/reproduce.md has: {error}') from error
    except ValueError as error:
        raise ValueError(f'{path} is no JSON: {error}') from error
    for name, table in tables.items():
        shared = {key: table[key] for key in ('test', 'make', 'variant', 'options') if key in table}
        folds = table.get('folds', [None])
        table['rows'] = [fold_row(shared | row, fold) for row in table['rows'] for fold in folds]
        if untested := [row['key'] for row in table['rows'] if not row.get('test')]:
            raise ValueError(f'{path}, table {name}: {untested[0]} has no `test`, the annotation file it is tested on.')
        if len({row['key'] for row in table['rows']}) < len(table['rows']):
            raise ValueError(f'{path}, table {name}: two rows have the same config and variant; name other variants.')
    return tables


def fold_row(row: dict, fold: str | None) -> dict:
    """Return a row with its ``key`` and its ``group``, the key that it shares with the row's other folds."""
    group = '_'.join(filter(None, (Path(row['config']).stem, row.get('variant'))))
    if fold is None:
        return row | dict(key=group, group=group)

    def fill(value: str | list[str]) -> str | list[str]:
        return value.replace('{fold}', fold) if isinstance(value, str) else [fill(each) for each in value]

    filled = {key: fill(row[key]) for key in ('test', 'make') if row.get(key)}
    return row | filled | dict(key=f'{group}_{fold}', group=group, fold=fold)


def read_record(path: Path, remedy: str, *keys: str) -> dict:
    """Read what is kept of a run.

    Args:
        path (Path): A JSON file.
        remedy (str): How to go on without it, for the message.
        *keys (str): What it should have besides ``config_sha256`` and ``data``.

    Raises:
        ValueError: If it is no JSON, or lacks something.
    """
    try:
        record = json.loads(path.read_bytes())
        if lacking := [key for key in ('config_sha256', 'data', *keys) if key not in record]:
            raise ValueError(f'there is no {lacking[0]} in it')
    except (ValueError, TypeError) as error:
        raise ValueError(f'{path} is damaged ({error}). {remedy}, or give another --work-dir.') from error
    return record


def read_runs(*paths: Path) -> dict[tuple[str, int], dict]:
    """Read the runs of tables that :func:`summarize` made: by the row's key and the seed, the result of each.

    Raises:
        ValueError: If one is no such table.
    """
    runs = {}
    for path in paths:
        try:
            summary = json.loads(path.read_bytes())
            msgspec.convert(summary, _Summary)
        except ValueError as error:
            raise ValueError(f'{path} is no table that tools/reproduce.py has written: {error}') from error
        runs |= {(row['key'], run['seed']): run for row in summary['rows'] for run in row['runs']}
    return runs


def choose(tables: dict[str, dict], name: str, keys: list[str] | None = None) -> dict:
    """Take a table with all its rows, or with those of the given keys.

    Raises:
        ValueError: If there is no such table or row; the message names those there are.
    """
    if name not in tables:
        raise ValueError(f'There is no table {name}; there are {", ".join(tables)}.')
    rows = tables[name]['rows']
    there = list(dict.fromkeys([row['group'] for row in rows] + [row['key'] for row in rows]))
    unknown = [key for key in keys or () if key not in there]
    if unknown:
        raise ValueError(f'Table {name} has no row {unknown[0]}; it has {", ".join(there)}.')
    return {**tables[name], 'rows': [row for row in rows if not keys or {row['key'], row['group']} & set(keys)]}


def summarize(table: dict, results: dict[str, list[dict]]) -> dict:
    """Put what was measured beside the paper's numbers.

    Args:
        table (dict): A table as :func:`choose` returns it.
        results (dict[str, list[dict]]): By the row's key, the results of its runs, each with ``metrics`` as the
            evaluator returns them (in [0, 1], -1 or absent where nothing could be measured), ``seed`` and ``data``.

    Returns:
        dict: ``title``, ``metrics``, and for each row ``name``, ``key``, ``test``, ``ours`` and ``paper`` by metric, in
        percent, and its ``runs``. ``ours`` has n, the mean, and the sample standard deviation (None if n < 2). With
        folds also ``means``, the same of each group of rows: of the means over its folds, by seed.

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
        ours = {name: statistics([measured(run, name) for run in runs]) for name in table['metrics']}
        paper = dict(zip(table['metrics'], row.get('paper', ())))
        rows.append({key: row[key] for key in ('name', 'key', 'test')} | {'ours': ours, 'paper': paper, 'runs': runs})
    summary = {'title': table['title'], 'metrics': table['metrics'], 'rows': rows}
    return summary | {'means': fold_means(table, results)} if 'folds' in table else summary


def fold_means(table: dict, results: dict[str, list[dict]]) -> list[dict]:
    """Return rows as :func:`summarize` does, one for each group, of the seeds that all its folds have results of."""
    groups: dict[str, list[dict]] = {}
    for row in table['rows']:
        groups.setdefault(row['group'], []).append(row)
    means = []
    for key, rows in groups.items():
        folds = [{run['seed']: run for run in results.get(row['key'], [])} for row in rows]
        seeds = sorted(set.intersection(*map(set, folds)))
        ours = {}
        for name in table['metrics']:
            values = [[measured(fold[seed], name) for fold in folds] for seed in seeds]
            ours[name] = statistics([mean(of_seed) if min(of_seed) >= 0 else -1 for of_seed in values])
        test = f'mean of {", ".join(row["fold"] for row in rows)}'
        paper = dict(zip(table['metrics'], rows[0].get('paper', ())))
        runs = [fold[seed] for seed in seeds for fold in folds]
        means.append(dict(name=rows[0]['name'], key=key, test=test, ours=ours, paper=paper, runs=runs))
    return means


def measured(run: dict, name: str) -> float:
    """Return what a run's test measured; -1 if nothing."""
    return run['metrics'].get(METRICS.get(name, name), -1)


def statistics(values: list[float]) -> dict:
    """Number, mean and sample standard deviation of fractions, in percent; -1 is what could not be measured."""
    percent = [100 * value for value in values if value >= 0]
    return {
        'n': len(percent),
        'mean': mean(percent) if percent else None,
        'std': stdev(percent) if len(percent) > 1 else None,
    }


def as_markdown(lines: Sequence[Sequence[str]]) -> str:
    """Write lines of cells, the header first, as a Markdown table whose columns are aligned."""
    widths = [max(map(len, column)) for column in zip(*lines)]
    header, *rows = lines
    ruled = [header, ['-' * width for width in widths], *rows]
    return '\n'.join('| ' + ' | '.join(map(str.ljust, line, widths)) + ' |' for line in ruled)


def to_markdown(summary: dict) -> str:
    """Write a summary as a Markdown table: ``mean ± std (the paper's number)``."""
    rows = summary.get('means', summary['rows'])
    tests = sorted({row['test'] for row in rows})
    head = ['row', 'config', *(['tested on'] if len(tests) > 1 else []), 'seeds', *summary['metrics']]
    lines = [head, ['---'] * len(head)]
    for row in rows:
        tested_on = [', '.join(Path(file).stem for file in row['test'].split(ALL_OF))] if len(tests) > 1 else []
        cells = [cell(row['ours'][name], row['paper'].get(name)) for name in summary['metrics']]
        seeds = ' '.join(dict.fromkeys(str(run['seed']) for run in row['runs'])) or '-'
        lines.append([row['name'], row['key'], *tested_on, seeds, *cells])
    runs = [run for row in rows for run in row['runs']]
    commits = sorted({start['commit'] for run in runs for start in run['starts']})
    brackets = "; the paper's number in brackets" if any(row['paper'] for row in rows) else ''
    notes = [f'Mean ± sample standard deviation over the seeds, last epoch, in percent{brackets}.']
    if 'means' in summary and len(tests) == 1:  # else a column says it
        notes.append(f'Each is the {tests[0]}.')
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
