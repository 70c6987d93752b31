"""A data set split by species: trained on all but one, tested on that one. Builders as in :mod:`.splits`."""

from itertools import chain

from . import splits


def unseen_train(coco: dict, *, species: str, keypoints: list[str] | None = None) -> tuple[dict, dict]:
    """All animals but those of one species, without the images that show it too.

    Args:
        coco (dict): The source.
        species (str): The one that is not seen.
        keypoints (list[str], optional): Those to keep, by their names in the categories' ``keypoints``. The others
            become unlabelled, so that nothing can be learnt of them from this file. Defaults to None, all.

    Raises:
        ValueError: If no animal is of this species, or nothing else can be trained on, or there is no such keypoint, or
            the names in the categories are not those of the annotations' keypoints.
    """
    check_species(coco, species)
    taxa = splits.taxonomy(coco)
    seen = {ann['image_id'] for ann in coco['annotations'] if taxa[ann['id']].species == species}
    part = splits.subset(coco, {ann['id'] for ann in coco['annotations'] if ann['image_id'] not in seen})
    animals_there = {ann['image_id'] for ann in coco['annotations'] if taxa[ann['id']].species != species}
    if keypoints is not None:
        names = splits.check_keypoints(coco, keypoints)
        kept = {names.index(name) for name in keypoints}
        part['annotations'] = [_keep_keypoints(ann, kept) for ann in part['annotations']]
    if not any(map(splits.is_trainable, part['annotations'])):
        raise ValueError(f'without {species} there is nothing that can be trained on')
    return part, {'images_dropped_for_species': sorted(seen & animals_there)}


def unseen_test(coco: dict, *, species: str) -> tuple[dict, dict]:
    """All animals of one species, with all their keypoints."""
    check_species(coco, species)
    taxa = splits.taxonomy(coco)
    return splits.subset(coco, {ann['id'] for ann in coco['annotations'] if taxa[ann['id']].species == species}), {}


def check_species(coco: dict, name: str) -> None:
    """Raise a ValueError, which lists those there are, if no animal is of this species."""
    known = splits.species(coco)
    if not known.get(name):
        there = ', '.join(f'{each} ({count})' for each, count in known.items() if count) or 'none'
        raise ValueError(f'no animal is a {name}; species with animals: {there}')


def _keep_keypoints(ann: dict, kept: set[int]) -> dict:
    triples = [ann['keypoints'][i : i + 3] for i in range(0, len(ann.get('keypoints', [])), 3)]
    triples = [triple if place in kept else [0, 0, 0] for place, triple in enumerate(triples)]
    return {**ann, 'keypoints': list(chain(*triples)), 'num_keypoints': sum(v > 0 for *_, v in triples)}


BUILDERS = {'unseen-train': unseen_train, 'unseen-test': unseen_test}
