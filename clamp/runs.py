"""A run of a table: one training and one test, what is kept of it, and when that is of another config or other data."""

import hashlib
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from mmengine.config import Config

from .checkpoints import newest_checkpoint
from .datasets.metainfo import annotation_path, parts_of
from .tables import ALL_OF, read_record

WORKERS = re.compile(r'^ *(num_workers|persistent_workers|prefetch_factor)=.*\n', re.MULTILINE)  # change no result


@dataclass
class Run:
    """A row of a table with a seed: one training, and one test of its last epoch.

    Attributes:
        row (dict): As :func:`clamp.tables.read_tables` returns it.
        seed (int): Of the training and, where there is a draw, of the draw.
        cfg (Config): The config with all options, the seed and the environment put in.
        folder (Path): What is kept: config.py, run.json, train/, test/, train.log, test.log; when done, result.json.
        elsewhere (dict | None): Its result in the table of another machine, which counts if nothing is kept here.
    """

    row: dict
    seed: int
    cfg: Config
    folder: Path
    elsewhere: dict | None = None

    @property
    def name(self) -> str:
        return f'{"/".join(self.folder.parts[-3:-1])} seed {self.seed}'

    @property
    def is_done(self) -> bool:
        return (self.folder / 'result.json').is_file() or self.is_taken_over

    @property
    def is_taken_over(self) -> bool:
        """Whether its result is another machine's, and nothing was begun here."""
        return self.elsewhere is not None and not (self.folder / 'run.json').exists()

    @property
    def annotations(self) -> dict[str, list[str]]:
        """The annotation files of training and test; several where data sets are combined."""
        loaders = {part: self.cfg[f'{part}_dataloader'].dataset for part in ('train', 'test')}
        return {part: [annotation_path(each) for each in parts_of(dataset)] for part, dataset in loaders.items()}

    @property
    def make_commands(self) -> list[list[str]]:
        """The commands that make the annotation files; none if they are there, or none can."""
        if all(Path(file).is_file() for files in self.annotations.values() for file in files):
            return []
        make = self.row.get('make', [])
        commands = [make] if isinstance(make, str) else make
        return [['python', *shlex.split(command.format(seed=self.seed))] for command in commands]

    def identity(self) -> dict:
        """What makes this run what it is; a folder begun with another is not gone on with."""
        return {
            'config': self.row['config'],
            'config_sha256': hashlib.sha256(WORKERS.sub('', self.cfg.pretty_text).encode()).hexdigest(),
            'seed': self.seed,
            'data': {
                part: {
                    'file': ALL_OF.join(files),
                    'sha256': hashlib.sha256(b''.join(Path(file).read_bytes() for file in files)).hexdigest(),
                }
                for part, files in self.annotations.items()
            },
        }

    def record(self) -> dict:
        """What run.json has: the identity, and when and where the run was started or gone on with."""
        path = self.folder / 'run.json'
        return read_record(path, f'Delete the folder {self.folder}') if path.is_file() else {}

    def result(self) -> dict:
        """What result.json of a run that is done has: the record, and what was measured."""
        if self.is_taken_over:
            return self.elsewhere
        return read_record(self.folder / 'result.json', 'Delete it, and the run is tested again', 'metrics')

    def to_do(self) -> str:
        """What is left to do, in words."""
        epoch, last = newest_checkpoint(self.folder / 'train')[0], self.cfg.train_cfg.max_epochs
        training = f'train epochs {epoch + 1} to {last}' if epoch < last else ''
        steps = [*map(shlex.join, self.make_commands), training, 'test']
        return 'done' if self.is_done else ', '.join(filter(None, steps))

    def check_record(self) -> None:
        """Raise a ValueError if this run was begun with another config or other annotations than now."""
        if self.is_taken_over:
            recorded, where = self.elsewhere, f'{self.name} in a table of --also'
            remedy = 'Leave that table out. The commits in it have what it was begun with.'
        else:
            recorded, where = self.result() if self.is_done else self.record(), self.folder
            remedy = 'Delete the folder, or give another --work-dir. Its config.py is what it was begun with.'
        now = self.identity()
        for key, what in (('config_sha256', 'another config'), ('data', 'other annotations')):
            if recorded and recorded[key] != now[key]:
                raise ValueError(f'{where} was begun with {what} ({recorded[key]}, now {now[key]}). {remedy}')
