"""What the command lines of the tools share: which files, numbers and settings they take, and how they name models.

One rule for all: nothing is written over, and an output that cannot be written is refused before the work. What takes
long to import is not imported here, so that ``--help`` and a wrong argument are answered at once.
"""

import argparse
import math
import os
import sys
import tempfile
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from .pretrained import find_model, is_hub_id

# before torch is imported: on a busy CPU, threads that spin while they wait slow each other down several times
os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')


class Options(argparse.Action):
    """MMEngine's action for ``--cfg-options``, with one line for what is not of the form KEY=VALUE."""

    def __call__(self, parser, namespace, values, option_string=None) -> None:
        """Put the options into the namespace, as a dict."""
        try:
            for value in values:
                if '=' not in value:
                    raise ValueError(f'{value} has no =')
            from mmengine.config import DictAction

            DictAction(self.option_strings, self.dest)(parser, namespace, values, option_string)
        except (ValueError, AssertionError) as error:
            raise argparse.ArgumentError(self, f'{" ".join(values)} is not KEY=VALUE ...: {error}') from error


@contextmanager
def errors_in_one_line() -> Iterator[None]:
    """End a tool with status 1 and one line that says what is wrong with its files, settings or packages."""
    try:
        yield
    except (ImportError, OSError, ValueError) as error:
        sys.exit(f'error: {error}')


def input_file(name: str) -> str:
    """Return the path of a file that is there: a ``type`` for an argument of :mod:`argparse`."""
    if os.path.isdir(name):
        raise argparse.ArgumentTypeError(f'{name} is a folder, but a file is needed')
    if not os.path.isfile(name):
        raise argparse.ArgumentTypeError(f'{name} is not there (from {os.getcwd()})')
    return name


def input_path(name: str) -> Path:
    """Return the path of a file or folder that is there: a ``type`` for an argument of :mod:`argparse`."""
    return Path(name if os.path.isdir(name) else input_file(name))


def config_or_model(name: str) -> str:
    """Return a config's path, or what :func:`clamp.pretrained.find_model` takes: a ``type`` for an argument."""
    return name if is_hub_id(name) else str(input_path(name))


def check_model(parser: argparse.ArgumentParser, config: str, checkpoint: str | None = None, *others: str) -> None:
    """End with the parser's error if a model is named in another way than :func:`clamp.pretrained.find_model` takes."""
    try:
        if others:
            named = ' '.join([config, checkpoint, *others])
            raise ValueError(f'A model is CONFIG CHECKPOINT or one folder, not {named}.')
        if not is_hub_id(config):  # the hub is asked later
            find_model(config, checkpoint)
    except (FileNotFoundError, ValueError) as error:
        parser.error(str(error))


def output_file(*suffixes: str) -> Callable[[str], Path]:
    """Return a ``type`` for an argument of :mod:`argparse`: a file to write, not there yet, in a folder that takes it.

    Args:
        *suffixes (str): The endings that it may have, such as ``'.json'``. Defaults to any.
    """

    def check(name: str) -> Path:
        path = Path(name)
        if suffixes and path.suffix not in suffixes:
            raise argparse.ArgumentTypeError(f'{name} should end in {" or ".join(suffixes)}')
        if os.path.lexists(path):
            raise argparse.ArgumentTypeError(f'{name} is there already: give another name, or delete it first')
        _check_writable(name, path.absolute().parent)
        return path

    return check


def output_folder(name: str) -> Path:
    """Return a folder to write into, empty or not there yet: a ``type`` for an argument of :mod:`argparse`."""
    path = Path(name)
    if os.path.lexists(path) and not (path.is_dir() and not os.listdir(path)):
        raise argparse.ArgumentTypeError(f'{name} is not an empty folder: give another name, or empty it first')
    _check_writable(name, next(folder for folder in (path, *path.absolute().parents) if folder.exists()))
    return path


def _check_writable(name: str, folder: Path) -> None:
    if any(unicodedata.category(character) == 'Cs' for character in name):
        raise argparse.ArgumentTypeError(f'{name!a} is no UTF-8: give another name')  # OpenCV would crash
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise argparse.ArgumentTypeError(
            f'{name} cannot be written ({error.strerror}): give a folder that exists and can be written to'
        ) from error


def at_least(minimum: int) -> Callable[[str], int]:
    """Return a ``type`` for an argument of :mod:`argparse`: a whole number, not below the minimum."""

    def check(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = minimum - 1
        if number < minimum:
            raise argparse.ArgumentTypeError(f'{text} should be a whole number, {minimum} or more')
        return number

    return check


def box(text: str) -> list[float]:
    """Return a box, x, y, width and height in pixels: a ``type`` for an argument of :mod:`argparse`."""
    try:
        numbers = [float(number) for number in text.split(',')]
    except ValueError:
        numbers = []
    if len(numbers) != 4 or not all(map(math.isfinite, numbers)) or min(numbers[2:]) <= 0:
        raise argparse.ArgumentTypeError(f'{text} should be four numbers, X,Y,WIDTH,HEIGHT, sizes positive')
    return numbers


def model_names(tested: list[list[str]]) -> list[str]:
    """Name each (config, checkpoint) by its config, and by its checkpoint too where that does not tell them apart.

    Raises:
        ValueError: If one is there twice.
    """
    pairs = [tuple(Path(os.path.realpath(path)) for path in pair) for pair in tested]
    if len(set(pairs)) < len(pairs):
        raise ValueError(f'{" ".join(tested[0])} is given twice: compare two models.')
    ways = (
        lambda config, _: config.parent.name if config.name == 'config.json' else config.stem,  # of a published model
        lambda config, _: f'{config.parent.name}/{config.stem}',
        lambda config, checkpoint: f'{config.stem} {checkpoint.stem}',
        lambda config, checkpoint: f'{config.stem} {checkpoint.parent.name}/{checkpoint.stem}',
        lambda config, checkpoint: f'{config} {checkpoint}',
    )
    return next(names for way in ways if len(set(names := [way(*pair) for pair in pairs])) == len(pairs))
