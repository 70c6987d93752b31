"""SLEAP's files, by the library sleap-io."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from ..files import write_new
from .deeplabcut import annotation
from .tracks import Tracks

if TYPE_CHECKING:
    from sleap_io import Labels


def to_labels(tracks: Tracks, links: Sequence[Sequence[int]], sources: Sequence[str]) -> 'Labels':
    """Return poses as sleap-io has them.

    Args:
        tracks (Tracks): The poses.
        links (Sequence[Sequence[int]]): The skeleton, pairs of keypoints by number.
        sources (Sequence[str]): Path of the video; of images, their paths.
    """
    import sleap_io as sio

    skeleton = sio.Skeleton(list(tracks.keypoint_names), [list(link) for link in links], name='animal')
    if tracks.images:
        images = dict(type='ImageVideo', filename=sources[0], filenames=list(sources))
        video = sio.Video(list(sources), backend_metadata=images)
    else:
        video = sio.Video(sources[0], open_backend=False)
    # of images, an animal is no more than its place among those of its image
    animals = [None if tracks.images else sio.Track(name) for name in tracks.individuals]
    frames = []
    for index, poses in enumerate(tracks.points):
        instances = [
            sio.PredictedInstance.from_numpy(
                pose[:, :2], skeleton, pose[:, 2], float(np.nanmean(pose[:, 2])), track=track
            )
            for pose, track in zip(poses, animals)
            if np.isfinite(pose).any()
        ]
        if instances:
            frames.append(sio.LabeledFrame(video=video, frame_idx=index, instances=instances))
    return sio.Labels(frames, [video], [skeleton], list(filter(None, animals)))


def read_labels(path: str | Path, folder: Path) -> dict:
    """Read the labels of a SLEAP file, and write their images.

    Args:
        path (str | Path): A ``.slp`` file; that its video is there, or its images are in it (``.pkg.slp``).
        folder (Path): Where the images are written, frames of videos as PNG.

    Returns:
        dict: A COCO keypoint file, of the instances that a person labelled.

    Raises:
        FileNotFoundError: If it, or its video, is not there.
        ImportError: If sleap-io is not installed.
        ValueError: If it is no such file, has several skeletons, or nobody labelled anything in it; or another image is
            where one would be written.
    """
    try:
        import sleap_io as sio
    except ImportError as error:
        raise ImportError(f"{path} needs sleap-io: pip install --no-build-isolation -e '.[formats]'") from error
    if not Path(path).is_file():
        raise FileNotFoundError(f'The SLEAP file {path} is not there (from {Path.cwd()}).')
    try:
        labels = sio.load_slp(str(path))
    except Exception as error:
        raise ValueError(f'{path} cannot be read as a SLEAP file: {error}') from error
    if len(labels.skeletons) != 1:
        raise ValueError(f'{path} has {len(labels.skeletons)} skeletons; make a file of each.')
    skeleton = labels.skeletons[0]
    images, annotations = [], []
    for frame in labels.user_labeled_frames:
        height, width, name = _write_image(frame, labels, folder, path)
        images.append(dict(id=len(images) + 1, file_name=name, width=width, height=height))
        for instance in frame.user_instances:
            keypoints = instance.numpy()
            if np.isfinite(keypoints).all(1).any():
                known = dict(id=len(annotations) + 1, image_id=len(images), category_id=1)
                annotations.append(known | annotation(keypoints, width, height))
    if not annotations:
        raise ValueError(f'{path} has no labels that a person made.')
    links = [[start + 1, end + 1] for start, end in skeleton.edge_inds]
    category = dict(id=1, name=skeleton.name or 'animal', keypoints=skeleton.node_names, skeleton=links)
    return dict(images=images, annotations=annotations, categories=[category])


def _write_image(frame, labels: 'Labels', folder: Path, path: str | Path) -> tuple[int, int, str]:
    """Write the image of a labelled frame; return its height, its width and its name."""
    try:
        pixels = frame.image
    except Exception as error:  # whatever the reader of the video raises
        raise FileNotFoundError(
            f'Frame {frame.frame_idx} of {frame.video.filename}, which {path} labels, cannot be read. Put the video '
            'there, or export the labels with their images (.pkg.slp).'
        ) from error
    name = f'video{labels.videos.index(frame.video)}_frame{frame.frame_idx:06d}.png'
    bgr = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR) if pixels.shape[-1] == 3 else pixels
    png = cv2.imencode('.png', bgr)[1].tobytes()
    write_new({folder / name: png}, 'choose another --name, or move the folder.')
    return *pixels.shape[:2], name
