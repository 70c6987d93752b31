"""Where annotation files meet their images, and where they enter MMPose: its data sets and its metric get what the
reader returns, whichever class of MMPose a config names."""

import functools
import math
import os
from collections import defaultdict
from collections.abc import Iterable
from contextvars import ContextVar

from mmpose.datasets.datasets.base import BaseCocoStyleDataset, base_coco_style_dataset
from mmpose.evaluation.metrics import coco_metric
from xtcocotools.coco import COCO

from ..images import image_size, map_images
from .coco import read, refuse, tell
from .coco_entries import Findings

SIDES = ('width', 'height')


def fill_sizes(images: Iterable[dict], folder: str | os.PathLike) -> Findings:
    """Read the sizes that an annotation file does not give, or gives as 0, from the images; return what was found."""
    findings = defaultdict(list)
    for image in images:
        if all(type(image.get(side)) in (int, float) and 0 < image[side] < math.inf for side in SIDES):
            continue
        image.update(zip(SIDES, image_size(os.path.join(folder, image['file_name'])) or (0, 0)))
        level, how = ('warning', 'read from the image') if image['width'] else ('error', 'and the image cannot be read')
        findings[level, f'`width` and `height` are not given, {how}'].append(image['file_name'])
    return findings


def compare_sizes(images: list[dict], folder: str | os.PathLike) -> Findings:
    """Return the images that are of another size than the annotation file says; broken ones are not looked at."""
    paths = [os.path.join(folder, image['file_name']) for image in images]
    sizes = map_images(image_size, paths, desc='reading sizes')
    pairs = [(image, size, tuple(image[side] for side in SIDES)) for image, size in zip(images, sizes)]
    cases = [f'{image["file_name"]}: {size} and not {said}' for image, size, said in pairs if size and size != said]
    what = 'images are of another size than `width` and `height` say, shown as their EXIF entry turns them'
    return {('error', what): cases} if cases else {}


def check_use(path: str | os.PathLike, coco: dict, test: bool) -> None:
    """Check that there are animals that MMPose trains or tests on, and that a test leaves none out.

    Args:
        path (str): The file.
        coco (dict): What is in it, with the sizes of its images.
        test (bool): Whether it is for a test.

    Raises:
        ValueError: If not.
    """
    sizes = {image['id']: (image['width'], image['height']) for image in coco['images']}
    animals = [ann for ann in coco['annotations'] if ann['num_keypoints'] and not ann['iscrowd']]
    used = [ann for ann in animals if _is_used(ann, *sizes[ann['image_id']])]
    if not used:
        raise ValueError(
            f'{path} has nothing to {"test" if test else "train"} on: of its {len(coco["annotations"])} annotations, '
            f'{len(animals)} have a labelled keypoint and are no crowd, and none of these has a box within its image.'
        )
    if test and len(used) < len(animals):
        ids = {ann['id'] for ann in used}
        left_out = [f'annotation {ann["id"]}' for ann in animals if ann['id'] not in ids]
        what = 'labelled animals should have a box, and a point, within the image: AP would count them as missed'
        refuse(path, {('error', what): left_out})


def _is_used(ann: dict, width: int, height: int) -> bool:
    """Return whether MMPose's data sets keep a labelled animal."""
    (x, y, w, h), points = ann['bbox'], ann['keypoints']
    is_inside = min(x + w, width - 1) > max(x, 0) and min(y + h, height - 1) > max(y, 0)
    return is_inside and (max(points[0::3]) > 0 or max(points[1::3]) > 0)


class CheckedCOCO(COCO):
    """xtcocotools' index of an annotation file, which is read by :func:`.read`.

    Args:
        annotation_file (str): The file.
        folder (str, optional): Of the images, from which missing sizes are read.
    """

    def __init__(self, annotation_file: str, folder: str | None = None):
        super().__init__()
        self.dataset, folder = read(annotation_file), folder or _folder.get()
        if folder is not None:
            findings = fill_sizes(self.dataset['images'], folder)
            refuse(annotation_file, findings)
            tell(annotation_file, findings)
        self.anno_file = [annotation_file]
        self.createIndex()


_folder: ContextVar[str | None] = ContextVar('folder of the images of the data set that is being read', default=None)


def guard_mmpose() -> None:
    """Let MMPose's data sets and its metric read annotation files through :class:`CheckedCOCO`."""
    load_data_list = BaseCocoStyleDataset.load_data_list

    @functools.wraps(load_data_list)
    def load_with_sizes(self) -> list[dict]:
        token = _folder.set(self.data_prefix.get('img'))
        try:
            return load_data_list(self)
        finally:
            _folder.reset(token)

    BaseCocoStyleDataset.load_data_list = load_with_sizes
    base_coco_style_dataset.COCO = coco_metric.COCO = CheckedCOCO
    coco_metric.load = lambda path: ('annotations',)  # it reads the whole file again, to see that it has this list
