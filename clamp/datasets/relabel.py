"""Parts of a data set that are as another data set would be: other species, names, order and choice of keypoints; or
without some of its images. Builders as in :mod:`.splits`."""

from itertools import chain

from ..files import check_printable
from ..keypoint_names import check_names
from . import splits
from .coco import keypoints_of
from .unseen_species import check_species


def relabel(coco: dict, *, species: list[str], keypoints: dict[str, str] | None = None) -> tuple[dict, dict]:
    """The animals of some species, with some of their keypoints, in another order and by other names.

    Args:
        coco (dict): The source.
        species (list[str]): Those to keep.
        keypoints (dict[str, str], optional): The new name of each keypoint that is kept, by the name in the categories'
            ``keypoints``, in the order to be. Defaults to None: all, as they are.

    Raises:
        ValueError: If no animal is of a species, or there is no such keypoint, two get one name or one gets none, or
            the names in the categories are not those of the annotations' keypoints.
    """
    for name in species:
        check_species(coco, name)
    taxa = splits.taxonomy(coco)
    part = splits.subset(coco, {id_ for id_, taxon in taxa.items() if taxon.species in species})
    if keypoints is None:
        return part, {}
    names = splits.check_keypoints(coco, list(keypoints))
    check_printable(*keypoints.values())
    if len(set(check_names(list(keypoints.values())))) < len(keypoints):
        raise ValueError(f'two keypoints would have one name: {", ".join(keypoints.values())}')
    _, skeleton = keypoints_of(coco)
    places = [names.index(name) for name in keypoints]
    links = [[places.index(end) + 1 for end in link] for link in skeleton if set(link) <= set(places)]  # COCO: from 1
    new = dict(keypoints=list(keypoints.values()), skeleton=links)
    part['categories'] = [category | new for category in coco['categories']]
    part['annotations'] = [_relabel_annotation(annotation, places) for annotation in part['annotations']]
    return part, {}


def _relabel_annotation(annotation: dict, places: list[int]) -> dict:
    triples = [annotation['keypoints'][3 * place : 3 * place + 3] for place in places]
    return {**annotation, 'keypoints': list(chain(*triples)), 'num_keypoints': sum(v > 0 for *_, v in triples)}


def without(coco: dict, *, images: list[str]) -> tuple[dict, dict]:
    """All but some images, by file name, and their animals. Of the names, some may be of another file.

    Raises:
        ValueError: If none of the images is there, or nothing would be left to train on.
    """
    names = set(images)
    dropped = {image['id'] for image in coco['images'] if image['file_name'] in names}
    if not dropped:
        raise ValueError(f'none of the {len(images)} images of the list is in it: use the file as it is')
    part = splits.subset(coco, {ann['id'] for ann in coco['annotations'] if ann['image_id'] not in dropped})
    if not any(map(splits.is_trainable, part['annotations'])):
        raise ValueError('nothing would be left that can be trained on')
    return part, {'images_left_out': len(dropped)}


BUILDERS = {'relabel': relabel, 'without': without}
