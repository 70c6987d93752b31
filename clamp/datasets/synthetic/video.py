"""A video of animals that walk to and fro and cross, with the truth of every frame: who is where."""

import json
from collections.abc import Iterator
from functools import cache, partial
from pathlib import Path

import cv2
import numpy as np

from .body import KEYPOINT_NAMES, build_body
from .render import Camera, Drawing, draw_body, view_matrix
from .sample import annotate, place
from .scene import develop, draw_scene
from .species import SPECIES, Species

SIZE = (480, 270)  # (W, H)
RATE = 25.0  # frames per second
STEPS = 12  # drawings of one step


class Walker:
    """An individual that walks along the ground between the sides of the picture, where it turns round.

    Args:
        seed: Another one, another individual.
        spec: Its species.
        ground: Of its feet, pixels from the top.
        scale: Pixels per animal unit.
        speed: Pixels per frame.
        start: Where it starts, as a fraction of its way.
    """

    def __init__(self, seed: list[int], spec: Species, ground: float, scale: float, speed: float, start: float):
        self.spec, self.ground, self.speed, self.start = spec, ground, speed, start
        self.size = int(4.4 * scale), int(2.6 * scale)  # of its canvas
        self.draw = cache(partial(self._draw, seed, scale))  # the same few drawings again and again
        self.stride = 0.9 * scale  # pixels that one step takes it

    def _draw(self, seed: list[int], scale: float, yaw: int, step: int) -> Drawing:
        rng = np.random.default_rng(seed)
        body = build_body(rng, self.spec, walk=2 * np.pi * step / STEPS)
        origin = np.array([self.size[0] / 2, self.size[1] - 0.25 * scale, 0])
        rotation = view_matrix(yaw, 8)
        return draw_body(rng, self.spec, body, Camera(scale * rotation, origin, self.size), rotation[2])

    def at(self, frame: int) -> tuple[Drawing, int, int]:
        """Return its drawing in a frame, and where that drawing's canvas is, (x, y) of its left upper corner."""
        way = SIZE[0] - 0.5 * self.size[0]
        travelled = self.start * way + self.speed * frame
        lap, along = divmod(travelled, way)
        forth = lap % 2 == 0
        x = (along if forth else way - along) - 0.25 * self.size[0]
        step = int(travelled / self.stride * STEPS) % STEPS
        return self.draw(0 if forth else 180, step), round(x), round(self.ground - self.size[1])


def generate_video(seed: int, num_frames: int) -> Iterator[tuple[np.ndarray, list[dict]]]:
    """Yield the frames of two animals that cross again and again, a function of the arguments alone.

    Yields:
        image (H, W, 3) uint8 BGR, and annotations in AP-10K's format without ids, of the animals of which enough can be
        seen, with their identities, 1 and 2, in ``track_id``.
    """
    rng = np.random.default_rng([seed, 2])
    scene = draw_scene(rng, SIZE)
    species = rng.choice([spec.name for spec in SPECIES if spec.leg <= 1.2], 2, replace=False)
    far, near = (next(spec for spec in SPECIES if spec.name == name) for name in species)
    walkers = [
        Walker([seed, 3], far, SIZE[1] - 14, rng.uniform(56, 64), rng.uniform(1.4, 2.0), rng.uniform(0, 0.3)),
        Walker([seed, 4], near, SIZE[1] - 2, rng.uniform(62, 72), rng.uniform(2.2, 2.8), rng.uniform(0.7, 1)),
    ]
    light = rng.integers(2**32)
    for frame in range(num_frames):
        image, found = _compose(scene, walkers, frame)
        yield develop(np.random.default_rng([light, 0]), image), found


def _compose(scene: np.ndarray, walkers: list[Walker], frame: int) -> tuple[np.ndarray, list[dict]]:
    """Put the walkers into the scene, the nearest last."""
    image, placed = scene.copy(), []
    for walker in walkers:
        animal = _move(*walker.at(frame))
        placed.append(animal)
        place(animal, image)
    hidden, found = np.zeros(image.shape[:2], bool), []
    for number in reversed(range(len(walkers))):
        annotation = annotate(placed[number], hidden, walkers[number].spec)
        found += [{**annotation, 'track_id': number + 1}] if annotation else []
        hidden = hidden | (placed[number].alpha > 0.5)
    return image, found


def _move(animal: Drawing, x: int, y: int) -> Drawing:
    """Put a drawing on a canvas of the picture's size, its left upper corner at (x, y); what is outside is not seen."""
    shift = np.array([[1, 0, x], [0, 1, y]], np.float32)
    colour, alpha = (cv2.warpAffine(layer, shift, SIZE, flags=cv2.INTER_NEAREST) for layer in animal[:2])
    keypoints = animal.keypoints + np.array([x, y, 0])
    outside = (keypoints[:, :2] < 0).any(1) | (keypoints[:, :2] >= SIZE).any(1)
    keypoints[outside, 2] = 0
    return Drawing(colour, alpha, keypoints, animal.distance, animal.shadow + np.array([x, y]))


def write_video(path: Path, seed: int, num_frames: int) -> Path:
    """Write a video, and beside it its truth as a COCO file, in which an image is a frame.

    Returns:
        Path: The COCO file.

    Raises:
        FileExistsError: If one of the two is there.
        OSError: If OpenCV cannot write the video.
    """
    truth = path.with_suffix('.json')
    for one in (path, truth):
        if one.exists():
            raise FileExistsError(f'{one} is there already: give another folder or another seed')
    path.parent.mkdir(parents=True, exist_ok=True)
    video = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'mp4v'), RATE, SIZE)
    if not video.isOpened():
        raise OSError(f'OpenCV cannot write {path}')
    images, annotations = [], []
    for frame, (image, animals) in enumerate(generate_video(seed, num_frames)):
        video.write(image)
        images.append(dict(id=frame, file_name=path.name, frame=frame, width=SIZE[0], height=SIZE[1]))
        for animal in animals:
            annotations.append(dict(id=len(annotations) + 1, image_id=frame, **animal))
    video.release()
    categories = [dict(id=spec.category_id, name=spec.name, keypoints=KEYPOINT_NAMES) for spec in SPECIES]
    truth.write_text(json.dumps(dict(images=images, annotations=annotations, categories=categories)))
    return truth
