"""Which images and videos are meant, what they are called, and boxes for them from a COCO file."""

import glob
import os
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from .media import IMAGES, OTHERS, VIDEOS, Source


class CocoBoxes:
    """The boxes of a COCO annotation file, found by the path of an image, or by that of a video and the frame.

    An image of the file is a frame of a video if its ``file_name`` is the video's and ``frame`` says which, from 0; an
    entry without ``frame`` is for all frames.

    Args:
        path (str): The file.

    Raises:
        FileNotFoundError: If it is not there.
        ValueError: If an image or a box of it cannot be used.
    """

    def __init__(self, path: str):
        from ..datasets.coco import read_boxes  # here, as images without boxes need no MMEngine

        self.path = path
        coco = read_boxes(path)
        by_id: dict[int, list] = {image['id']: [] for image in coco['images']}
        for annotation in coco['annotations']:
            by_id[annotation['image_id']].append((annotation['bbox'], annotation.get('category_id', 1)))
        self.by_name: dict[str, dict[int | None, tuple[int, list]]] = defaultdict(dict)
        for image in coco['images']:
            self.by_name[image['file_name']][image.get('frame')] = image['id'], by_id[image['id']]

    def of(self, path: Path, number: int | None = None) -> tuple[int, list, list[int]]:
        """Return the id of an image or of a frame of a video, its boxes (N, 4) and their N categories.

        Args:
            path (Path): Of the image or video, which :meth:`find` finds.
            number (int, optional): Of the frame; frames that the file does not name have no animals. Defaults to None,
                for an image.
        """
        frames = self.by_name[self.find(path)]
        # extracted frames are images, which may have the number that they had in the video
        entry = next(iter(frames.values())) if number is None else frames.get(number, frames.get(None))
        image_id, animals = entry or (-1, [])
        return image_id, [box for box, _ in animals], [category for _, category in animals]

    def beyond(self, path: Path, num_frames: int) -> list[int]:
        """Return the frames of a video that the file has boxes of, and the video has not."""
        if path.suffix.lower() not in VIDEOS:
            return []
        frames = self.by_name[self.find(path)].items()
        return sorted(frame for frame, (_, animals) in frames if animals and frame is not None and frame >= num_frames)

    def find(self, path: Path) -> str | None:
        """Return the file_name of an image in the file, or None if it is not there."""
        parts = path.absolute().parts  # the file_name of a COCO file may begin at any folder
        return next((key for i in range(len(parts)) if (key := '/'.join(parts[i:])) in self.by_name), None)


def find_sources(inputs: Sequence[str], boxes: CocoBoxes | None = None) -> tuple[list[Source], list[str]]:
    """Return the images and videos that are meant, in the order of their names within each input, and what is not.

    A source is called by its path within the folder that was given, or by its file's name. Where two would be called
    the same, such as IMG_0001.jpg of two cameras, all are called by their paths from the folder on that holds them all.

    Args:
        inputs (Sequence[str]): Files, folders (with the folders in them) and patterns such as ``'photos/*.jpg'``.
        boxes (CocoBoxes, optional): If given, images that it does not name are left out.

    Returns:
        tuple[list[Source], list[str]]: The sources, and what to say of names and of that which is passed over.

    Raises:
        FileNotFoundError: If nothing is there.
        ValueError: If a file is neither image nor video by its suffix, or two pictures would have the same name.
    """
    found: dict[str, Source] = {}
    passed = []
    for text in inputs:
        base = Path(text)
        if base.is_dir():
            # by glob, which follows links to folders and leaves out hidden files, such as the ._a.jpg of a Mac
            inside = map(base.joinpath, sorted(glob.glob('**', root_dir=base, recursive=True)))
            files = [path for path in inside if path.is_file()]
            named = [(path, path.relative_to(base)) for path in files if path.suffix.lower() in IMAGES + VIDEOS]
            passed += [str(path) for path in files if path.suffix.lower() in OTHERS]
        else:
            paths = [base] if base.is_file() else map(Path, sorted(glob.glob(text, recursive=True)))
            named = [(path, Path(path.name)) for path in paths if path.is_file()]
        if not named:
            no_model = ' Nor is it a model: those have a config.json.' if base.is_dir() else ''
            raise FileNotFoundError(
                f'There is no image and no video at {text} (from {os.path.abspath(".")}).{no_model}'
            )
        for path, name in named:
            if path.suffix.lower() not in IMAGES + VIDEOS:
                raise ValueError(f'{path} is neither an image ({" ".join(IMAGES)}) nor a video ({" ".join(VIDEOS)}).')
            found.setdefault(os.path.abspath(path), Source(path, str(name)))
    said = [f'passed over, of a kind that is not read: {some(passed)}'] if passed else []
    sources, how = _tell_apart(found)
    said += how
    return (sources, said) if boxes is None else _with_boxes(sources, said, boxes)


def _tell_apart(found: dict[str, Source]) -> tuple[list[Source], list[str]]:
    """Give sources (by absolute paths) that have the same name their folders in front, and say so."""
    sources = list(found.values())
    if not (pair := _clash(sources)):
        return sources, []
    common = os.path.commonpath([os.path.dirname(path) for path in found])
    longer = [Source(source.path, os.path.relpath(path, common)) for path, source in found.items()]
    if again := _clash(longer):
        one, other = again
        raise ValueError(f'The pictures of {one.path} and {other.path} would both be called {one.picture}.')
    return longer, [f'two inputs are called {pair[0].name}: results have their names from {common} on']


def _clash(sources: Sequence[Source]) -> tuple[Source, Source] | None:
    """Return the first two sources whose pictures would have one name."""
    names: dict[str, Source] = {}
    return next(((other, one) for one in sources if (other := names.setdefault(one.picture, one)) is not one), None)


def _with_boxes(sources: list[Source], said: list[str], boxes: CocoBoxes) -> tuple[list[Source], list[str]]:
    named: dict[str, Source] = {}
    without = []
    for source in sources:
        key = boxes.find(source.path)
        if key is None:
            without.append(str(source.path))
        elif named.setdefault(key, source) is not source:
            raise ValueError(
                f'{named[key].path} and {source.path} both fit {key} of {boxes.path}: write the folders of the images '
                'into its file_name entries.'
            )
    if not named:
        raise ValueError(
            f'{boxes.path} has boxes of none of the {len(sources)} inputs, such as {sources[0].path}; its file_name '
            f'entries, such as {next(iter(boxes.by_name), "none")}, should be the ends of their paths.'
        )
    missing = [key for key in boxes.by_name if key not in named]
    ends = [f'{source.path} by {key}' for key, source in named.items() if key not in (source.name, str(source.path))]
    for what, names in (
        ('found by the end of the path', ends),
        (f'passed over, not named in {boxes.path}', without),
        (f'named in {boxes.path}, and not among the inputs', missing),
    ):
        said = [*said, f'{what}: {some(names)}'] if names else said
    return list(named.values()), said


def some(names: Sequence[str]) -> str:
    """Return how many names there are, and the first three."""
    return f'{len(names)} ({", ".join(names[:3])}{", ..." if len(names) > 3 else ""})'
