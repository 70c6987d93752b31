"""Neurodata Without Borders: time series of poses, with the extension ndx-pose."""

import re
import uuid
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path

import numpy as np

from .tracks import Tracks

FRAME = '(x, y) in pixels of the video, (0, 0) being the centre of its first pixel, x to the right, y down'


def write_nwb(tracks: Tracks, path: Path, links: Sequence[Sequence[int]], video: Path, rate: float) -> None:
    """Write the poses of a video: in the processing module ``behavior`` a PoseEstimation for each animal.

    It is called ``PoseEstimation`` if there is one animal, else as the animal.

    Args:
        tracks (Tracks): The poses; NaN where an animal is not seen.
        path (Path): The file.
        links (Sequence[Sequence[int]]): The skeleton, pairs of keypoints by number.
        video (Path): Its path, as the file names it.
        rate (float): Frames per second.
    """
    from ndx_pose import PoseEstimation, PoseEstimationSeries, Skeleton, Skeletons
    from pynwb import NWBHDF5IO, NWBFile

    started = datetime.fromtimestamp(video.stat().st_mtime if video.exists() else 0, timezone.utc)
    file = NWBFile(f'Poses of animals in {video.name}, predicted by CLAMP', str(uuid.uuid4()), started)
    names = [re.sub('[/:]', ' or ', name) for name in tracks.keypoint_names]  # a / would open a group, NWB has no :
    skeleton = Skeleton(name='animal', nodes=names, edges=np.array(links, np.uint8).reshape(-1, 2))
    behavior = file.create_processing_module('behavior', 'poses')
    behavior.add(Skeletons(skeletons=[skeleton]))
    for animal, points in zip(tracks.individuals, tracks.points.transpose(1, 2, 0, 3)):
        series = [
            PoseEstimationSeries(
                name=name,
                description=f'{name} of {animal}',
                data=one[:, :2],
                confidence=one[:, 2],
                unit='pixels',
                reference_frame=FRAME,
                rate=rate,
                starting_time=0.0,
                confidence_definition="the heatmap's maximum",
            )
            for name, one in zip(names, points)
        ]
        behavior.add(
            PoseEstimation(
                name='PoseEstimation' if len(tracks.individuals) == 1 else animal,
                pose_estimation_series=series,
                description=f'Poses of {animal}',
                original_videos=[str(video)],
                source_software='CLAMP',
                skeleton=skeleton,
            )
        )
    with NWBHDF5IO(str(path), 'w') as io:
        io.write(file)
