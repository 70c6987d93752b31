"""What is around an animal: a landscape behind it, things that may stand before it, the camera's light and noise."""

import cv2
import numpy as np

from .species import SPECIES

# BGR
_SKIES = ((235, 200, 150), (240, 225, 205), (215, 215, 215), (150, 190, 240), (180, 160, 150))
_GROUNDS = ((80, 150, 115), (85, 125, 145), (120, 165, 195), (222, 222, 222), (75, 110, 105), (105, 120, 130))
_LEAVES = ((45, 95, 60), (60, 120, 110), (60, 105, 55), (70, 100, 130))
_BACKGROUND = {'tree': 0.3, 'bush': 0.25, 'rock': 0.15, 'fence': 0.06, 'decoy': 0.12, 'grass': 0.12}
_FOREGROUND = {'grass': 0.6, 'rock': 0.14, 'bush': 0.1, 'tree': 0.06, 'fence': 0.1}


def draw_scene(rng: np.random.Generator, size: tuple) -> np.ndarray:
    """A cluttered landscape of ``size`` (W, H): (H, W, 3) float32, BGR in [0, 255]."""
    w, h = size
    horizon = h * rng.uniform(0.05, 0.5)
    sky, soil = (np.array(c[rng.integers(len(c))]) * rng.uniform(0.85, 1.1) for c in (_SKIES, _GROUNDS))
    rows = np.arange(h)[:, None, None]
    below = soil * (1.1 - 0.3 * (rows - horizon) / (h - horizon))
    image = np.where(rows < horizon, sky * (0.8 + 0.25 * rows / horizon), below)
    image = np.repeat(image.astype(np.float32), w, 1)
    for _ in range(rng.integers(3, 9)):
        y = horizon + (h - horizon) * rng.uniform(0, 0.5) ** 1.5
        paint(image, _thing(rng, _BACKGROUND, rng.uniform(0, w), y, h * rng.uniform(0.08, 0.24), tree=3.3))
    texture = 9 * _noise(rng, size, 4) + 12 * _noise(rng, size, 14) + 16 * _noise(rng, size, 60)
    return image + texture[..., None]


def occlude(rng: np.random.Generator, image: np.ndarray, box: tuple) -> np.ndarray:
    """Put grass, rocks, bushes, trees or a fence before the animal in ``box`` (xywh), or nothing; their mask (H, W)."""
    front = np.zeros(image.shape[:2], np.uint8)
    x, y, w, h = box
    for _ in range(rng.integers(1, 3) if rng.random() < 0.3 else 0):
        at = x + w * rng.uniform(0, 1), y + h * rng.uniform(0.98, 1.1)
        polygons = _thing(rng, _FOREGROUND, *at, max(h, 20) * rng.uniform(0.15, 0.35), tree=4)
        paint(image, polygons)
        paint(front, [(points, [255]) for points, _ in polygons])
    return front > 127


def develop(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """Light, colour cast, focus and sensor noise; uint8."""
    image = image * (rng.uniform(0.9, 1.2) * rng.normal(1, 0.04, 3)).astype(np.float32) + np.float32(rng.normal(0, 6))
    if rng.random() < 0.4:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.4, 1.1))
    image = image + rng.uniform(1, 6) * rng.standard_normal(image.shape[:2], np.float32)[..., None]
    return cv2.convertScaleAbs(np.maximum(image, 0))


def paint(image: np.ndarray, polygons: list):
    """Fill polygons in place, anti-aliased, to a sixteenth of a pixel."""
    for points, colour in polygons:
        cv2.fillPoly(image, [np.round(16 * points).astype(np.int32)], np.array(colour, float).tolist(), cv2.LINE_AA, 4)


def _noise(rng, size: tuple, cell: float) -> np.ndarray:
    """Smooth noise (H, W) in about [-1, 1], of the given grain in pixels."""
    w, h = size
    small = rng.uniform(-1, 1, (int(h / cell) + 2, int(w / cell) + 2)).astype(np.float32)
    return cv2.resize(small, (w, h), interpolation=cv2.INTER_CUBIC)


def _thing(rng, kinds: dict, x: float, y: float, size: float, tree: float) -> list:
    """Polygons [(points (n, 2), BGR)] of a thing of some kind and about ``size`` pixels high that stands at (x, y).

    Args:
        kinds: The probability of each kind.
        tree: How much higher a tree is.
    """
    kind = str(rng.choice(list(kinds), p=list(kinds.values())))
    return _SHAPES[kind](rng, x, y, size * (tree if kind == 'tree' else 1), _colour(rng, kind))


def _colour(rng, kind: str) -> np.ndarray:
    if kind == 'rock':
        return np.full(3, rng.uniform(80, 170)) + rng.normal(0, 8, 3)
    if kind == 'fence':
        return np.array([70, 95, 120]) * rng.uniform(0.7, 1.6)
    if kind == 'decoy':
        return np.array(SPECIES[rng.integers(len(SPECIES))].coats[0][rng.integers(2)][::-1]) * 0.9
    return np.array(_LEAVES[rng.integers(len(_LEAVES))]) * rng.uniform(0.9, 1.4)


def _blob(rng, x: float, y: float, rx: float, ry: float, rough: float = 0.15, n: int = 14) -> np.ndarray:
    """A rough ellipse, (n, 2)."""
    angle = np.linspace(0, 2 * np.pi, n, endpoint=False)
    return np.stack([x + rx * np.cos(angle), y + ry * np.sin(angle)], 1) + rng.normal(0, rough, (n, 2)) * [rx, ry]


def _bar(left: float, right: float, bottom: float, height: float) -> np.ndarray:
    """An upright rectangle, (4, 2)."""
    return np.array([[left, bottom], [right, bottom], [right, bottom - height], [left, bottom - height]])


# Each shape is [(points (n, 2), BGR)], a thing of height s that stands at (x, y).


def _grass(rng, x: float, y: float, s: float, colour: np.ndarray) -> list:
    roots = x + rng.uniform(-1.2, 1.2, 14) * s
    tips = roots + rng.normal(0, 0.25, 14) * s
    tops = y - s * rng.uniform(0.5, 1.0, 14)
    lights = rng.uniform(0.6, 1.2, 14)
    return [(np.array([[r - 2, y], [r + 2, y], [t, h]]), colour * f) for r, t, h, f in zip(roots, tips, tops, lights)]


def _rock(rng, x: float, y: float, s: float, colour: np.ndarray) -> list:
    whole = _blob(rng, x, y - 0.35 * s, 0.7 * s, 0.45 * s, 0.08, 9)
    return [(whole, 0.7 * colour), (_blob(rng, x - 0.1 * s, y - 0.48 * s, 0.5 * s, 0.28 * s, 0.08, 8), colour)]


def _bush(rng, x: float, y: float, s: float, colour: np.ndarray) -> list:
    return [
        (_blob(rng, x + dx * s, y - (0.3 + dy) * s, 0.45 * s, 0.4 * s), (0.6 + 0.5 * dy) * colour)
        for dx, dy in zip(rng.uniform(-0.6, 0.6, 5), np.sort(rng.uniform(0, 0.5, 5)))
    ]


def _tree(rng, x: float, y: float, s: float, colour: np.ndarray) -> list:
    trunk, bark = 0.07 * s * rng.uniform(0.7, 1.5), np.array([46, 62, 84]) * rng.uniform(0.8, 1.4)
    crown = [
        (_blob(rng, x + dx * s, y - (0.75 + dy) * s, 0.3 * s, 0.24 * s), (0.7 + 0.5 * dy) * colour)
        for dx, dy in zip(rng.uniform(-0.25, 0.25, 5), np.sort(rng.uniform(0, 0.5, 5)))
    ]
    return [(_bar(x - trunk, x + trunk, y, s), bark), *crown]


def _fence(rng, x: float, y: float, s: float, colour: np.ndarray) -> list:
    bars = [_bar(x - 3 * s, x + 3 * s, y - f * s, 0.07 * s) for f in (0.73, 0.33)]
    posts = np.arange(x - 3 * s, x + 3 * s, 0.9 * s)
    return [(bar, 0.9 * colour) for bar in bars] + [(_bar(p, p + 0.12 * s, y, s), 0.75 * colour) for p in posts]


def _decoy(rng, x: float, y: float, s: float, colour: np.ndarray) -> list:
    """A body on legs that is no animal, in an animal's colours."""
    legs = [(_bar(leg, leg + 0.08 * s, y, 0.5 * s), 0.6 * colour) for leg in x + s * rng.uniform(-0.6, 0.6, 3)]
    return [*legs, (_blob(rng, x, y - 0.6 * s, 0.8 * s, 0.35 * s, 0.04), 0.9 * colour)]


_SHAPES = {'grass': _grass, 'rock': _rock, 'bush': _bush, 'tree': _tree, 'fence': _fence, 'decoy': _decoy}
