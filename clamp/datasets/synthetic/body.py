"""A posed animal: round cones (two spheres and the cone that wraps them) on a 3D skeleton.

Animal frame: x forward, y to the animal's left, z up, the ground at z = 0; one unit is the distance from shoulders to
hips.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from .species import COAT, DARK, EYE, FEET, HORN, MANE, PALE, Species

KEYPOINT_NAMES = (
    'left_eye', 'right_eye', 'nose', 'neck', 'root_of_tail', 'left_shoulder', 'left_elbow', 'left_front_paw',
    'right_shoulder', 'right_elbow', 'right_front_paw', 'left_hip', 'left_knee', 'left_back_paw', 'right_hip',
    'right_knee', 'right_back_paw',
)  # fmt: skip

# Joint angles in degrees from straight down, forwards positive: (upper, middle, lower) of the front and the hind leg.
POSES = {
    'stand': ((-16, 8, 2), (24, -34, 6)),
    'sit': ((-14, 6, 2), (66, -72, 86)),
    'lie': ((-56, 86, 88), (74, -84, 88)),
}
FRONT_LEG, HIND_LEG = (0.36, 0.36, 0.28), (0.35, 0.36, 0.29)  # lengths of the three bones over the leg's
SIDES = (('left', 1), ('right', -1))  # and the sign of their y


class Cone(NamedTuple):
    """A sphere at either end and what lies between them; ``start`` is how far along its limb it begins."""

    a: np.ndarray
    b: np.ndarray
    radius_a: float
    radius_b: float
    material: int
    start: float


class Body:
    """The round cones and the keypoints of one animal, in the animal frame."""

    def __init__(self):
        self.cones: list[Cone] = []
        self.points = {}  # name -> ((3,), how deep under the surface it may lie and still count as seen)

    def add(self, *chain: tuple, material: int = COAT, start: float = 0.0):
        """Join consecutive (position, radius) pairs by round cones."""
        for (a, radius_a), (b, radius_b) in pairwise(chain):
            a, b = np.asarray(a, float), np.asarray(b, float)
            self.cones.append(Cone(a, b, radius_a, radius_b, material, start))
            start += np.linalg.norm(b - a)

    def spheres(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the centres (N, 3) and the radii (N, 1) of the cones' ends."""
        centres = [end for cone in self.cones for end in (cone.a, cone.b)]
        radii = [radius for cone in self.cones for radius in (cone.radius_a, cone.radius_b)]
        return np.array(centres), np.array(radii)[:, None]


def direction(pitch: float, yaw: float = 0.0) -> np.ndarray:
    """Unit vector, pitch above the horizontal and yaw to the left of x, in degrees."""
    pitch, yaw = np.radians([pitch, yaw])
    return np.array([np.cos(pitch) * np.cos(yaw), np.cos(pitch) * np.sin(yaw), np.sin(pitch)])


def build_body(rng: np.random.Generator, spec: Species, walk: float | None = None) -> Body:
    """Pose one individual: its stance, its gait, where it looks.

    Args:
        walk: How far into a step it is, in radians, if it shall walk; the same ``rng`` makes the same animal.
    """
    body = Body()
    pose = str(rng.choice(['stand', 'sit', 'lie'], p=[0.6, 0.22, 0.18] if spec.rests else [0.94, 0.0, 0.06]))
    stride = rng.choice([4.0, 16.0, 28.0])
    if walk is not None:
        pose, stride = 'stand', 22.0
    heights = [
        spec.leg * scale * np.dot(bones, np.cos(np.radians(angles)))
        for bones, angles, scale in zip((FRONT_LEG, HIND_LEG), POSES[pose], (1, spec.hind))
    ]
    chest, rump = (np.array([x, 0, max(z, 0.6 * spec.torso)]) for x, z in zip((0.5, -0.5), heights))
    if pose == 'sit':
        rump[0] += 0.16
    phase = rng.uniform(0, 2 * np.pi)
    if walk is not None:
        phase = walk
    for side, y in SIDES:
        out = np.array([0, 0.62 * spec.torso * y, 0])
        step = phase + np.pi * (y > 0)
        _add_leg(body, rng, spec, chest + out, side, True, pose, step, stride)
        _add_leg(body, rng, spec, rump + out, side, False, pose, step + 0.6 * np.pi, stride)
    grazing = pose == 'stand' and rng.random() < (0.1 if spec.rests else 0.28)
    _add_neck_and_head(body, rng, spec, chest, grazing)
    _add_torso_and_tail(body, rng, spec, chest, rump)
    return body


def _add_leg(body: Body, rng, spec: Species, root, side: str, front: bool, pose: str, phase: float, stride: float):
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


def _add_neck_and_head(body: Body, rng, spec: Species, chest: np.ndarray, grazing: bool):
    length, angle, radius = spec.neck
    angle = rng.uniform(-62, -38) if grazing else angle + rng.normal(0, 8)
    yaw = rng.normal(0, 22)
    along = direction(angle, 0.6 * yaw)
    base = chest + spec.torso * np.array([0.35, 0, 0.5])
    middle, head = base + 0.5 * length * along, base + length * along
    inside = base - spec.torso * np.array([0.1, 0, 0.1])
    body.add((inside, max(0.7 * spec.torso, radius)), (middle, radius), (head, 0.85 * radius), start=1)
    body.points['neck'] = base + 0.2 * length * along, 1.35 * max(0.85 * spec.torso, radius)
    if spec.mane:
        crest = np.cross(along, [0, -1, 0]) * radius
        body.add((base + 1.1 * crest, 0.07), (middle + 0.9 * crest, 0.07), (head + crest, 0.06), material=MANE)
    _add_head(body, rng, spec, head, rng.normal(-70 if grazing else -26, 9), yaw)


def _add_head(body: Body, rng, spec: Species, base: np.ndarray, pitch: float, yaw: float):
    """Skull, muzzle, nose, eyes, ears and horns on the end of the neck."""
    r, length, muzzle = spec.head
    forward, left = direction(pitch, yaw), direction(0, yaw + 90)
    frame = np.stack([forward, left, np.cross(forward, left)], 1)  # (3, 3), columns in the animal frame

    def at(x, y, z):
        return base + r * frame @ np.array([x, y, z])

    tip = at(0.4 + length / r, 0, -0.3)
    face = FEET if spec.pattern == 'wool' else COAT
    body.add((base, r), (at(0.5, 0, -0.1), 0.86 * r), (tip, muzzle), material=face)
    jaw = at(0.5 + 0.5 * length / r, 0, -0.45), tip - 0.25 * muzzle * frame[:, 2]
    body.add(*((end, 0.9 * muzzle) for end in jaw), material=PALE if spec.pale else face)
    nose = tip + muzzle * (0.75 * forward + 0.3 * frame[:, 2])
    body.add((nose, 0.42 * muzzle), (nose + 0.05 * muzzle * forward, 0.42 * muzzle), material=DARK)
    body.points['nose'] = nose, 1.1 * muzzle
    ear, ear_radius, ear_angle = spec.ear
    horned = rng.random() < 0.75
    for side, y in SIDES:
        eye = at(0.62, 0.66 * y, 0.38)
        body.add((eye, 0.19 * r), (eye + 0.02 * r * forward, 0.19 * r), material=EYE)
        body.points[f'{side}_eye'] = eye, 0.5 * r
        out = frame @ (direction(ear_angle + rng.normal(0, 6), 90 * y) - np.array([0.2, 0, 0]))
        root = at(-0.25, 0.62 * y, 0.62)
        widths = ear_radius * np.array([1, 0.85, 0.25])
        body.add(*zip((root, root + 0.45 * ear * out, root + ear * out), widths), material=face)
        if horned:
            _add_horn(body, spec, at, y)


def _add_horn(body: Body, spec: Species, at: Callable, y: int):
    """One horn; ``at`` maps (forward, left, up) in skull radii to the animal frame, y is the side, +1 or -1."""
    r = spec.head[0]
    if spec.horns == 'cow':
        bend = at(-0.1, 0.5 * y, 0.8), at(0, 1.4 * y, 1.1), at(0.3, 1.7 * y, 1.9)
        body.add(*zip(bend, (0.25 * r, 0.2 * r, 0.04)), material=HORN)
    elif spec.horns == 'curl':
        angles = np.linspace(0, 4.4, 6)
        curl = [at(-0.7 * np.sin(a), y * (0.6 + 0.2 * a), 0.1 + 0.85 * np.cos(a)) for a in angles]
        body.add(*zip(curl, r * (0.34 - 0.05 * angles)), material=HORN)
    elif spec.horns == 'knobs':
        body.add((at(-0.2, 0.4 * y, 0.7), 0.2 * r), (at(-0.3, 0.5 * y, 1.9), 0.18 * r))
        body.add((at(-0.3, 0.5 * y, 1.9), 0.26 * r), (at(-0.3, 0.5 * y, 2.0), 0.26 * r), material=DARK)
    elif spec.horns == 'antlers':
        beam = [at(-0.2, 0.4 * y, 0.8), at(-1.0, 1.3 * y, 2.4), at(-0.6, 2.2 * y, 4.0), at(0.5, 2.3 * y, 5.0)]
        body.add(*zip(beam, (0.024, 0.022, 0.018, 0.008)), material=HORN)
        tines = (0.9, 0.7 * y, 2.0), (0.5, 1.4 * y, 3.4), (-1.2, 2.5 * y, 5.0)
        for joint, tip in zip(beam, tines):
            body.add((joint, 0.02), (at(*tip), 0.008), material=HORN)


def _add_torso_and_tail(body: Body, rng, spec: Species, chest: np.ndarray, rump: np.ndarray):
    """The trunk, two bones of tail, and a tuft or the fox's white tip on its end."""
    d, up = spec.torso, np.array([0, 0, 1])
    back = rump + 0.22 * d * up
    middle = (chest + rump) / 2 + 0.13 * d * up
    body.add((chest + 0.22 * d * up, d), (middle, d * spec.waist), (back, 0.92 * d))
    length, thick, thin, angle = spec.tail
    axis = (back - chest) / np.linalg.norm(back - chest)
    root = back + 0.92 * d * (0.8 * axis + 0.5 * up)
    body.points['root_of_tail'] = root, 1.2 * d
    swing, angle = rng.normal(0, 18), angle + rng.normal(0, 10)
    middle = root + 0.5 * length * direction(angle + 12, 180 + swing)
    end = middle + 0.5 * length * direction(angle - (25 if angle < 0 else -20), 180 + 1.6 * swing)
    body.add((root, thick), (middle, 0.5 * thick + 0.7 * thin), (end, thin), material=spec.tail_material)
    if spec.tuft is not None:
        tip = end + 0.14 * direction(angle - 10, 180 + swing)
        body.add((end, max(0.05, thin)), (tip, 0.03), material=spec.tuft)
