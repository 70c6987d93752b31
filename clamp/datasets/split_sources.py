"""The files that a split was made of, as its manifest names them, and as they are now."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple


class SplitSource(NamedTuple):
    """An annotation file that a split was made of.

    Attributes:
        name (str): Its file name.
        expected (str): Its SHA-256 when the split was made.
        path (Path, optional): Where it is; None if it is not there.
        digest (str, optional): Its SHA-256 now.
    """

    name: str
    expected: str
    path: Path | None = None
    digest: str | None = None


def find_sources(manifest: dict, folders: Sequence[Path]) -> list[SplitSource]:
    """Return the sources of a manifest of ``tools/make_splits.py``, each in the first of the folders that has it."""
    found = []
    for source in manifest['sources']:
        path = next((each for folder in folders if (each := folder / source['file']).is_file()), None)
        digest = path and hashlib.sha256(path.read_bytes()).hexdigest()
        found.append(SplitSource(source['file'], source['sha256'], path, digest))
    return found
