"""Reproduce a table of the paper: train what is missing, go on with what was cut off, skip what is done.

    python tools/reproduce.py 1                            # Table 1 with the seeds 0, 1, 2
    python tools/reproduce.py 6 --rows clamp_r50 --seeds 0
    python tools/reproduce.py demo                         # generated animals, some minutes on a CPU

docs/reproduce.md says what is kept of a run, and when one is refused; the tables are tools/tables.json.
"""

import argparse
import ctypes
import json
import os
import platform
import re
import shlex
import signal
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path

from clamp.command_line import Options, input_file

ROOT = Path(__file__).parents[1]


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        'table', nargs='?', help='which table, such as 1, novel, demo or animalpose-lite; --list names all'
    )
    parser.add_argument('--seeds', nargs='+', type=int, default=[0, 1, 2], metavar='SEED', help='default: 0 1 2')
    parser.add_argument('--rows', nargs='+', metavar='ROW', help='only these rows, by the names that --list shows')
    parser.add_argument('--list', action='store_true', help='list tables and rows, and stop')
    parser.add_argument('--dry-run', action='store_true', help='check everything, say what would be done, and stop')
    parser.add_argument('--report', action='store_true', help='write the table of the runs that are done, and stop')
    parser.add_argument(
        '--also',
        nargs='+',
        type=input_file,
        default=[],
        metavar='TABLE.json',
        help='tables whose runs count as done, of another machine or docs/logs/table_novel.json; same configs and data',
    )
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/reproduce'), help='default: %(default)s')
    parser.add_argument('--tables', type=input_file, default=ROOT / 'tools/tables.json', help='another file of tables')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=Options,
        default={},
        metavar='KEY=VALUE',
        help='override settings of all configs: train_dataloader.num_workers=4',
    )
    args = parser.parse_args(argv)
    if not (args.table or args.list):
        parser.error('name a table, or --list them')
    return args


if __name__ == '__main__':
    parse_args()  # --help and wrong arguments end here, before the imports that take seconds

import torch
from filelock import FileLock, Timeout
from mmengine.config import Config

import clamp.register  # noqa: F401
from clamp.checkpoints import newest_checkpoint
from clamp.checks import DATA_HELP, check_config, read_file
from clamp.files import write_whole
from clamp.runs import Run
from clamp.settings import override
from clamp.tables import ALL_OF, choose, read_runs, read_tables, summarize, to_markdown, to_text

TRAIN, TEST = ROOT / 'tools/train.py', ROOT / 'tools/test.py'
LIBC = ctypes.CDLL(None)


def plan(table: dict, seeds: list[int], work_dir: Path, options: dict, elsewhere: dict | None = None) -> list[Run]:
    """Read the configs of all runs of a table; ``elsewhere`` has results of other machines by row and seed.

    Raises:
        FileNotFoundError: If a config is not there.
        ValueError: If a config is tested on other annotations than its table says: val and test never mix.
    """
    runs = []
    for seed in seeds:
        os.environ['SPLIT_SEED'] = str(seed)  # configs/*/*_20shot.py and *pct.py name the draw's file by it
        for row in table['rows']:
            os.environ |= {'FOLD': row['fold']} if 'fold' in row else {}  # likewise configs/*/*_novel.py
            config = ROOT / row['config']
            # without MMEngine's formatter, whose version would be in the hash of the text, and which is slow
            cfg = Config(read_file(config).to_dict(), format_python_code=False)
            override(cfg, {'randomness.seed': seed, **row.get('options', {}), **options})
            folder = work_dir / config.parent.name / row['key'] / f'seed{seed}'
            run = Run(row, seed, cfg, folder, (elsewhere or {}).get((row['key'], seed)))
            tested_on = ALL_OF.join(map(os.path.normpath, run.annotations['test']))
            if tested_on != ALL_OF.join(map(os.path.normpath, row['test'].split(ALL_OF))):
                raise ValueError(
                    f'{config} is tested on {tested_on}, but the table says {row["test"]}: results on '
                    'different annotations cannot stand in one table. Mend the config, or the file of tables.'
                )
            runs.append(run)
    return runs


def prepare(run: Run, dry_run: bool = False) -> None:
    """Make the annotation files of a run where a tool can (not in a dry run), and check all that it needs.

    Raises:
        FileNotFoundError: If data or CLIP's weights are not there.
        ValueError: If the config cannot be trained, or the run was begun with another config or other data.
    """
    commands = run.make_commands
    for command in commands:  # which may read what those before it have made
        if absent := [word for word in command if word.endswith('.json') and not Path(word).is_file()]:
            raise FileNotFoundError(f'The annotation file {absent[0]} is not there. {DATA_HELP}')
        if dry_run:
            return
        print(f'{run.name}: {shlex.join(command)}', flush=True)
        if subprocess.run([sys.executable, ROOT / command[1], *command[2:]]).returncode:
            raise ValueError(f'{shlex.join(command)} failed; its message is above. {DATA_HELP}')
    if run.is_done:
        run.result()  # now, not after the others have been trained
    else:
        trains_anew = newest_checkpoint(run.folder / 'train')[1] is None  # a checkpoint holds CLIP's weights
        check_config(run.cfg, ('train', 'test') if trains_anew else ('test',))
    run.check_record()


def execute(run: Run) -> None:
    """Train and test a run from where it stands, unless it is done. Raises a Timeout if another process does so."""
    if run.is_taken_over:  # nothing of it is kept here
        return
    run.folder.mkdir(parents=True, exist_ok=True)
    with FileLock(run.folder / 'lock', timeout=0):
        run.check_record()
        if run.is_done:
            return
        record = {**run.identity(), 'starts': [*run.record().get('starts', ()), environment()]}
        write(run.folder / 'run.json', record)
        config, last = run.folder / 'config.py', run.cfg.train_cfg.max_epochs
        config.write_text(run.cfg.pretty_text)
        epoch, checkpoint = newest_checkpoint(run.folder / 'train')
        if epoch < last:
            resume = ['--resume', checkpoint] if checkpoint else []
            # val is the test set, which is looked at once, below
            call(run, TRAIN, config, '--work-dir', run.folder / 'train', '--no-validate', *resume)
            epoch, checkpoint = newest_checkpoint(run.folder / 'train')
        if epoch != last:
            raise RuntimeError(f'the training ended, but left no readable epoch_{last}.pth.')
        metrics = run.folder / 'test/metrics.json'
        metrics.parent.mkdir(exist_ok=True)
        metrics.unlink(missing_ok=True)  # of a test after which the run was killed
        call(run, TEST, config, checkpoint, '--work-dir', metrics.parent, '--out', metrics)
        run.check_record()  # a training is long, and annotations may have been made anew
        result = {**record, 'checkpoint': str(checkpoint), 'metrics': json.loads(metrics.read_text())}
        write(run.folder / 'result.json', result)


def environment() -> dict:
    """When, where and by which commit something was computed."""
    git = ['git', '-C', ROOT, 'describe', '--always', '--dirty', '--abbrev=40', '--exclude=*']
    cpu = re.search(r'model name\s*: (.+)', Path('/proc/cpuinfo').read_text())
    return {
        'date': datetime.now(timezone.utc).isoformat(timespec='seconds'),
        'commit': subprocess.run(git, capture_output=True, text=True).stdout.strip() or 'unknown',
        'host': platform.node(),
        'device': torch.cuda.get_device_name() if torch.cuda.is_available() else cpu[1] if cpu else platform.machine(),
        'torch': torch.__version__,
    }


def call(run: Run, tool: Path, *args: str | Path) -> None:
    """Run a tool with its output in a log; raises a RuntimeError with the log's last lines if it fails."""
    log = run.folder / f'{tool.stem}.log'
    print(f'  {tool.stem} ... (log: {log})', flush=True)
    command = [sys.executable, tool, *args]
    with log.open('ab') as file:  # Linux kills the tool when its parent is gone: 1 is PR_SET_PDEATHSIG
        done = subprocess.run(command, stdout=file, stderr=file, preexec_fn=lambda: LIBC.prctl(1, signal.SIGKILL))
    if done.returncode:
        lines = log.read_text(errors='replace').splitlines()[-10:]
        raise RuntimeError(f'{tool.name} failed ({done.returncode}). {log} ends with:\n' + '\n'.join(lines))


def write(path: Path, content: dict) -> None:
    """Write a JSON file as a whole or not at all."""
    write_whole(path, (json.dumps(content, indent=2) + '\n').encode())


def execute_all(runs: list[Run]) -> int:
    """Execute runs one after the other, whatever becomes of the others; returns the number of those that failed."""
    failed = 0
    for number, run in enumerate(runs, start=1):
        print(f'[{number}/{len(runs)}] {run.name}: {run.to_do()}', flush=True)
        try:
            execute(run)
        except (RuntimeError, ValueError, OSError) as error:
            failed += 1
            reason = f'another process is at work in {run.folder}' if isinstance(error, Timeout) else error
            print(f'error: {run.name}: {reason}', file=sys.stderr, flush=True)
    return failed


def report(table: dict, runs: list[Run], path: Path) -> str:
    """Write the table of all runs that are done as Markdown and JSON, and return the Markdown."""
    results = {row['key']: [] for row in table['rows']}
    for run in filter(lambda run: run.is_done, runs):
        results[run.row['key']].append(run.result())
    summary = summarize(table, results)
    markdown = to_markdown(summary)
    write(path.with_suffix('.json'), summary)
    path.with_suffix('.md').write_text(markdown, encoding='utf-8')
    return markdown


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    try:
        tables = read_tables(Path(args.tables))
        if args.list:
            print('\n'.join(to_text(name, choose(tables, name)) for name in ([args.table] if args.table else tables)))
            return
        table = choose(tables, args.table, args.rows)
        elsewhere = read_runs(*map(Path, args.also))
        runs = plan(table, sorted(set(args.seeds)), args.work_dir, args.cfg_options, elsewhere)
        if args.report:
            runs = [run for run in runs if run.is_done]
        for run in runs:
            prepare(run, args.dry_run)
        if args.dry_run:
            print('\n'.join(f'{run.name}: {run.to_do()}' for run in runs))
            return
        failed = 0 if args.report else execute_all(runs)
        markdown = report(table, runs, args.work_dir / f'table_{args.table}')
    except (OSError, ValueError) as error:
        sys.exit(f'error: {error}')
    except KeyboardInterrupt:
        sys.exit('interrupted; the same command goes on from the last checkpoint')
    print(f'\n{markdown}\nWritten to {args.work_dir}/table_{args.table}.md and .json')
    if failed:
        sys.exit(f'error: {failed} of {len(runs)} runs failed; the same command tries them again')


if __name__ == '__main__':
    main()
