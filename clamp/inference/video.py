"""A video that is written frame by frame."""

from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

CONTAINER = {'movflags': '+hybrid_fragmented', 'flush_packets': '1'}  # a killed process leaves its frames
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
        self.h264 = has_h264()
        if not self.h264:
            self.file = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'mp4v'), rate, size)
            if not self.file.isOpened():
                raise OSError(f'{path} cannot be written by OpenCV: MPEG-4, {what}')
            return
        import av

        try:
            self.file = av.open(str(path), 'w', options=CONTAINER)
            self.stream = self.file.add_stream('libx264', Fraction(rate).limit_denominator(1001), options=QUALITY)
            self.stream.width, self.stream.height = (side + side % 2 for side in size)
            self.stream.pix_fmt = 'yuv420p'  # others are not played everywhere
            self.stream.codec_context.open()
            self.file.start_encoding()  # opens the file
        except (ValueError, OSError) as error:
            raise OSError(f'{path} cannot be written by PyAV: H.264, {what} ({error})') from error

    def write(self, image: np.ndarray) -> None:
        """Add a frame (H, W, 3), uint8, BGR."""
        if not self.h264:
            self.file.write(image)
            return
        import av

        height, width = image.shape[:2]
        even = cv2.copyMakeBorder(image, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
        self.file.mux(self.stream.encode(av.VideoFrame.from_ndarray(even, format='bgr24')))

    def close(self) -> None:
        """Write what is left and end the file."""
        if not self.h264:
            self.file.release()
            return
        self.file.mux(self.stream.encode())
        self.file.close()
