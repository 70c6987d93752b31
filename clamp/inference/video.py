"""A video that is written frame by frame."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

CONTAINER = {'movflags': '+hybrid_fragmented', 'flush_packets': '1'}  # a killed process leaves its frames
MPEG4_RATE = 65535  # the largest numerator of frames per second that MPEG-4 Part 2 takes
QUALITY = {'crf': '20', 'preset': 'veryfast', 'g': '50'}  # g: the frames from one that stands for itself to the next


def has_h264() -> bool:
    """Whether PyAV is installed, with an encoder of H.264, which OpenCV's packages lack."""
    try:
        import av

        av.codec.Codec('libx264', 'w')
    except (ImportError, ValueError):
        return False
    return True


class VideoFile:
    """An MP4 file: H.264, which browsers play, where PyAV is installed, else MPEG-4 Part 2, which they do not.

    Args:
        path (Path): The file.
        rate (float): Frames per second.
        size (tuple[int, int]): (W, H), in pixels. H.264 has even sizes: a column or a row is repeated at the end.

    Raises:
        OSError: If it cannot be written.
    """

    def __init__(self, path: Path, rate: float, size: tuple[int, int]):
        what = f'{size[0]}x{size[1]} pixels, {rate:g} frames per second'
        self.path, self.h264 = path, has_h264()
        place = os.path.abspath(path)  # FFmpeg takes what stands before a colon for a protocol
        if not self.h264:
            rounded = round(rate, max(0, int(np.log10(MPEG4_RATE / rate))))
            self.file = cv2.VideoWriter(place, cv2.VideoWriter_fourcc(*'mp4v'), rounded, size)
            if not self.file.isOpened():
                raise OSError(f'{path} cannot be written by OpenCV: MPEG-4, {what}')
            return
        import av

        with self._errors(what):
            self.file = av.open(place, 'w', options=CONTAINER)
            self.stream = self.file.add_stream('libx264', Fraction(rate).limit_denominator(1001), options=QUALITY)
            self.stream.width, self.stream.height = (side + side % 2 for side in size)
            self.stream.pix_fmt = 'yuv420p'  # others are not played everywhere
            self.stream.codec_context.open()
            self.file.start_encoding()  # opens the file

    @contextmanager
    def _errors(self, what: str) -> Iterator[None]:
        """Turn PyAV's errors into one that names the file."""
        import av

        try:
            yield
        except (av.error.FFmpegError, ValueError, OSError) as error:  # some of PyAV's are neither of the others
            raise OSError(f'{self.path} cannot be written by PyAV: H.264, {what} ({error})') from error

    def write(self, image: np.ndarray) -> None:
        """Add a frame (H, W, 3), uint8, BGR. Raises an OSError if it cannot be written."""
        if not self.h264:
            self.file.write(image)
            return
        import av

        height, width = image.shape[:2]
        even = cv2.copyMakeBorder(image, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
        with self._errors('a frame'):
            self.file.mux(self.stream.encode(av.VideoFrame.from_ndarray(even, format='bgr24')))

    def close(self) -> None:
        """Write what is left and end the file. Raises an OSError if it cannot be written."""
        if not self.h264:
            self.file.release()
            return
        with self._errors('its end'):
            self.file.mux(self.stream.encode())
            self.file.close()
