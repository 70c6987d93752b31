import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .tracks import Tracks

FORMATS = ('dlc', 'sleap', 'nwb')
NEEDED = dict(dlc=('pandas', 'tables'), sleap=('sleap_io',), nwb=('pynwb', 'ndx_pose'))


@dataclass(frozen=True)
class Source:
    """What a table of predictions does not say of a video.

    Attributes:
        path (Path): The video; of images, their folder.
        rate (float): Frames per second. Defaults to 25.
    """

    path: Path
    rate: float = 25.0


def check_formats(formats: Sequence[str]) -> None:
    """Check that what the formats need is installed.

    Raises:
        ImportError: If it is not.
        ValueError: If a format is not known.
    """
    for name in formats:
        if name not in FORMATS:
            raise ValueError(f'The format {name} is not known: choose of {", ".join(FORMATS)}.')
        if missing := [package for package in NEEDED[name] if importlib.util.find_spec(package) is None]:
            raise ImportError(
                f"The format {name} needs {' and '.join(missing)}: pip install --no-build-isolation -e '.[formats]'"
            )


def export(
    predictions: str | Path,
    formats: Sequence[str],
    links: Sequence[Sequence[int]] = (),
    sources: dict[str, Source] | None = None,
) -> list[Path]:
    """Write predictions in other formats, beside them.

    ``dlc/`` has DeepLabCut's CSV and HDF5, ``sleap/`` SLEAP's labels (.slp) and its analysis HDF5, ``nwb/`` Neurodata
    Without Borders with its extension ndx-pose; one file of each for a video, and, but for NWB, one for all images.

    Args:
        predictions (str | Path): ``predictions.csv`` of ``tools/predict.py``.
        formats (Sequence[str]): Of ``FORMATS``.
        links (Sequence[Sequence[int]]): The skeleton, pairs of keypoints by number.
        sources (dict[str, Source], optional): Of the videos by their names, and of the images, ``'images'``.

    Returns:
        list[Path]: The files.

    Raises:
        FileNotFoundError, ImportError, ValueError: As :func:`read_tracks` and :func:`check_formats`.
    """
    from .tracks import read_tracks

    check_formats(formats)
    folder, written = Path(predictions).parent, []
    for tracks in read_tracks(predictions):
        source = (sources or {}).get(tracks.name, Source(Path(tracks.name)))
        for name in formats:
            if name == 'nwb' and tracks.images:
                continue  # it holds time series
            start = folder / name / tracks.name
            start.parent.mkdir(parents=True, exist_ok=True)
            written += _write(name, tracks, start, links, source)
    return written


def _write(name: str, tracks: 'Tracks', start: Path, links: Sequence, source: Source) -> list[Path]:
    if name == 'dlc':
        from .deeplabcut import write_csv, write_hdf5

        paths = [Path(f'{start}.csv'), Path(f'{start}.h5')]
        write_csv(tracks, paths[0])
        write_hdf5(tracks, paths[1])
        return paths
    if name == 'nwb':
        from .nwb import write_nwb

        write_nwb(tracks, Path(f'{start}.nwb'), links, source.path, source.rate)
        return [Path(f'{start}.nwb')]
    from .sleap import to_labels, write_analysis, write_slp

    labels, paths = to_labels(tracks, links, source.path), [Path(f'{start}.slp'), Path(f'{start}.analysis.h5')]
    write_slp(labels, paths[0])
    write_analysis(labels, paths[1])
    return paths
