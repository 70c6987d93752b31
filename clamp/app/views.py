import cv2
import numpy as np
from matplotlib.colors import Normalize

from ..inference import Pose, ScoreMap
from ..visualization import draw_pose
from ..visualization.figures import overlay_score_map

VIEW, TILE = 960, 320  # of the picture and of a score map, in pixels of the longer side


def show_pose(image: np.ndarray, pose: Pose, metainfo: dict) -> np.ndarray:
    """Return the image with the box and the pose over it, ``VIEW`` pixels at its longer side."""
    view, scale = resize(image)
    x, y, width, height = pose.box * scale
    corners = [(round(x), round(y)), (round(x + width) - 1, round(y + height) - 1)]
    for colour, thickness in (((0, 0, 0), 4), ((255, 255, 255), 2)):
        cv2.rectangle(view, *corners, colour, thickness)
    return draw_pose(view, pose.keypoints * scale, metainfo, scores=pose.scores)


def draw_cross(image: np.ndarray, place: np.ndarray) -> np.ndarray:
    """Draw a cross into an image, at (x, y) in its pixels."""
    for colour, thickness in (((0, 0, 0), 4), ((255, 255, 255), 2)):
        cv2.drawMarker(image, np.round(place).astype(int).tolist(), colour, cv2.MARKER_CROSS, 16, thickness)
    return image


def resize(image: np.ndarray) -> tuple[np.ndarray, float]:
    """Return an image with ``VIEW`` pixels at its longer side, and by how much it was scaled."""
    scale = VIEW / max(image.shape[:2])
    size = [max(1, round(side * scale)) for side in image.shape[1::-1]]
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR), scale


def show_score_maps(image: np.ndarray, score_map: ScoreMap) -> tuple[list[tuple[np.ndarray, str]], str]:
    """Draw what the network sees of the animal under the map of each text, with a cross at the map's peak.

    Returns:
        tuple[list, str]: P pictures with their captions, and what their colours mean: one scale for all.
    """
    _, rows, columns = score_map.values.shape
    size = (round(TILE * columns / max(rows, columns)), round(TILE * rows / max(rows, columns)))
    zoom = columns / size[0]  # cells a pixel
    to_cells = np.array([[zoom, 0, (zoom - 1) / 2], [0, zoom, (zoom - 1) / 2], [0, 0, 1]])
    to_image = score_map.to_image @ to_cells  # (2, 3), from pixels of the picture
    crop = cv2.warpAffine(image, to_image, size, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    norm = Normalize(score_map.values.min(), score_map.values.max())
    peaks = cv2.transform(score_map.peaks()[:, None], cv2.invertAffineTransform(to_image))[:, 0]  # (P, 2)
    pictures = []
    for text, values, peak in zip(score_map.texts, score_map.values, peaks):
        pictures.append((draw_cross(overlay_score_map(crop, values, norm), peak), f'{text} {values.max():.2f}'))
    scale = f'Cosine of text and image: {norm.vmin:.2f} is dark, {norm.vmax:.2f} is yellow.'
    return pictures, f'{scale} The cross is at the highest place, the number beside the name is its cosine.'
