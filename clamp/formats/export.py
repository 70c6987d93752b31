import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..files import inside

if TYPE_CHECKING:
    from .tracks import Tracks

FORMATS = ('dlc', 'sleap', 'nwb')
NEEDED = dict(dlc=('pandas', 'tables'), sleap=('sleap_io',), nwb=('pynwb', 'ndx_pose'))


@dataclass(frozen=True)
class Source:
    """What a table of predictions does not say of a video or an image.

    Attributes:
        path (Path): The video, or the image.
        rate (float): Of a video, frames per second. Defaults to 25.
        frames (int): Of a video, how many it has. Defaults to 0: as many as the table has, which ends with the last one
            that shows an animal.
    """

    path: Path
    rate: float = 25.0
    frames: int = 0


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
        sources (dict[str, Source], optional): Of the videos and images by their names in the table.

    Returns:
        list[Path]: The files.

    Raises:
        FileNotFoundError, ImportError, ValueError: As :func:`read_tracks` and :func:`check_formats`.
        ValueError: If a video's name would lead out of the folder.
    """
    from .tracks import read_tracks

    check_formats(formats)
    folder, written = Path(predictions).parent, []
    sources = sources or {}
    for tracks in read_tracks(predictions, {name: source.frames for name, source in sources.items()}):
        known = [sources.get(name, Source(Path(name))) for name in tracks.images or [tracks.name]]
        for name in formats:
            if name == 'nwb' and tracks.images:
                continue  # it holds time series
            start = inside(folder / name, tracks.name)
            start.parent.mkdir(parents=True, exist_ok=True)
            written += _write(name, tracks, start, links, known)
    return written


def _write(name: str, tracks: 'Tracks', start: Path, links: Sequence, sources: list[Source]) -> list[Path]:
    if name == 'dlc':
        from .deeplabcut import write_csv, write_hdf5

        paths = [Path(f'{start}.csv'), Path(f'{start}.h5')]
        write_csv(tracks, paths[0])
        write_hdf5(tracks, paths[1])
        return paths
    if name == 'nwb':
        from .nwb import write_nwb

        [video] = sources
        write_nwb(tracks, Path(f'{start}.nwb'), links, video.path, video.rate)
        return [Path(f'{start}.nwb')]
    import sleap_io as sio

    from .sleap import to_labels

    labels = to_labels(tracks, links, [str(source.path) for source in sources])
    paths = [Path(f'{start}.slp'), Path(f'{start}.analysis.h5')]
    sio.save_slp(labels, str(paths[0]), embed=False, verbose=False)  # without the images
    sio.save_analysis_h5(labels, str(paths[1]))
    return paths
