from collections.abc import Sequence

import cv2
import numpy as np

# colours of Okabe and Ito that sides do not have (see poses.py), which colour-blind readers tell apart, RGB
COLOURS = ((0, 158, 115), (204, 121, 167), (240, 228, 66), (213, 94, 0), (0, 114, 178))


def draw_identity(image: np.ndarray, box: np.ndarray, number: int, trail: Sequence[np.ndarray] = ()) -> np.ndarray:
    """Return the image with an animal's box, its number, and the way that it came.

    Args:
        image (np.ndarray): (H, W, 3), uint8, RGB. It is not changed.
        box (np.ndarray): (4,): x, y, width, height, in pixels.
        number (int): As in the tables.
        trail (Sequence[np.ndarray]): Places (x, y) where it was, in pixels, in order of time, forwards or backwards.

    Returns:
        np.ndarray: (H, W, 3), uint8, RGB.
    """
    drawn, colour = image.copy(), COLOURS[number % len(COLOURS)]
    thick = max(1, round(max(image.shape[:2]) / 640))
    x, y, right, bottom = np.round([*box[:2], *(box[:2] + box[2:])]).astype(int).tolist()
    cv2.rectangle(drawn, (x, y), (right, bottom), colour, thick)
    if len(trail) > 1:
        cv2.polylines(drawn, [np.round(trail).astype(np.int32)], False, colour, thick, cv2.LINE_AA)
    size = 0.5 * thick
    (width, height), below = cv2.getTextSize(str(number), cv2.FONT_HERSHEY_SIMPLEX, size, thick)
    x, y = max(x, 0), max(y, height + below)
    cv2.rectangle(drawn, (x, y - height - below), (x + width + 2 * thick, y), colour, -1)
    cv2.putText(
        drawn, str(number), (x + thick, y - below // 2), cv2.FONT_HERSHEY_SIMPLEX, size, (0, 0, 0), thick, cv2.LINE_AA
    )
    return drawn
