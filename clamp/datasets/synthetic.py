"""The demo data: procedurally drawn animals in AP-10K's own layout, so that every config runs before any download.

Each animal is a posed 3D skeleton covered with round cones (two spheres and the cone that wraps them), ray-cast
orthographically into a depth buffer. The depth buffer, not a guess, says which keypoints can be seen.

Animal frame: x forward, y to the animal's left, z up, the ground at z = 0; one unit is the distance from shoulders to
hips. View frame: x right, y down, z towards the viewer, all in pixels. At yaw 0 the animal faces the viewer's right and
so shows its own right side.
"""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np

KEYPOINT_NAMES = (
    'left_eye', 'right_eye', 'nose', 'neck', 'root_of_tail', 'left_shoulder', 'left_elbow', 'left_front_paw',
    'right_shoulder', 'right_elbow', 'right_front_paw', 'left_hip', 'left_knee', 'left_back_paw', 'right_hip',
    'right_knee', 'right_back_paw',
)  # fmt: skip
SKELETON = (
    (1, 2), (1, 3), (2, 3), (3, 4), (4, 5), (4, 6), (6, 7), (7, 8), (4, 9), (9, 10), (10, 11), (5, 12), (12, 13),
    (13, 14), (5, 15), (15, 16), (16, 17),
)  # fmt: skip
SPLITS = {'train': 0, 'val': 1}
MIN_VISIBLE = 5
DESCRIPTION = 'Drawn animals in the layout of AP-10K'
GENERATOR = 1  # to be raised whenever the same options give other pictures
MARKER = '.incomplete'
COAT, PALE, DARK, HORN, EYE, MANE, FEET = range(7)  # materials of a cone


@dataclass(frozen=True)
class Species:
    """Proportions in shoulder-to-hip lengths, angles in degrees above the horizontal, colours in RGB.

    ``head`` is (skull radius, muzzle length, muzzle radius); ``ear`` (length, radius, angle); ``neck`` (length, angle,
    radius); ``tail`` (length, radius at root, radius at tip, angle). ``coats`` are (ground, marking) colour pairs.
    """

    name: str
    family: str
    category_id: int  # AP-10K's own
    leg: float
    hind: float  # hind leg length over front leg length
    torso: float  # radius of the chest
    waist: float  # radius of the belly over that of the chest
    limb: float  # radius of a leg at its elbow
    neck: tuple
    head: tuple
    ear: tuple
    tail: tuple
    horns: str
    pattern: str
    coats: tuple
    feet: tuple | None = None  # colour of the lower legs, None for the coat's
    pale: float = 0.0  # how far the underside fades to PALE
    mane: bool = False
    rests: bool = False  # sits and lies down as often as it stands


_BAY, _CREAM, _SOOT = (118, 66, 36), (238, 228, 208), (38, 32, 30)
SPECIES = (
    Species('cow', 'Bovidae', 5, 0.80, 1.0, 0.33, 1.04, 0.085, (0.40, 14, 0.19), (0.155, 0.27, 0.10), (0.2, 0.05, 0),
            (0.75, 0.035, 0.02, -84), 'cow', 'patches', ((_CREAM, _SOOT), (_CREAM, (128, 62, 30)), (_SOOT, _CREAM))),
    Species('sheep', 'Bovidae', 6, 0.62, 1.0, 0.37, 1.06, 0.06, (0.30, 34, 0.18), (0.12, 0.21, 0.075),
            (0.16, 0.04, -12), (0.18, 0.07, 0.05, -70), 'curl', 'wool', ((_CREAM, _SOOT), ((205, 196, 180),
            (214, 196, 170))), _SOOT),
    Species('dog', 'Canidae', 8, 0.70, 1.0, 0.23, 0.78, 0.065, (0.30, 48, 0.125), (0.135, 0.20, 0.068),
            (0.17, 0.06, -62), (0.5, 0.045, 0.02, 38), '', 'patches', ((_CREAM, (120, 74, 40)), ((186, 134, 76),
            (216, 178, 126)), (_SOOT, (176, 112, 58)), ((235, 235, 232), (60, 58, 60))), rests=True),
    Species('fox', 'Canidae', 9, 0.54, 1.0, 0.19, 0.9, 0.045, (0.26, 40, 0.12), (0.12, 0.19, 0.042), (0.17, 0.07, 72),
            (0.85, 0.06, 0.12, -24), '', 'plain', (((206, 98, 34), (206, 98, 34)), ((178, 84, 44), (178, 84, 44))),
            _SOOT, 0.9, rests=True),
    Species('cat', 'Felidae', 24, 0.47, 1.0, 0.2, 0.95, 0.05, (0.20, 45, 0.11), (0.145, 0.075, 0.062),
            (0.13, 0.075, 68), (0.8, 0.04, 0.03, 12), '', 'tabby', (((150, 142, 132), (78, 72, 68)), ((224, 150, 78),
            (176, 92, 36)), (_SOOT, _SOOT), ((236, 232, 226), (140, 134, 128))), None, 0.5, rests=True),
    Species('tiger', 'Felidae', 32, 0.60, 1.0, 0.25, 0.92, 0.085, (0.28, 24, 0.17), (0.17, 0.13, 0.092),
            (0.09, 0.06, 50), (0.85, 0.05, 0.04, -36), '', 'tiger', (((226, 138, 44), _SOOT), ((206, 120, 48),
            _SOOT)), None, 1.0, rests=True),
    Species('horse', 'Equidae', 21, 0.96, 1.02, 0.29, 0.94, 0.075, (0.62, 46, 0.14), (0.135, 0.36, 0.076),
            (0.13, 0.035, 74), (0.78, 0.06, 0.09, -74), '', 'plain', ((_BAY, _BAY), (_SOOT, _SOOT), ((196, 190, 184),
            (196, 190, 184)), ((158, 84, 40), (158, 84, 40)), ((206, 164, 98), (206, 164, 98))), None, 0.0, True),
    Species('zebra', 'Equidae', 22, 0.84, 1.0, 0.31, 1.0, 0.075, (0.50, 42, 0.15), (0.135, 0.31, 0.078),
            (0.15, 0.045, 68), (0.6, 0.035, 0.025, -78), '', 'zebra', ((_CREAM, (30, 28, 30)), ((232, 230, 226),
            (44, 36, 34))), None, 0.0, True),
    Species('giraffe', 'Giraffidae', 33, 1.42, 0.88, 0.33, 0.8, 0.08, (1.45, 62, 0.12), (0.115, 0.29, 0.066),
            (0.16, 0.045, 8), (0.7, 0.03, 0.02, -84), 'knobs', 'cells', (((232, 206, 150), (150, 88, 40)),
            ((236, 216, 172), (112, 62, 32)))),
    Species('deer', 'Cervidae', 17, 0.98, 1.03, 0.235, 0.86, 0.05, (0.50, 54, 0.105), (0.105, 0.22, 0.055),
            (0.2, 0.055, 32), (0.18, 0.05, 0.03, -40), 'antlers', 'spots', (((164, 104, 58), _CREAM), ((134, 92, 60),
            _CREAM), ((182, 122, 74), _CREAM)), None, 0.7),
)  # fmt: skip

# Joint angles in degrees from straight down, forwards positive: (upper, middle, lower) of the front and the hind leg.
POSES = {
    'stand': ((-16, 8, 2), (24, -34, 6)),
    'sit': ((-14, 6, 2), (66, -72, 86)),
    'lie': ((-56, 86, 88), (74, -84, 88)),
}
FRONT_LEG, HIND_LEG = (0.36, 0.36, 0.28), (0.35, 0.36, 0.29)  # lengths of the three bones over the leg's


class _Body:
    """Collects the round cones and the keypoints of one animal, in the animal frame."""

    def __init__(self):
        self.cones = []  # (a, b, radius at a, radius at b, material, length along the coat at a)
        self.points = {}  # name -> ((3,), how deep under the surface it may lie and still count as seen)

    def add(self, *chain, material=COAT, start=0.0):
        """Joins consecutive (position, radius) pairs by round cones."""
        for (a, ra), (b, rb) in pairwise(chain):
            a, b = np.asarray(a, float), np.asarray(b, float)
            self.cones.append((a, b, ra, rb, material, start))
            start += np.linalg.norm(b - a)


def _direction(pitch: float, yaw: float = 0.0) -> np.ndarray:
    """Unit vector, pitch above the horizontal and yaw to the left of x, in degrees."""
    pitch, yaw = np.radians([pitch, yaw])
    return np.array([np.cos(pitch) * np.cos(yaw), np.cos(pitch) * np.sin(yaw), np.sin(pitch)])


def _add_leg(body: _Body, rng, spec: Species, root, side: str, front: bool, pose: str, phase: float, stride: float):
    """A leg from its root: three bones in the sagittal plane, the middle joint between them a helper."""
    angles = np.array(POSES[pose][0 if front else 1], float) + rng.normal(0, 3, 3)
    if pose == 'stand':
        lift = max(0.0, np.cos(phase)) * stride
        angles += stride * np.sin(phase) + lift * np.array([0.4, -1.2, -1.8] if front else [0.9, -1.0, -0.3])
    bones = np.array(FRONT_LEG if front else HIND_LEG) * spec.leg * (1 if front else spec.hind)
    joints = [np.array(root)]
    for bone, angle in zip(bones, np.radians(angles)):
        joints.append(joints[-1] + bone * np.array([np.sin(angle), 0, -np.cos(angle)]))
    joints = [np.array([x, y, max(z, 0.02)]) for x, y, z in joints]
    thick, r = spec.torso * (0.42 if front else 0.56), spec.limb
    material = FEET if spec.feet else COAT
    body.add((joints[0], thick), (joints[1], r * (1.05 if front else 1.3)), (joints[2], r * 0.75))
    body.add((joints[2], r * 0.75), (joints[3], r * 0.62), material=material, start=bones[:2].sum())
    toe = joints[3] + np.array([r * 0.8, 0, 0])
    body.add((joints[3], r * 0.75), (toe, r * 0.7), material=material if spec.rests else DARK)
    names = ('shoulder', 'elbow', 'front_paw') if front else ('hip', 'knee', 'back_paw')
    for name, joint, reach in zip(names, (joints[0], joints[1], joints[3]), (0.85 * spec.torso, 1.8 * r, 1.8 * r)):
        body.points[f'{side}_{name}'] = joint, reach


def _add_horns(body: _Body, spec: Species, at: Callable, y: int):
    """One horn; ``at`` maps (forward, left, up) in skull radii to the animal frame, y is the side, +1 or -1."""
    r, horn = spec.head[0], {'material': HORN}
    if spec.horns == 'cow':
        body.add(
            (at(-0.1, 0.5 * y, 0.8), 0.25 * r), (at(0, 1.4 * y, 1.1), 0.2 * r), (at(0.3, 1.7 * y, 1.9), 0.04), **horn
        )
    elif spec.horns == 'curl':
        curl = [(at(-0.7 * np.sin(a), y * (0.6 + 0.2 * a), 0.1 + 0.85 * np.cos(a)), r * (0.34 - 0.05 * a))
                for a in np.linspace(0, 4.4, 6)]  # fmt: skip
        body.add(*curl, **horn)
    elif spec.horns == 'knobs':
        body.add((at(-0.2, 0.4 * y, 0.7), 0.2 * r), (at(-0.3, 0.5 * y, 1.9), 0.18 * r))
        body.add((at(-0.3, 0.5 * y, 1.9), 0.26 * r), (at(-0.3, 0.5 * y, 2.0), 0.26 * r), material=DARK)
    elif spec.horns == 'antlers':
        beam = [at(-0.2, 0.4 * y, 0.8), at(-1.0, 1.3 * y, 2.4), at(-0.6, 2.2 * y, 4.0), at(0.5, 2.3 * y, 5.0)]
        body.add(*zip(beam, (0.024, 0.022, 0.018, 0.008)), **horn)
        tines = (0.9, 0.7 * y, 2.0), (0.5, 1.4 * y, 3.4), (-1.2, 2.5 * y, 5.0)
        for joint, tip in zip(beam, tines):
            body.add((joint, 0.02), (at(*tip), 0.008), **horn)


def _add_head(body: _Body, rng, spec: Species, base, pitch: float, yaw: float, horned: bool):
    """Skull, muzzle, nose, eyes, ears and horns on the end of the neck."""
    r, length, muzzle = spec.head
    forward, left = _direction(pitch, yaw), _direction(0, yaw + 90)
    frame = np.stack([forward, left, np.cross(forward, left)], 1)  # (3, 3), columns in the animal frame

    def at(x, y, z):
        return base + r * frame @ np.array([x, y, z])

    tip = at(0.4 + length / r, 0, -0.3)
    face = FEET if spec.pattern == 'wool' else COAT
    body.add((base, r), (at(0.5, 0, -0.1), 0.86 * r), (tip, muzzle), material=face)
    body.add((at(0.5 + 0.5 * length / r, 0, -0.45), 0.9 * muzzle), (tip - 0.25 * muzzle * frame[:, 2], 0.9 * muzzle),
             material=PALE if spec.pale else face)  # fmt: skip
    nose = tip + muzzle * (0.75 * forward + 0.3 * frame[:, 2])
    body.add((nose, 0.42 * muzzle), (nose + 0.05 * muzzle * forward, 0.42 * muzzle), material=DARK)
    body.points['nose'] = nose, 1.1 * muzzle
    ear, ear_radius, ear_angle = spec.ear
    for side, y in (('left', 1), ('right', -1)):
        eye = at(0.62, 0.66 * y, 0.38)
        body.add((eye, 0.19 * r), (eye + 0.02 * r * forward, 0.19 * r), material=EYE)
        body.points[f'{side}_eye'] = eye, 0.5 * r
        out = frame @ (_direction(ear_angle + rng.normal(0, 6), 90 * y) - np.array([0.2, 0, 0]))
        root = at(-0.25, 0.62 * y, 0.62)
        widths = ear_radius * np.array([1, 0.85, 0.25])
        body.add(*zip((root, root + 0.45 * ear * out, root + ear * out), widths), material=face)
        if horned:
            _add_horns(body, spec, at, y)


def _add_tail(body: _Body, rng, spec: Species, chest: np.ndarray, rump: np.ndarray):
    """Two bones of tail, and a tuft or the fox's white tip on its end."""
    d = spec.torso
    length, thick, thin, angle = spec.tail
    axis = (rump - chest) / np.linalg.norm(rump - chest)
    root = rump + 0.92 * d * (0.8 * axis + np.array([0, 0, 0.5]))
    swing, angle = rng.normal(0, 18), angle + rng.normal(0, 10)
    middle = root + 0.5 * length * _direction(angle + 12, 180 + swing)
    end = middle + 0.5 * length * _direction(angle - (25 if angle < 0 else -20), 180 + 1.6 * swing)
    hair = MANE if spec.name == 'horse' else COAT
    body.add((root, thick), (middle, (thick + thin) / 2 + 0.2 * thin), (end, thin), material=hair)
    if spec.tail[3] < -76 or spec.name == 'fox':
        body.add((end, 0.05 if thin < 0.05 else thin), (end + 0.14 * _direction(angle - 10, 180 + swing), 0.03),
                 material=PALE if spec.name == 'fox' else MANE)  # fmt: skip
    body.points['root_of_tail'] = root, 1.2 * d


def build_body(rng: np.random.Generator, spec: Species) -> _Body:
    """Poses one individual: its stance, its gait, where it looks."""
    body = _Body()
    pose = str(rng.choice(['stand', 'sit', 'lie'], p=[0.6, 0.22, 0.18] if spec.rests else [0.94, 0.0, 0.06]))
    d, stride = spec.torso, rng.choice([4.0, 16.0, 28.0])
    height = [spec.leg * scale * np.dot(bones, np.cos(np.radians(angles)))
              for bones, angles, scale in zip((FRONT_LEG, HIND_LEG), POSES[pose], (1, spec.hind))]  # fmt: skip
    chest, rump = (np.array([x, 0, max(z, 0.6 * d)]) for x, z in zip((0.5, -0.5), height))
    if pose == 'sit':
        rump[0] += 0.16
    lift = np.array([0, 0, 0.22 * d])
    body.add((chest + lift, d), ((chest + rump) / 2 + 0.6 * lift, d * spec.waist), (rump + lift, 0.92 * d))
    phase = rng.uniform(0, 2 * np.pi)
    for side, y in (('left', 1), ('right', -1)):
        for front, middle, offset in ((True, chest, 0.0), (False, rump, 0.6)):
            _add_leg(body, rng, spec, middle + np.array([0, 0.62 * d * y, 0]), side, front, pose,
                     phase + np.pi * (offset + (y > 0)), stride)  # fmt: skip
    length, angle, radius = spec.neck
    grazing = pose == 'stand' and rng.random() < (0.1 if spec.rests else 0.28)
    angle = rng.uniform(-62, -38) if grazing else angle + rng.normal(0, 8)
    yaw = rng.normal(0, 22)
    neck = chest + d * np.array([0.35, 0, 0.5])
    head = neck + length * _direction(angle, 0.6 * yaw)
    body.add(
        (neck - d * np.array([0.1, 0, 0.1]), max(0.7 * d, radius)),
        ((neck + head) / 2, radius),
        (head, 0.85 * radius),
        start=1,
    )
    body.points['neck'] = neck + 0.2 * (head - neck), 1.35 * max(0.85 * d, radius)
    if spec.mane:
        crest = np.cross(_direction(angle, 0.6 * yaw), [0, -1, 0]) * radius
        body.add(
            (neck + 1.1 * crest, 0.07), ((neck + head) / 2 + 0.9 * crest, 0.07), (head + crest, 0.06), material=MANE
        )
    _add_head(body, rng, spec, head, rng.normal(-70 if grazing else -26, 9), yaw, rng.random() < 0.75)
    _add_tail(body, rng, spec, chest, rump + lift)
    return body


def view_matrix(yaw: float, elevation: float, roll: float = 0.0) -> np.ndarray:
    """(3, 3) rotation from the animal frame to the view frame; angles in degrees, elevation that of the camera."""
    (cy, ce, cr), (sy, se, sr) = np.cos(np.radians([yaw, elevation, roll])), np.sin(np.radians([yaw, elevation, roll]))
    right, away, up = np.array([cy, -sy, 0]), np.array([sy, cy, 0]), np.array([0, 0, 1])
    down, near = -(ce * up + se * away), se * up - ce * away
    return np.stack([cr * right + sr * down, cr * down - sr * right, near])


def _ray_cone(u: np.ndarray, v: np.ndarray, inverse: np.ndarray, a, b, ra: float, rb: float) -> np.ndarray:
    """Depth (h, w), view frame, at which the rays of columns u (w,) and rows v (h, 1) meet a round cone; or -inf."""
    norm = np.linalg.norm(inverse[:, 2])
    ray, axis, taper = -inverse[:, 2] / norm, b - a, ra - rb
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
        y = o_axis - ra * taper + t * m2
        hit = np.where((disc > 0) & (y > 0) & (y < d), np.minimum(hit, t), hit)
    return -hit / norm


def _cast(body: _Body, view: np.ndarray, origin: np.ndarray, size: tuple) -> tuple[np.ndarray, np.ndarray]:
    """Ray-casts all cones.

    Args:
        view: (3, 3), animal frame to pixels.
        origin: (2,), where the animal frame's origin falls, pixels.
        size: (W, H) of the buffers, pixels.

    Returns:
        depth (H, W) in pixels towards the viewer, -inf where nothing is, and cone (H, W), the index of the one seen.
    """
    w, h = size
    inverse = np.linalg.inv(view)
    depth, cone = np.full((h, w), -np.inf), np.zeros((h, w), np.intp)
    scale = np.linalg.norm(view[:2], axis=1).max()
    for i, (a, b, ra, rb, *_) in enumerate(body.cones):
        ends, reach = np.stack([a, b]) @ view[:2].T + origin, scale * np.array([[ra], [rb]]) + 1
        x0, y0 = np.maximum((ends - reach).min(0).astype(int), 0)
        x1, y1 = np.minimum((ends + reach).max(0).astype(int) + 1, (w, h))
        if x0 < x1 and y0 < y1:
            found = _ray_cone(
                np.arange(x0, x1) - origin[0], np.arange(y0, y1)[:, None] - origin[1], inverse, a, b, ra, rb
            )
            window = depth[y0:y1, x0:x1], cone[y0:y1, x0:x1]
            nearer = found > window[0]
            window[0][nearer], window[1][nearer] = found[nearer], i
    return depth, cone


def _waves(rng, points: np.ndarray, wavelength: float) -> np.ndarray:
    """Smooth noise (N,) of about unit variance at 3D points (N, 3): a sum of randomly oriented sines."""
    waves = rng.normal(size=(3, 7))
    waves *= 2 * np.pi / wavelength * rng.uniform(0.7, 1.4, 7) / np.linalg.norm(waves, axis=0)
    return np.sin(points @ waves.astype(np.float32) + rng.uniform(0, 2 * np.pi, 7).astype(np.float32)).sum(1) / 1.9


def _marking(rng, pattern: str, hit: np.ndarray, along: np.ndarray, normal: np.ndarray) -> np.ndarray:
    """How much of the marking colour each coat point shows, (N,) in [0, 1]; ``along`` is its place on the limb."""
    if pattern == 'plain':
        return np.zeros(len(hit))
    noise = _waves(rng, hit, {'patches': 0.9, 'tabby': 0.5, 'tiger': 0.45, 'zebra': 0.9}.get(pattern, 0.7))
    if pattern == 'patches':
        field = noise - rng.uniform(-0.5, 0.5)
    elif pattern == 'zebra':
        field = np.sin(2 * np.pi * along / rng.uniform(0.11, 0.15) + 1.0 * noise)
    elif pattern in ('tiger', 'tabby'):
        wavelength = 0.17 if pattern == 'tiger' else 0.14
        field = np.sin(2 * np.pi * along / wavelength + 1.3 * noise) - 0.5 + 0.5 * normal[:, 2]
    elif pattern == 'cells':  # staggered bricks, bent by noise, with pale mortar between them
        x, z = 5.2 * hit[:, 0] + 0.35 * noise, 4.6 * hit[:, 2] + 0.35 * noise
        x = x + 0.5 * (np.floor(z) % 2)
        field = 4 * (np.minimum(0.5 - np.abs(x % 1 - 0.5), 0.5 - np.abs(z % 1 - 0.5)) - 0.11)
    elif pattern == 'spots':
        x, z = 9 * hit[:, 0] + 0.4 * noise, 9 * hit[:, 2] + 0.3 * noise
        field = 0.24 - np.hypot((x + 0.5 * (np.floor(z) % 2)) % 1 - 0.5, z % 1 - 0.5) - 0.5 * (normal[:, 2] < -0.1)
        field *= 4
    else:
        field = -np.ones(len(hit))
    return np.clip(0.5 + 4 * field, 0, 1)


def _palette(rng, spec: Species) -> tuple[np.ndarray, np.ndarray]:
    """This individual's colours: (7, 3) by material and (3,) of its markings, RGB."""
    coat = spec.coats[rng.integers(len(spec.coats))]
    ground, mark = (np.array(c) * rng.uniform(0.85, 1.1) + rng.normal(0, 6, 3) for c in coat)
    mane = np.array(_SOOT, float)
    if spec.mane and spec.pattern == 'plain':
        mane = 0.9 * np.array(_CREAM) if rng.random() < 0.3 else 0.6 * mark
    palette = [ground, _CREAM, _SOOT, (150, 132, 104), (16, 12, 12), mane, spec.feet or ground]
    return np.array(palette, np.float32), mark.astype(np.float32)


def _shade(
    rng, spec: Species, body: _Body, view: np.ndarray, origin, depth: np.ndarray, cone: np.ndarray
) -> np.ndarray:
    """Colours (N, 3), BGR in [0, 255], of the pixels at which something is, in row order."""
    rows, cols = np.nonzero(depth > -np.inf)
    z, index = depth[rows, cols].astype(np.float32), cone[rows, cols]
    hit = np.stack([cols - origin[0], rows - origin[1], z], 1).astype(np.float32)
    hit = hit @ np.linalg.inv(view).T.astype(np.float32)  # (N, 3), animal frame
    a, b, ra, rb, start = (np.array(column, np.float32)[index] for column in zip(*(c[:4] + c[5:] for c in body.cones)))
    material = np.array([c[4] for c in body.cones])[index]
    axis = b - a
    m0 = np.einsum('ij,ij->i', axis, axis)
    y = np.clip((np.einsum('ij,ij->i', hit - a, axis) - ra * (ra - rb)) / np.maximum(m0 - (ra - rb) ** 2, 1e-9), 0, 1)
    normal = hit - a - axis * y[:, None]
    normal /= np.sqrt(np.einsum('ij,ij->i', normal, normal))[:, None] + 1e-6
    palette, mark = _palette(rng, spec)
    colour = palette[material]
    coat = material == COAT
    share = np.where(coat, _marking(rng, spec.pattern, hit, start + y * np.sqrt(m0), normal), 0)[:, None]
    colour = colour * (1 - share) + mark * share
    below = np.clip(-normal[:, 2] * 1.6, 0, 1) * spec.pale * coat
    colour += (np.array(_CREAM, np.float32) - colour) * below[:, None]
    if spec.pattern == 'wool':
        normal = normal + 0.35 * np.stack([_waves(rng, hit, 0.13) for _ in range(3)], 1) * coat[:, None]
    lambert = np.clip(normal @ _direction(rng.uniform(25, 70), rng.uniform(0, 360)).astype(np.float32), 0, 1)
    facing = normal @ (view[2] / np.linalg.norm(view[2])).astype(np.float32)
    shade = 0.42 + 0.2 * normal[:, 2] + 0.4 * lambert + 0.22 * facing
    far = (z - z.min()) / (np.ptp(z) + 1e-9)
    shade = shade * (0.72 + 0.28 * far) * (1 + 0.05 * rng.standard_normal(len(z), np.float32))
    return np.clip(colour * shade[:, None], 0, 255)[:, ::-1]


def _place(rng, body: _Body, view: np.ndarray, size: tuple, part: tuple) -> tuple[float, np.ndarray]:
    """Pixels per animal unit and the origin's place (2,) that fit the body into columns part[0]..part[1] of the width.

    One animal in eight reaches over the edge of the image.
    """
    ends = np.array([(a, b) for a, b, *_ in body.cones]) @ view[:2].T  # (N, 2, 2)
    radii = np.array([(ra, rb) for _, _, ra, rb, *_ in body.cones])[..., None]
    low, high = (ends - radii).min((0, 1)), (ends + radii).max((0, 1))
    room = np.array([(part[1] - part[0]) * size[0], size[1]])
    scale = rng.uniform(0.5, 0.94) * (room / (high - low)).min()
    place = rng.uniform([0.05, 0.3], 0.95) if rng.random() > 0.12 else rng.uniform([-0.6, 0.5], [1.6, 1.4])
    return scale, [part[0] * size[0], 0] + (room - scale * (high - low)) * place - scale * low


def _shadow(body: _Body, view: np.ndarray, origin: np.ndarray) -> np.ndarray:
    """Polygon (N, 2) in pixels around what lies straight below the body on the ground."""
    spots = np.array([(a, b) for a, b, *_ in body.cones]).reshape(-1, 1, 3) * [1, 1, 0]
    radii = np.array([(ra, rb) for _, _, ra, rb, *_ in body.cones]).reshape(-1, 1, 1)
    spots = spots + 0.7 * radii * [(1, 1, 0), (1, -1, 0), (-1, 1, 0), (-1, -1, 0)]  # (N, 4, 3)
    return cv2.convexHull((spots.reshape(-1, 3) @ view[:2].T + origin).astype(np.float32))[:, 0]


def _look(body: _Body, view: np.ndarray, origin: np.ndarray, depth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Keypoints (17, 3) as (x, y, v), v = 0 where something lies before them, and their distance (17,)."""
    positions, reach = zip(*(body.points[name] for name in KEYPOINT_NAMES))
    points = np.array(positions) @ view.T
    reach = np.array(reach) * np.linalg.norm(view[2])
    h, w = depth.shape
    keypoints = np.concatenate([np.round(points[:, :2] + origin), np.zeros((17, 1))], 1).astype(int)
    for k, (x, y, _) in enumerate(keypoints):
        inside = 0 <= x < w and 0 <= y < h
        keypoints[k, 2] = 2 if inside and depth[y, x] - points[k, 2] < reach[k] else 0
    return keypoints, points[:, 2]


def draw_animal(
    rng: np.random.Generator, spec: Species, size: tuple, yaw: float | None = None, part: tuple = (0.0, 1.0)
) -> dict:
    """Draws one individual on an empty canvas.

    Args:
        size: (W, H) of the canvas, pixels.
        yaw: heading in degrees, 0 for the viewer's right, 90 for away from the viewer; any when None, side views
            more often than not, as in photographs.
        part: columns it may take, as fractions of the width.

    Returns:
        colour (H, W, 3) BGR times alpha; alpha (H, W) in [0, 1]; keypoints (17, 3) as (x, y, v) in pixels, v = 0 for
        the hidden ones; distance (17,), how near the keypoints are to the viewer, pixels; shadow (N, 2), pixels.
    """
    body = build_body(rng, spec)
    if yaw is None:
        yaw = rng.uniform(0, 360) if rng.random() < 0.5 else rng.choice([0, 180]) + rng.normal(0, 28)
    view = view_matrix(yaw, rng.uniform(0, 24), rng.normal(0, 2.5))
    scale, origin = _place(rng, body, view, size, part)
    view = scale * view
    depth, cone = _cast(body, view, origin, size)
    mask = depth > -np.inf
    layer = np.zeros((*mask.shape, 4), np.float32)
    if mask.any():
        layer[mask, :3] = _shade(rng, spec, body, view, origin, depth, cone)
    layer[mask, 3] = 1
    layer = cv2.GaussianBlur(layer, (3, 3), 0.6)  # anti-aliases the outline
    keypoints, distance = _look(body, view, origin, depth)
    shadow = _shadow(body, view, origin)
    return {
        'colour': layer[..., :3],
        'alpha': layer[..., 3],
        'keypoints': keypoints,
        'distance': distance,
        'shadow': shadow,
    }


def _noise(rng, size: tuple, cell: float) -> np.ndarray:
    """Smooth noise (H, W) in about [-1, 1], of the given grain in pixels."""
    w, h = size
    small = rng.uniform(-1, 1, (int(h / cell) + 2, int(w / cell) + 2)).astype(np.float32)
    return cv2.resize(small, (w, h), interpolation=cv2.INTER_CUBIC)


def _blob(rng, x: float, y: float, rx: float, ry: float, rough: float = 0.15, n: int = 14) -> np.ndarray:
    """A rough ellipse, (n, 2)."""
    angle = np.linspace(0, 2 * np.pi, n, endpoint=False)
    return np.stack([x + rx * np.cos(angle), y + ry * np.sin(angle)], 1) + rng.normal(0, rough, (n, 2)) * [rx, ry]


def _bar(left: float, right: float, bottom: float, height: float) -> np.ndarray:
    """An upright rectangle, (4, 2)."""
    return np.array([[left, bottom], [right, bottom], [right, bottom - height], [left, bottom - height]])


def _prop(rng, kind: str, x: float, y: float, size: float, colour: np.ndarray) -> list:
    """Polygons [(points (n, 2), BGR)] of a thing of the given height that stands at (x, y), pixels."""

    def lit(shape, f):
        return shape, colour * f

    if kind == 'grass':
        root = x + rng.uniform(-1.2, 1.2, (14, 1)) * size
        tip = root + rng.normal(0, 0.25, (14, 1)) * size
        top = y - size * rng.uniform(0.5, 1.0, (14, 1))
        return [
            lit(np.stack([[r - 2, y], [r + 2, y], [t, h]]), f)
            for (r,), (t,), (h,), f in zip(root, tip, top, rng.uniform(0.6, 1.2, 14))
        ]
    if kind == 'rock':
        return [
            lit(_blob(rng, x, y - 0.35 * size, 0.7 * size, 0.45 * size, 0.08, 9), 0.7),
            lit(_blob(rng, x - 0.1 * size, y - 0.48 * size, 0.5 * size, 0.28 * size, 0.08, 8), 1.0),
        ]
    if kind == 'bush':
        return [
            lit(_blob(rng, x + dx * size, y - (0.3 + dy) * size, 0.45 * size, 0.4 * size), 0.6 + 0.5 * dy)
            for dx, dy in zip(rng.uniform(-0.6, 0.6, 5), np.sort(rng.uniform(0, 0.5, 5)))
        ]
    if kind == 'fence':
        posts = np.arange(x - 3 * size, x + 3 * size, 0.9 * size)
        bars = [_bar(x - 3 * size, x + 3 * size, y - f * size, 0.07 * size) for f in (0.73, 0.33)]
        return [lit(bar, 0.9) for bar in bars] + [lit(_bar(p, p + 0.12 * size, y, size), 0.75) for p in posts]
    if kind == 'tree':
        trunk, bark = 0.07 * size * rng.uniform(0.7, 1.5), np.array([46, 62, 84]) * rng.uniform(0.6, 1.3)
        crown = [lit(_blob(rng, x + dx * size, y - (0.75 + dy) * size, 0.3 * size, 0.24 * size), 0.7 + 0.5 * dy)
                 for dx, dy in zip(rng.uniform(-0.25, 0.25, 5), np.sort(rng.uniform(0, 0.5, 5)))]  # fmt: skip
        return [(_bar(x - trunk, x + trunk, y, size), bark), *crown]
    # 'decoy': a body on legs that is no animal, in an animal's colours
    legs = [lit(_bar(p, p + 0.08 * size, y, 0.5 * size), 0.6) for p in x + size * rng.uniform(-0.6, 0.6, 3)]
    return [*legs, lit(_blob(rng, x, y - 0.6 * size, 0.8 * size, 0.35 * size, 0.04), 0.9)]


def _paint(image: np.ndarray, polygons: list):
    """Fills polygons in place, anti-aliased, to a sixteenth of a pixel."""
    for points, colour in polygons:
        cv2.fillPoly(image, [np.round(16 * points).astype(np.int32)], np.array(colour, float).tolist(), cv2.LINE_AA, 4)


_SKIES = ((235, 200, 150), (240, 225, 205), (215, 215, 215), (150, 190, 240), (120, 100, 90))
_GROUNDS = ((60, 130, 95), (70, 110, 130), (120, 165, 195), (222, 222, 222), (50, 75, 70), (90, 100, 110), (60, 90, 60))
_LEAVES = ((45, 95, 60), (60, 120, 110), (50, 80, 45), (70, 100, 130))


def _scene(rng, size: tuple) -> np.ndarray:
    """A cluttered landscape, (H, W, 3) float32, BGR in [0, 255]."""
    w, h = size
    horizon = h * rng.uniform(0.05, 0.5)
    sky, soil = (np.array(c[rng.integers(len(c))]) * rng.uniform(0.75, 1.1) for c in (_SKIES, _GROUNDS))
    rows = np.arange(h)[:, None, None]
    below = soil * (1.1 - 0.35 * (rows - horizon) / (h - horizon))
    image = np.where(rows < horizon, sky * (0.8 + 0.25 * rows / horizon), below)
    image = np.repeat(image.astype(np.float32), w, 1)
    for _ in range(rng.integers(3, 9)):
        kind = str(
            rng.choice(['tree', 'bush', 'rock', 'fence', 'decoy', 'grass'], p=[0.3, 0.25, 0.15, 0.06, 0.12, 0.12])
        )
        y = horizon + (h - horizon) * rng.uniform(0, 0.5) ** 1.5
        tall = h * rng.uniform(0.12, 0.4) * (2 if kind == 'tree' else 0.6)
        _paint(image, _prop(rng, kind, rng.uniform(0, w), y, tall, _prop_colour(rng, kind)))
    texture = 9 * _noise(rng, size, 4) + 12 * _noise(rng, size, 14) + 16 * _noise(rng, size, 60)
    return image + texture[..., None]


def _prop_colour(rng, kind: str) -> np.ndarray:
    if kind == 'rock':
        return np.full(3, rng.uniform(80, 170)) + rng.normal(0, 8, 3)
    if kind == 'fence':
        return np.array([70, 95, 120]) * rng.uniform(0.7, 1.6)
    if kind == 'decoy':
        return np.array(SPECIES[rng.integers(len(SPECIES))].coats[0][rng.integers(2)][::-1]) * 0.9
    return np.array(_LEAVES[rng.integers(len(_LEAVES))]) * rng.uniform(0.8, 1.3)


def _develop(rng, image: np.ndarray) -> np.ndarray:
    """Light, colour cast, focus and sensor noise; uint8."""
    image = image * (rng.uniform(0.85, 1.15) * rng.normal(1, 0.04, 3)).astype(np.float32) + np.float32(rng.normal(0, 6))
    if rng.random() < 0.4:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.4, 1.1))
    image = image + rng.uniform(1, 6) * rng.standard_normal(image.shape[:2], np.float32)[..., None]
    return cv2.convertScaleAbs(np.maximum(image, 0))


def _annotate(animal: dict, hidden: np.ndarray, spec: Species) -> dict | None:
    """An AP-10K annotation without its ids, or None when too little of the animal can be seen."""
    keypoints = animal['keypoints'].copy()
    h, w = hidden.shape
    x, y = np.clip(keypoints[:, 0], 0, w - 1), np.clip(keypoints[:, 1], 0, h - 1)
    keypoints[hidden[y, x]] = 0
    keypoints[keypoints[:, 2] == 0] = 0
    seen = (animal['alpha'] > 0.5) & ~hidden
    if (keypoints[:, 2] > 0).sum() < MIN_VISIBLE or not seen.any():
        return None
    box = cv2.boundingRect(seen.astype(np.uint8))
    return {
        'category_id': spec.category_id,
        'bbox': list(box),
        'area': box[2] * box[3],
        'iscrowd': 0,
        'num_keypoints': int((keypoints[:, 2] > 0).sum()),
        'keypoints': keypoints.ravel().tolist(),
    }


def _occlude(rng, image: np.ndarray, box: tuple) -> np.ndarray:
    """Puts grass, a rock, a bush, a trunk or a fence before the animal in ``box`` (xywh): the mask (H, W) of it."""
    front = np.zeros(image.shape[:2], np.uint8)
    x, y, w, h = box
    for _ in range(rng.integers(1, 4) if rng.random() < 0.4 else 0):
        kind = str(rng.choice(['grass', 'rock', 'bush', 'tree', 'fence'], p=[0.5, 0.15, 0.15, 0.1, 0.1]))
        size = max(h, 20) * rng.uniform(0.15, 0.35) * (4 if kind == 'tree' else 1)
        at = x + w * rng.uniform(0, 1), y + h * rng.uniform(0.98, 1.1)
        polygons = _prop(rng, kind, *at, size, _prop_colour(rng, kind))
        _paint(image, polygons)
        _paint(front, [(points, [255]) for points, _ in polygons])
    return front > 127


def _compose(rng, scene: np.ndarray, spec: Species, count: int) -> tuple[np.ndarray, list]:
    """Puts one or two animals into the scene, the nearer one last; an annotation, or None, for each."""
    h, w = scene.shape[:2]
    image = scene.copy()
    parts = [(0.0, 1.0)] if count == 1 else [(0.0, 0.58), (0.42, 1.0)]
    animals = [draw_animal(rng, spec, (w, h), part=part) for part in parts]
    animals.sort(key=lambda animal: animal['shadow'][:, 1].mean())
    for animal in animals:
        shade = np.zeros((h, w), np.float32)
        _paint(shade, [(animal['shadow'], [0.45])])
        image *= 1 - cv2.blur(shade, (9, 9))[..., None]
        image *= 1 - animal['alpha'][..., None]
        image += animal['colour']
    hidden = _occlude(rng, image, cv2.boundingRect((animals[-1]['alpha'] > 0.5).astype(np.uint8)))
    annotations = []
    for animal in reversed(animals):
        annotations.append(_annotate(animal, hidden, spec))
        hidden = hidden | (animal['alpha'] > 0.5)
    return image, annotations


def image_id_of(split: str, index: int) -> int:
    """Image ids, disjoint between the splits."""
    return SPLITS[split] * 1_000_000 + index + 1


def generate_sample(seed: int, split: str, index: int) -> tuple[np.ndarray, list[dict]]:
    """One image, a function of the arguments alone; species take turns by index.

    Returns:
        image (H, W, 3) uint8 BGR, and its one or two annotations in AP-10K's format.
    """
    rng = np.random.default_rng([seed, SPLITS[split], index])
    spec = SPECIES[index % len(SPECIES)]
    long, short = rng.integers(240, 401), rng.uniform(0.62, 1.0)
    tall = rng.random() < (0.7 if spec.leg > 1.2 else 0.2)
    size = (int(long * short), int(long)) if tall else (int(long), int(long * short))
    scene = _scene(rng, size)
    count = 2 if rng.random() < 0.06 else 1
    image, annotations = None, [None]
    while None in annotations:  # too little to be seen: pose again
        image, annotations = _compose(rng, scene, spec, count)
    image_id = image_id_of(split, index)
    annotations = [{'id': 2 * image_id + i, 'image_id': image_id, **found} for i, found in enumerate(annotations)]
    return _develop(rng, image), annotations


def _coco(images: list, annotations: list, options: dict) -> dict:
    """AP-10K's annotation file; its ``info`` records the options, so that a data set can be told from another."""
    categories = [
        {
            'id': s.category_id,
            'name': s.name,
            'supercategory': s.family,
            'keypoints': list(KEYPOINT_NAMES),
            'skeleton': SKELETON,
        }
        for s in sorted(SPECIES, key=lambda s: s.category_id)
    ]
    info = {
        'description': DESCRIPTION,
        'url': '',
        'version': '1.0',
        'year': 2026,
        'contributor': 'CLAMP',
        'options': options,
    }
    licenses = [{'id': 1, 'name': 'Apache License 2.0', 'url': 'https://www.apache.org/licenses/LICENSE-2.0'}]
    return {'info': info, 'licenses': licenses, 'images': images, 'annotations': annotations, 'categories': categories}


def _options_of(out: Path) -> dict | None:
    """The options a complete demo data set at ``out`` was made with, or None when there is none."""
    infos = []
    for split in SPLITS:
        try:
            info = json.loads((out / 'annotations' / f'ap10k-{split}-split1.json').read_text())['info']
        except (OSError, ValueError, KeyError):
            return None
        infos.append(info.get('options') if info.get('description') == DESCRIPTION else None)
    return infos[0] if infos[0] == infos[1] else None


def _claim(out: Path, options: dict, force: bool) -> bool:
    """Makes ``out`` ready to be written to; False when it already holds this very data set.

    A marker file, there from before the first image until after the last annotation file, tells an interrupted run of
    ours, which may be started over, from somebody else's files, which may not be touched.
    """
    marker, found = out / MARKER, _options_of(out)
    interrupted = marker.exists()
    if found == options and not force and not interrupted:
        return False
    if out.exists() and not interrupted:
        if found is None and (not out.is_dir() or any(out.iterdir())):
            raise FileExistsError(f'{out} holds something other than the demo data; choose another folder')
        if found is not None and not force:
            raise FileExistsError(f'{out} holds demo data made with {found}, not {options}; add --force to replace it')
    for folder in ('annotations', 'data'):
        (out / folder).mkdir(parents=True, exist_ok=True)
    marker.write_text('An unfinished run; make the demo data again.\n')
    for split in SPLITS:
        (out / 'annotations' / f'ap10k-{split}-split1.json').unlink(missing_ok=True)
    for image in (out / 'data').glob('[0-9]' * 12 + '.jpg'):
        image.unlink()
    return True


def generate_dataset(
    out: str | Path, num_train: int, num_val: int, seed: int = 0, force: bool = False, progress: Callable = iter
) -> bool:
    """Writes ``out/data/*.jpg`` and then ``out/annotations/ap10k-{train,val}-split1.json``.

    Args:
        force: Replace demo data made with other options, or make the same again.
        progress: Wraps the list of (split, index) jobs in an iterator that shows how far it is.

    Returns:
        False when ``out`` already held this data set and was left alone.

    Raises:
        FileExistsError: ``out`` holds something else, or demo data of other options and ``force`` is not given.
    """
    out, counts = Path(out), {'train': num_train, 'val': num_val}
    options = {'generator': GENERATOR, 'num_train': num_train, 'num_val': num_val, 'seed': seed}
    if not _claim(out, options, force):
        return False
    images, annotations = {split: [] for split in SPLITS}, {split: [] for split in SPLITS}
    for split, index in progress([(split, i) for split, count in counts.items() for i in range(count)]):
        image, found = generate_sample(seed, split, index)
        image_id = image_id_of(split, index)
        name = f'{image_id:012d}.jpg'
        if not cv2.imwrite(str(out / 'data' / name), image, [cv2.IMWRITE_JPEG_QUALITY, 70 + image_id % 26]):
            raise OSError(f'cannot write {out / "data" / name}')
        height, width = image.shape[:2]
        images[split].append(
            {'license': 1, 'id': image_id, 'file_name': name, 'width': width, 'height': height, 'background': 1}
        )
        annotations[split] += found
    for split in SPLITS:
        target = out / 'annotations' / f'ap10k-{split}-split1.json'
        part = target.with_suffix('.part')
        part.write_text(json.dumps(_coco(images[split], annotations[split], options)))
        os.replace(part, target)
    (out / MARKER).unlink()
    return True
