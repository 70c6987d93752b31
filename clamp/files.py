"""Files that are written as a whole or not at all, never over others, and under names that keep to their folder."""

import os
import unicodedata
from collections.abc import Mapping
from pathlib import Path


def write_whole(path: str | os.PathLike, content: bytes) -> None:
    """Write a file beside its place, and move it there once the disk has it.

    Raises:
        OSError: If the disk takes no more; nothing is left of the file, and one that was there is as it was.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f'{path.name}.part')
    try:
        with part.open('wb') as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())  # a disk elsewhere says only now that it is full
        os.replace(part, path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise OSError(error.errno, error.strerror, str(path)) from error


def write_new(files: Mapping[Path, bytes], mend: str, force: bool = False) -> list[Path]:
    """Write files that are not there, each as a whole.

    Args:
        files (Mapping[Path, bytes]): Their contents.
        mend (str): What the error says of how to mend it.
        force (bool): Whether files with another content are written over. Defaults to False.

    Returns:
        list[Path]: What was written; the others were there with this content.

    Raises:
        ValueError: If one is there with another content, and not ``force``; nothing is written then.
        OSError: As :func:`write_whole`.
    """
    new = [path for path, content in files.items() if not path.exists() or path.read_bytes() != content]
    if not force and (other := next((path for path in new if path.exists()), None)):
        raise ValueError(f'{other} is there and holds something else: {mend}')
    for path in new:
        write_whole(path, files[path])
    return new


def check_printable(*texts: str) -> None:
    """Check that texts of a file can be written into names of files and into configs.

    Raises:
        ValueError: If one holds control characters, or the braces that MMEngine replaces when it reads a config.
    """
    for text in texts:
        if '{{' in text or any(unicodedata.category(character) in ('Cc', 'Cs', 'Zl', 'Zp') for character in text):
            raise ValueError(f'{text!r} has control characters or {{{{ in it: write plain text in their place.')


def inside(folder: str | Path, name: str) -> Path:
    """Return the path of a file in a folder, after showing that its name does not lead out of the folder.

    Raises:
        ValueError: If it does.
    """
    root, path = os.path.abspath(folder), os.path.abspath(os.path.join(folder, name))
    if path == root or os.path.commonpath([root, path]) != root:
        raise ValueError(f'{name!r} would be written outside of {folder}: a name of a file inside was expected.')
    return Path(folder, name)
