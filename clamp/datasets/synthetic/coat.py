"""Fur and light: the colour of every point of an animal's surface that is seen."""

import numpy as np

from .body import Body, direction
from .species import COAT, CREAM, SOOT, Species

_NOISE_GRAIN = {'patches': 0.9, 'tabby': 0.5, 'tiger': 0.45, 'zebra': 0.9}  # wavelength, 0.7 for the others


def shade(rng, spec: Species, body: Body, hit: np.ndarray, index: np.ndarray, toward: np.ndarray) -> np.ndarray:
    """Colour surface points.

    Args:
        hit: Surface points (N, 3) in the animal frame, float32.
        index: The cone each of them is on, (N,).
        toward: Unit vector (3,) towards the viewer, in the animal frame.

    Returns:
        Colours (N, 3), BGR in [0, 255].
    """
    normal, along, material = _surface(body, hit, index)
    palette, mark = _palette(rng, spec)
    colour, coat = palette[material], material == COAT
    share = (coat * _marking(rng, spec.pattern, hit, along, normal))[:, None]
    colour = colour * (1 - share) + mark * share
    below = np.clip(-normal[:, 2] * 1.6, 0, 1) * spec.pale * coat
    colour += (np.array(CREAM, np.float32) - colour) * below[:, None]
    if spec.pattern == 'wool':
        normal = normal + 0.35 * np.stack([_waves(rng, hit, 0.13) for _ in range(3)], 1) * coat[:, None]
    sun = direction(rng.uniform(25, 70), rng.uniform(0, 360)).astype(np.float32)
    facing = normal @ toward.astype(np.float32)
    light = 0.42 + 0.2 * normal[:, 2] + 0.4 * np.clip(normal @ sun, 0, 1) + 0.22 * facing
    depth = hit @ toward.astype(np.float32)
    light *= 0.72 + 0.28 * (depth - depth.min()) / (np.ptp(depth) + 1e-9)  # sets the far legs off from the near ones
    light *= 1 + 0.05 * rng.standard_normal(len(hit), np.float32)
    return np.clip(colour * light[:, None], 0, 255)[:, ::-1]


def _surface(body: Body, hit: np.ndarray, index: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Normals (N, 3), places along the limb (N,) and materials (N,) of surface points."""
    a, b, radius_a, radius_b, material, start = (np.array(column)[index] for column in zip(*body.cones))
    axis, taper = b - a, radius_a - radius_b
    square = np.einsum('ij,ij->i', axis, axis)
    y = (np.einsum('ij,ij->i', hit - a, axis) - radius_a * taper) / np.maximum(square - taper**2, 1e-9)
    y = np.clip(y, 0, 1)
    normal = hit - a - axis * y[:, None]
    normal /= np.linalg.norm(normal, axis=1, keepdims=True) + 1e-6
    return normal.astype(np.float32), (start + y * np.sqrt(square)).astype(np.float32), material


def _palette(rng, spec: Species) -> tuple[np.ndarray, np.ndarray]:
    """This individual's colours: (7, 3) by material and (3,) of its markings, RGB."""
    coat = spec.coats[rng.integers(len(spec.coats))]
    ground, mark = (np.array(c) * rng.uniform(0.85, 1.1) + rng.normal(0, 6, 3) for c in coat)
    mane = np.array(SOOT, float)
    if spec.mane and spec.pattern == 'plain':
        mane = 0.9 * np.array(CREAM) if rng.random() < 0.3 else 0.6 * mark
    palette = [ground, CREAM, SOOT, (150, 132, 104), (16, 12, 12), mane, spec.feet or ground]
    return np.array(palette, np.float32), mark.astype(np.float32)


def _waves(rng, points: np.ndarray, wavelength: float) -> np.ndarray:
    """Smooth noise (N,) of about unit variance at 3D points (N, 3): a sum of randomly oriented sines."""
    waves = rng.normal(size=(3, 7))
    waves *= 2 * np.pi / wavelength * rng.uniform(0.7, 1.4, 7) / np.linalg.norm(waves, axis=0)
    return np.sin(points @ waves.astype(np.float32) + rng.uniform(0, 2 * np.pi, 7).astype(np.float32)).sum(1) / 1.9


def _marking(rng, pattern: str, hit: np.ndarray, along: np.ndarray, normal: np.ndarray) -> np.ndarray:
    """How much of the marking colour each coat point shows, (N,) in [0, 1]; ``along`` is its place on the limb."""
    if pattern in ('plain', 'wool'):
        return np.zeros(len(hit), np.float32)
    noise = _waves(rng, hit, _NOISE_GRAIN.get(pattern, 0.7))
    if pattern == 'patches':
        field = noise - rng.uniform(-0.5, 0.5)
    elif pattern == 'zebra':
        field = np.sin(2 * np.pi * along / rng.uniform(0.11, 0.15) + 1.0 * noise)
    elif pattern in ('tiger', 'tabby'):
        wavelength = 0.17 if pattern == 'tiger' else 0.14
        field = np.sin(2 * np.pi * along / wavelength + 1.3 * noise) - 0.5 + 0.5 * normal[:, 2]
    elif pattern == 'cells':  # staggered bricks, bent by noise, with pale mortar between them
        x, z = _bricks(5.2 * hit[:, 0] + 0.35 * noise, 4.6 * hit[:, 2] + 0.35 * noise)
        field = 4 * (0.39 - np.maximum(np.abs(x), np.abs(z)))
    elif pattern == 'spots':  # one in each brick of the flanks
        x, z = _bricks(9 * hit[:, 0] + 0.4 * noise, 9 * hit[:, 2] + 0.3 * noise)
        field = 4 * (0.24 - np.hypot(x, z) - 0.5 * (normal[:, 2] < -0.1))
    else:
        raise ValueError(f'unknown pattern {pattern!r}')
    return np.clip(0.5 + 4 * field, 0, 1)


def _bricks(x: np.ndarray, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Places in [-0.5, 0.5] from the centres of unit bricks, every other course of them shifted by half a brick."""
    return (x + 0.5 * (np.floor(z) % 2)) % 1 - 0.5, z % 1 - 0.5
