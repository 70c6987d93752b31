"""Draws an animal: its cones are ray-cast orthographically into a depth buffer, which says what can be seen of it.

View frame: x right, y down, z towards the viewer, all in pixels. At yaw 0 the animal faces the viewer's right and so
shows its own right side.
"""

from typing import NamedTuple

import cv2
import numpy as np

from .body import KEYPOINT_NAMES, Body, Cone, build_body
from .coat import shade
from .species import Species


class Camera(NamedTuple):
    """Maps the animal frame to the view frame of an image."""

    view: np.ndarray  # (3, 3), a rotation times the pixels per animal unit
    origin: np.ndarray  # (3,), where the animal frame's origin falls, pixels, depth 0
    size: tuple  # (W, H) of the image, pixels

    def project(self, points: np.ndarray) -> np.ndarray:
        """Map points (..., 3) from the animal frame to the view frame."""
        return points @ self.view.T + self.origin

    @property
    def scale(self) -> float:
        """Pixels per animal unit."""
        return np.linalg.norm(self.view[0])


class Drawing(NamedTuple):
    """One animal on an empty canvas."""

    colour: np.ndarray  # (H, W, 3), BGR in [0, 255] times alpha
    alpha: np.ndarray  # (H, W) in [0, 1]
    keypoints: np.ndarray  # (17, 3) as (x, y, v) in pixels, v = 2, or 0 for the hidden ones
    distance: np.ndarray  # (17,), how near the keypoints are to the viewer, pixels
    shadow: np.ndarray  # (N, 2), the outline of what lies below the animal on the ground, pixels


def draw_animal(
    rng: np.random.Generator, spec: Species, size: tuple, yaw: float | None = None, part: tuple = (0.0, 1.0)
) -> Drawing:
    """Draw one individual on an empty canvas.

    Args:
        size: (W, H) of the canvas, pixels.
        yaw: Heading in degrees, 0 for the viewer's right, 90 for away from the viewer; drawn when None.
        part: Columns it may take, as fractions of the width.
    """
    body = build_body(rng, spec)
    rotation = view_matrix(draw_yaw(rng) if yaw is None else yaw, rng.uniform(0, 24), rng.normal(0, 2.5))
    return draw_body(rng, spec, body, _place(rng, body, rotation, size, part), rotation[2])


def draw_body(rng: np.random.Generator, spec: Species, body: Body, camera: Camera, toward: np.ndarray) -> Drawing:
    """Draw a posed individual as a camera sees it; the same ``rng`` makes the same coat.

    Args:
        toward: Unit vector (3,) towards the viewer, in the animal frame.
    """
    depth, cone = _cast(body, camera)
    layer = np.zeros((*depth.shape, 4), np.float32)  # BGR, alpha
    rows, cols = np.nonzero(depth > -np.inf)
    if len(rows):
        pixels = np.stack([cols, rows, depth[rows, cols]], 1) - camera.origin
        hit = (pixels @ np.linalg.inv(camera.view).T).astype(np.float32)  # (N, 3), animal frame
        layer[rows, cols, :3] = shade(rng, spec, body, hit, cone[rows, cols], toward)
        layer[rows, cols, 3] = 1
    layer = cv2.GaussianBlur(layer, (3, 3), 0.6)  # anti-aliases the outline
    return Drawing(layer[..., :3], layer[..., 3], *_look(body, camera, depth), _shadow(body, camera))


def draw_yaw(rng: np.random.Generator) -> float:
    """A heading in degrees: about a profile three times out of four, as in photographs, else any."""
    return rng.choice([0, 180]) + rng.normal(0, 25) if rng.random() < 0.75 else rng.uniform(0, 360)


def view_matrix(yaw: float, elevation: float, roll: float = 0.0) -> np.ndarray:
    """(3, 3) rotation from the animal frame to the view frame; angles in degrees, elevation that of the camera."""
    (cy, ce, cr), (sy, se, sr) = np.cos(np.radians([yaw, elevation, roll])), np.sin(np.radians([yaw, elevation, roll]))
    right, away, up = np.array([cy, -sy, 0]), np.array([sy, cy, 0]), np.array([0, 0, 1])
    down, near = -(ce * up + se * away), se * up - ce * away
    return np.stack([cr * right + sr * down, cr * down - sr * right, near])


def _place(rng, body: Body, rotation: np.ndarray, size: tuple, part: tuple) -> Camera:
    """Fit the body into columns part[0]..part[1] of the width; one in eight reaches over the edge of the image."""
    centres, radii = body.spheres()
    centres = centres @ rotation[:2].T
    low, high = (centres - radii).min(0), (centres + radii).max(0)
    room = np.array([(part[1] - part[0]) * size[0], size[1]])
    scale = rng.uniform(0.5, 0.94) * (room / (high - low)).min()
    place = rng.uniform([0.05, 0.3], 0.95) if rng.random() > 0.12 else rng.uniform([-0.6, 0.5], [1.6, 1.4])
    x, y = [part[0] * size[0], 0] + (room - scale * (high - low)) * place - scale * low
    return Camera(scale * rotation, np.array([x, y, 0]), size)


def _cast(body: Body, camera: Camera) -> tuple[np.ndarray, np.ndarray]:
    """Depth (H, W) in pixels towards the viewer, -inf where nothing is, and the cone seen there, (H, W) by index."""
    w, h = camera.size
    depth, seen = np.full((h, w), -np.inf), np.zeros((h, w), np.intp)
    ends = camera.project(body.spheres()[0])[:, :2].reshape(-1, 2, 2)  # (N, a or b, xy)
    reach = camera.scale * body.spheres()[1].reshape(-1, 2, 1) + 1
    lows = np.maximum((ends - reach).min(1).astype(int), 0)
    highs = np.minimum((ends + reach).max(1).astype(int) + 1, (w, h))
    for i, (cone, (x0, y0), (x1, y1)) in enumerate(zip(body.cones, lows, highs)):
        if x0 < x1 and y0 < y1:
            found = _ray_cone(np.arange(x0, x1), np.arange(y0, y1)[:, None], camera, cone)
            window = np.s_[y0:y1, x0:x1]
            nearer = found > depth[window]
            depth[window][nearer], seen[window][nearer] = found[nearer], i
    return depth, seen


def _ray_cone(x: np.ndarray, y: np.ndarray, camera: Camera, cone: Cone) -> np.ndarray:
    """Depth (h, w) in pixels at which the rays of columns x (w,) and rows y (h, 1) meet a cone, or -inf."""
    u, v = x - camera.origin[0], y - camera.origin[1]
    (a, b, ra, rb, *_), inverse = cone, np.linalg.inv(camera.view)
    ray, axis, taper = -camera.scale * inverse[:, 2], b - a, ra - rb
    # o runs from a to the pixel in the plane of depth 0: its products with fixed vectors are polynomials in u and v.
    (p, q), c = inverse[:, :2].T, -a
    o_axis = (p @ axis) * u + ((q @ axis) * v + c @ axis)
    o_ray = (p @ ray) * u + ((q @ ray) * v + c @ ray)
    o_o = ((p @ p) * u + 2 * (p @ c)) * u + ((q @ q) * v + 2 * (q @ c)) * v + (2 * (p @ q)) * (u * v) + c @ c
    m0, m2 = axis @ axis, axis @ ray
    hit = np.full(o_o.shape, np.inf)
    for along, square, r in ((o_ray, o_o, ra), (o_ray - m2, o_o - 2 * o_axis + m0, rb)):  # the two spheres
        disc = along * along - square + r * r
        hit = np.minimum(hit, np.where(disc > 0, -along - np.sqrt(np.maximum(disc, 0)), np.inf))
    d = m0 - taper * taper
    if d > 1e-9:  # else one sphere swallows the other and there is no cone between them
        k2 = d - m2 * m2
        k1 = d * o_ray - o_axis * m2 + m2 * taper * ra
        k0 = d * o_o - o_axis * o_axis + 2 * taper * ra * o_axis - m0 * ra * ra
        disc = k1 * k1 - k0 * k2
        t = (-k1 - np.sqrt(np.maximum(disc, 0))) / k2
        place = o_axis - ra * taper + t * m2
        hit = np.where((disc > 0) & (place > 0) & (place < d), np.minimum(hit, t), hit)
    return -hit * camera.scale


def _look(body: Body, camera: Camera, depth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Keypoints (17, 3) as (x, y, v), v = 0 where something lies before them, and their distance (17,)."""
    positions, reach = zip(*(body.points[name] for name in KEYPOINT_NAMES))
    points, (h, w) = camera.project(np.array(positions)), depth.shape
    keypoints = np.round(points).astype(int)
    x, y = keypoints[:, 0], keypoints[:, 1]
    inside = (x >= 0) & (x < w) & (y >= 0) & (y < h)
    before = depth[np.clip(y, 0, h - 1), np.clip(x, 0, w - 1)] - points[:, 2]
    keypoints[:, 2] = np.where(inside & (before < camera.scale * np.array(reach)), 2, 0)
    return keypoints, points[:, 2]


def _shadow(body: Body, camera: Camera) -> np.ndarray:
    """Polygon (N, 2) in pixels around what lies straight below the body on the ground."""
    centres, radii = body.spheres()
    corners = 0.7 * radii[:, None] * [(1, 1, 0), (1, -1, 0), (-1, 1, 0), (-1, -1, 0)]  # (N, 4, 3)
    spots = camera.project(centres[:, None] * [1, 1, 0] + corners)[..., :2]
    return cv2.convexHull(spots.reshape(-1, 2).astype(np.float32))[:, 0]
