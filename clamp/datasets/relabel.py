"""Parts of a data set that are as another data set would be: other species, names, order and choice of keypoints; or
without some of its images. Builders as in :mod:`.splits`."""

from itertools import chain

from . import splits
from .unseen_species import check_species


def relabel(coco: dict, *, species: list[str], keypoints: dict[str, str] | None = None) -> tuple[dict, dict]:
    """The animals of some species, with some of their keypoints, in another order and by other names.

    Args:
        coco (dict): The source.
        species (list[str]): Those to keep.
        keypoints (dict[str, str], optional): The new name of each keypoint that is kept, by the name in the categories'
            ``keypoints``, in the order to be. Defaults to None: all, as they are.

    Raises:
        ValueError: If no animal is of a species, or there is no such keypoint, or two get one name.
    """
    for name in species:
        check_species(coco, name)
    taxa = splits.taxonomy(coco)
    part = splits.subset(coco, {id_ for id_, taxon in taxa.items() if taxon.species in species})
    if keypoints is None:
        return part, {}
    names = splits.keypoint_names(coco)
    splits.check_keypoints(names, list(keypoints))
    if len(set(keypoints.values())) < len(keypoints):
        raise ValueError(f'two keypoints would have one name: {", ".join(keypoints.values())}')
    places = [names.index(name) for name in keypoints]
    part['categories'] = [_relabel_category(category, places, keypoints) for category in coco['categories']]
    part['annotations'] = [_relabel_annotation(annotation, places) for annotation in part['annotations']]
    return part, {}


def _relabel_category(category: dict, places: list[int], keypoints: dict[str, str]) -> dict:
    new = {place + 1: number for number, place in enumerate(places, start=1)}  # COCO counts from 1
    links = [[new[end] for end in link] for link in category.get('skeleton') or [] if set(link) <= new.keys()]
    return {**category, 'keypoints': list(keypoints.values()), 'skeleton': links}


def _relabel_annotation(annotation: dict, places: list[int]) -> dict:
    triples = [annotation['keypoints'][3 * place : 3 * place + 3] for place in places]
    return {**annotation, 'keypoints': list(chain(*triples)), 'num_keypoints': sum(v > 0 for *_, v in triples)}


def without(coco: dict, *, images: list[str]) -> tuple[dict, dict]:
    """All but some images, by file name, and their animals. Of the names, some may be of another file.

    Raises:
        ValueError: If none of the images is there, or nothing would be left to train on.
    """
    dropped = {image['id'] for image in coco['images'] if image['file_name'] in images}
    if not dropped:
        raise ValueError(f'none of the {len(images)} images of the list is in it: nothing is to be left out')
    part = splits.subset(coco, {ann['id'] for ann in coco['annotations'] if ann['image_id'] not in dropped})
    if not any(map(splits.is_trainable, part['annotations'])):
        raise ValueError('nothing would be left that can be trained on')
    return part, {'images_left_out': len(dropped)}


BUILDERS = {'relabel': relabel, 'without': without}
