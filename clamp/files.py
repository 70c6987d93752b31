"""Files that are written as a whole or not at all, and never over others."""

import os
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
