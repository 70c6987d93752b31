"""One image of the demo data and its annotations, a function of (seed, split, index) alone."""

import cv2
import numpy as np

from .render import Drawing, draw_animal
from .scene import develop, draw_scene, occlude, paint
from .species import SPECIES, Species

SPLITS = {'train': 0, 'val': 1}
MIN_KEYPOINTS = 5  # that can be seen of an animal
MIN_SHARE = 0.6  # of its outline that nothing stands before


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
    scene = draw_scene(rng, size)
    count = 2 if rng.random() < 0.06 else 1
    image, annotations = None, [None]
    while None in annotations:  # too little to be seen: pose again
        image, annotations = _compose(rng, scene, spec, count)
    image_id = image_id_of(split, index)
    annotations = [{'id': 2 * image_id + i, 'image_id': image_id, **found} for i, found in enumerate(annotations)]
    return develop(rng, image), annotations


def _compose(rng, scene: np.ndarray, spec: Species, count: int) -> tuple[np.ndarray, list]:
    """Put one or two animals into the scene, the nearer one last; an annotation, or None, for each."""
    image = scene.copy()
    parts = [(0.0, 1.0)] if count == 1 else [(0.0, 0.58), (0.42, 1.0)]
    animals = [draw_animal(rng, spec, scene.shape[1::-1], part=part) for part in parts]
    animals.sort(key=lambda animal: animal.shadow[:, 1].mean())
    for animal in animals:
        place(animal, image)
    hidden = occlude(rng, image, cv2.boundingRect((animals[-1].alpha > 0.5).astype(np.uint8)))
    annotations = []
    for animal in reversed(animals):
        annotations.append(annotate(animal, hidden, spec))
        hidden = hidden | (animal.alpha > 0.5)
    return image, annotations


def place(animal: Drawing, image: np.ndarray) -> None:
    """Put an animal and its shadow into an image (H, W, 3), in place."""
    shade = np.zeros(image.shape[:2], np.float32)
    paint(shade, [(animal.shadow, [0.45])])
    image *= (1 - cv2.blur(shade, (9, 9)))[..., None]
    image *= (1 - animal.alpha)[..., None]
    image += animal.colour


def annotate(animal: Drawing, hidden: np.ndarray, spec: Species) -> dict | None:
    """An AP-10K annotation without its ids, or None when too little of the animal can be seen."""
    keypoints = animal.keypoints.copy()
    h, w = hidden.shape
    x, y = np.clip(keypoints[:, 0], 0, w - 1), np.clip(keypoints[:, 1], 0, h - 1)
    keypoints[hidden[y, x] | (keypoints[:, 2] == 0)] = 0
    num_keypoints = int((keypoints[:, 2] > 0).sum())
    whole = animal.alpha > 0.5
    seen = whole & ~hidden
    if num_keypoints < MIN_KEYPOINTS or seen.sum() < MIN_SHARE * whole.sum():
        return None
    box = cv2.boundingRect(seen.astype(np.uint8))
    return {
        'category_id': spec.category_id,
        'bbox': list(box),
        'area': box[2] * box[3],
        'iscrowd': 0,
        'num_keypoints': num_keypoints,
        'keypoints': keypoints.ravel().tolist(),
    }
