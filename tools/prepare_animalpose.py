"""Turn the Animal-Pose data set, as its authors release it, into COCO JSON for MMPose's `AnimalPoseDataset`.

    python tools/prepare_animalpose.py data/animalpose

Reads DATA_ROOT/keypoints.json and DATA_ROOT/images/, writes DATA_ROOT/annotations/animalpose_{train,val,trainval}.json.
MMPose's own split came from an unseeded shuffle; this one is by image, seeded, and the same everywhere. Of the 3,608
images, 3 show only animals without a keypoint; the other 3,605 give MMPose's 810 to val and 2,795 (its 2,798, less
those 3) to train. An animal without keypoints adds neither loss nor AP: MMPose's files keep all 43, ours none.
"""

import argparse
import hashlib
import json
import sys
from collections import Counter
from pathlib import Path

CONFIG_DATA_ROOT = Path('data/animalpose')


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    root_help = 'folder with keypoints.json and images/; annotations/ is made in it (default: data/animalpose)'
    add('data_root', metavar='DATA_ROOT', type=Path, nargs='?', default=CONFIG_DATA_ROOT, help=root_help)
    add('--seed', type=int, default=0, help='another seed makes another split (default: 0)')
    add('--val-images', type=int, metavar='N', help='images for val (default: 810 of 3,605, as large a part of fewer)')
    add('--skip-broken', action='store_true', help='leave missing and broken images out')
    add('--force', action='store_true', help='overwrite annotation files that are there and differ')
    return parser.parse_args(argv)


if __name__ == '__main__':
    parse_args()  # --help and wrong arguments end here, before the imports that take seconds

import cv2
import numpy as np

from clamp.datasets.splits import draw_order
from clamp.files import write_new
from clamp.images import map_images

HOMEPAGE = 'https://sites.google.com/view/animal-pose/'
NEXT_COMMAND = 'python tools/train.py configs/animalpose/clamp_vitb.py'
FAMILIES = {'dog': 'Canidae', 'cat': 'Felidae', 'sheep': 'Bovidae', 'horse': 'Equidae', 'cow': 'Bovidae'}

# the 20 keypoints in the order of keypoints.json, with MMPose's names
AUTHORS_TO_MMPOSE = {
    'left_eye': 'L_Eye', 'right_eye': 'R_Eye', 'nose': 'Nose', 'left_ear': 'L_EarBase', 'right_ear': 'R_EarBase',
    'left_front_elbow': 'L_F_Elbow', 'right_front_elbow': 'R_F_Elbow', 'left_back_elbow': 'L_B_Elbow',
    'right_back_elbow': 'R_B_Elbow', 'left_front_knee': 'L_F_Knee', 'right_front_knee': 'R_F_Knee',
    'left_back_knee': 'L_B_Knee', 'right_back_knee': 'R_B_Knee', 'left_front_paw': 'L_F_Paw',
    'right_front_paw': 'R_F_Paw', 'left_back_paw': 'L_B_Paw', 'right_back_paw': 'R_B_Paw',
    'throat': 'Throat', 'withers': 'Withers', 'tailbase': 'TailBase',
}  # fmt: skip
# the same 20 in MMPose's order
MMPOSE_KEYPOINTS = [
    'L_Eye', 'R_Eye', 'L_EarBase', 'R_EarBase', 'Nose', 'Throat', 'TailBase', 'Withers',
    'L_F_Elbow', 'R_F_Elbow', 'L_B_Elbow', 'R_B_Elbow', 'L_F_Knee', 'R_F_Knee', 'L_B_Knee', 'R_B_Knee',
    'L_F_Paw', 'R_F_Paw', 'L_B_Paw', 'R_B_Paw',
]  # fmt: skip
SKELETON = [
    ('L_Eye', 'R_Eye'), ('L_Eye', 'L_EarBase'), ('R_Eye', 'R_EarBase'), ('L_Eye', 'Nose'), ('R_Eye', 'Nose'),
    ('Nose', 'Throat'), ('Throat', 'Withers'), ('TailBase', 'Withers'), ('Throat', 'L_F_Elbow'),
    ('L_F_Elbow', 'L_F_Knee'), ('L_F_Knee', 'L_F_Paw'), ('Throat', 'R_F_Elbow'), ('R_F_Elbow', 'R_F_Knee'),
    ('R_F_Knee', 'R_F_Paw'), ('TailBase', 'L_B_Elbow'), ('L_B_Elbow', 'L_B_Knee'), ('L_B_Knee', 'L_B_Paw'),
    ('TailBase', 'R_B_Elbow'), ('R_B_Elbow', 'R_B_Knee'), ('R_B_Knee', 'R_B_Paw'),
]  # fmt: skip
CATEGORY = {
    'id': 1, 'name': 'animal', 'supercategory': 'animal', 'keypoints': MMPOSE_KEYPOINTS,
    'skeleton': [[MMPOSE_KEYPOINTS.index(name) + 1 for name in link] for link in SKELETON],
}  # fmt: skip


def read_source(data_root: Path) -> tuple[dict, str]:
    """Reads and checks DATA_ROOT/keypoints.json; returns the authors' annotations and the file's SHA-256."""
    path = data_root / 'keypoints.json'
    for wanted in (data_root, path, data_root / 'images'):
        if not wanted.exists():
            mend = f'Get the data from {HOMEPAGE} and put keypoints.json and the folder images/ into {data_root}.'
            raise ValueError(f'{wanted} does not exist. {mend}')
    content = path.read_bytes()
    try:
        source = json.loads(content)
        check_source(source)
    except ValueError as error:  # JSONDecodeError is one
        raise ValueError(f'{path} cannot be used: {error}. Copy or download it again from {HOMEPAGE}.') from None
    return source, hashlib.sha256(content).hexdigest()


def check_source(source: dict) -> None:
    """Raises ValueError, naming the place, unless `source` is laid out as the authors' keypoints.json is."""
    for key, kind in (('images', dict), ('annotations', list), ('categories', list)):
        if not isinstance(source, dict) or not isinstance(source.get(key), kind):
            raise ValueError(f'expected an object with a {kind.__name__} "{key}"')
    images, authors_keypoints, category_ids = source['images'], list(AUTHORS_TO_MMPOSE), []
    if not all(image_id.isdecimal() and isinstance(name, str) for image_id, name in images.items()):
        raise ValueError('expected "images" to map numbers to file names')
    if len(set(images.values())) < len(images):
        raise ValueError(f'"images" lists {Counter(images.values()).most_common(1)[0][0]} under more than one id')
    for category in source['categories']:
        name = category.get('name') if isinstance(category, dict) else category
        if not isinstance(category, dict) or name not in list(FAMILIES):
            raise ValueError(f'unexpected category {name!r}, expected {", ".join(FAMILIES)}')
        if (got := category.get('keypoints')) != authors_keypoints:
            raise ValueError(f'unexpected keypoints of category {name!r}: got {got}, expected {authors_keypoints}')
        category_ids.append(category.get('id'))
    image_ids = {int(image_id) for image_id in images}
    for index, item in enumerate(source['annotations']):
        if not is_annotation(item, image_ids, category_ids):
            raise ValueError(
                f'annotations[{index}] is {item!r}, expected image_id and category_id as listed, bbox as '
                '[xmin, ymin, xmax, ymax], and 20 keypoints as [x, y, 0 or 1]'
            )


def is_annotation(item: dict, image_ids: set[int], category_ids: list[int]) -> bool:
    """Whether `item` is one animal as the authors write it, of an image and a category that are listed."""
    try:
        is_known = item['image_id'] in image_ids and item['category_id'] in category_ids
        box, points = np.array(item['bbox']), np.array(item['keypoints'])
    except (KeyError, TypeError, ValueError):
        return False
    is_whole = box.shape == (4,) and points.shape == (20, 3) and {box.dtype.kind, points.dtype.kind} <= {'i', 'f'}
    return is_known and is_whole and np.isfinite([*box, *points.flat]).all() and set(points[:, 2]) <= {0, 1}


def read_image_size(path: Path) -> tuple[int, int] | str:
    """Decodes an image as training will; returns its (width, height) in pixels, or what is wrong, in words."""
    try:
        content = path.read_bytes()
    except OSError as error:
        return 'missing' if isinstance(error, FileNotFoundError) else f'cannot be read ({error.strerror})'
    # OpenCV 4 fills what a cut-off JPEG lacks with grey and says nothing; JPEG data never holds the end marker
    is_cut_off = content.startswith(b'\xff\xd8') and b'\xff\xd9' not in content
    image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR) if content and not is_cut_off else None
    if image is None:
        return f'cannot be decoded ({len(content):,} bytes{", cut off" if is_cut_off else ""})'
    return image.shape[1], image.shape[0]


def check_images(image_dir: Path, names: list[str]) -> tuple[dict[str, tuple[int, int]], dict[str, str]]:
    """Decodes all images; returns {name: (width, height)} of the good ones and {name: what is wrong} of the others."""
    paths = [image_dir / name for name in names]
    results = map_images(read_image_size, paths, desc='checking images')
    sizes = {name: result for name, result in zip(names, results) if not isinstance(result, str)}
    return sizes, {name: result for name, result in zip(names, results) if isinstance(result, str)}


def convert_keypoints(points: list, size: tuple[int, int]) -> tuple[list, int]:
    """Puts one animal's keypoints into MMPose's order and COCO's visibility.

    Args:
        points (list): 20 x [x, y, v] in the authors' order, (x, y) in pixels of the image, v = 0 or 1.
        size (tuple[int, int]): (width, height) of the image in pixels.

    Returns:
        tuple[list, int]: 20 x (x, y, v) in one list of 60, in MMPose's order, v = 2 labelled or 0, 0, 0 unlabelled;
        and how many labelled points became unlabelled, being outside the image.
    """
    by_name = dict(zip(AUTHORS_TO_MMPOSE.values(), points))
    keypoints, num_outside = [], 0
    for x, y, v in (by_name[name] for name in MMPOSE_KEYPOINTS):
        # the far edge is inside: the authors count pixels from 1, as VOC does
        is_inside = 0 <= x <= size[0] and 0 <= y <= size[1]
        keypoints += [round(x, 2), round(y, 2), 2] if v and is_inside else [0, 0, 0]
        num_outside += bool(v) and not is_inside
    return keypoints, num_outside


def convert_box(box: list[float], size: tuple[int, int]) -> list[float]:
    """Clips [xmin, ymin, xmax, ymax] to an image of (width, height); returns [x, y, width, height]; all in pixels."""
    x1, x2 = (min(max(x, 0), size[0]) for x in box[0::2])
    y1, y2 = (min(max(y, 0), size[1]) for y in box[1::2])
    return [round(number, 2) for number in (x1, y1, x2 - x1, y2 - y1)]


def convert_dataset(source: dict, sizes: dict[str, tuple[int, int]]) -> tuple[dict, Counter]:
    """Converts the authors' annotations to COCO's.

    Args:
        source (dict): What keypoints.json holds, checked.
        sizes (dict[str, tuple[int, int]]): (width, height) of each good image in pixels; others are left out.

    Returns:
        tuple[dict, Counter]: COCO dict without `info`, and how many of what were dropped. The id of an annotation is
        its position in keypoints.json, counted from 1; that of an image is the authors'.
    """
    species = {category['id']: category['name'] for category in source['categories']}
    animals, dropped = {}, Counter()
    for annotation_id, item in enumerate(source['annotations'], 1):
        if (name := source['images'][str(item['image_id'])]) not in sizes:
            dropped['animals in missing or broken images'] += 1
            continue
        keypoints, num_outside = convert_keypoints(item['keypoints'], sizes[name])
        dropped['labelled points outside their image (now unlabelled)'] += num_outside
        box = convert_box(item['bbox'], sizes[name])
        if not any(keypoints[2::3]):
            dropped['animals without a labelled keypoint (no loss, no AP)'] += 1
        elif min(box[2:]) < 1:
            dropped['animals whose box is under a pixel wide or high inside the image'] += 1
        elif (key := (item['image_id'], *box, *keypoints)) in animals:
            dropped['animals annotated twice, with the same box and keypoints'] += 1
        else:
            ids = {'id': annotation_id, 'image_id': item['image_id'], 'category_id': 1}
            animals[key] = {**ids, **make_annotation(box, keypoints, species[item['category_id']])}
    with_animals = {animal['image_id'] for animal in animals.values()}
    images = [
        {'id': int(image_id), 'file_name': f'images/{name}', 'width': sizes[name][0], 'height': sizes[name][1]}
        for image_id, name in source['images'].items()
        if int(image_id) in with_animals
    ]
    dropped['missing or broken images'] = num_broken = sum(name not in sizes for name in source['images'].values())
    dropped['images with no animal left'] = len(source['images']) - num_broken - len(images)
    return {'images': images, 'annotations': list(animals.values()), 'categories': [CATEGORY]}, +dropped


def make_annotation(box: list[float], keypoints: list, species: str) -> dict:
    """COCO's entry of one animal, less the ids; zero- and few-shot splits go by its species and family."""
    return {
        'bbox': box, 'area': round(box[2] * box[3], 2), 'iscrowd': 0,
        'num_keypoints': keypoints[2::3].count(2), 'keypoints': keypoints,
        'species': species, 'family': FAMILIES[species],
    }  # fmt: skip


def choose_val_names(source: dict, num_val: int | None, seed: int) -> set[str]:
    """Draws the validation images: the first `num_val` by the SHA-256 of '<seed>:<file name>'.

    A library's shuffle may change with its version; this order cannot. `num_val=None` draws 810 of 3,605, and as large
    a part of any other number. The draw is among all images with a labelled keypoint in `source`, so that a broken
    image, left out, moves no other one to the other split. Returns the file names drawn, as a set.
    """
    labelled = {item['image_id'] for item in source['annotations'] if any(point[2] for point in item['keypoints'])}
    names = [name for image_id, name in source['images'].items() if int(image_id) in labelled]
    num_val = max(1, round(len(names) * 810 / 3605)) if num_val is None else num_val
    if not 1 <= num_val < len(names):
        raise ValueError(f'cannot draw {num_val} of {len(names)} labelled images for val: change --val-images')
    return set(draw_order(names, seed)[:num_val])


def make_splits(coco: dict, val_names: set[str], info: dict) -> dict[str, dict]:
    """Cuts a COCO dict by image into those of 'train', 'val' and 'trainval', each with `info` and its counts."""
    is_val = {image['id']: image['file_name'].removeprefix('images/') in val_names for image in coco['images']}
    splits = {}
    for split, sides in (('train', {False}), ('val', {True}), ('trainval', {False, True})):
        images = [image for image in coco['images'] if is_val[image['id']] in sides]
        animals = [animal for animal in coco['annotations'] if is_val[animal['image_id']] in sides]
        if not images:
            raise ValueError(f'no image is left for {split}: change --val-images or --seed, or mend the images')
        species = Counter(animal['species'] for animal in animals)
        counts = {'images': len(images), **{name: species[name] for name in FAMILIES}, 'animals': len(animals)}
        counts['keypoints'] = sum(animal['num_keypoints'] for animal in animals)
        splits[split] = {
            'info': {'description': f'Animal-Pose {split}', 'url': HOMEPAGE, **info, 'counts': counts},
            **coco, 'images': images, 'annotations': animals,
        }  # fmt: skip
    return splits


def prepare(data_root: Path, num_val: int | None, seed: int, skip_broken: bool, force: bool) -> list[str]:
    """Does the whole conversion; returns the lines to print. See `main` for the arguments."""
    source, sha256 = read_source(data_root)
    val_names = choose_val_names(source, num_val, seed)
    sizes, broken = check_images(data_root / 'images', list(source['images'].values()))
    broken_lines = [f'  images/{name}: {reason}' for name, reason in broken.items()]
    if broken and not skip_broken:
        shown = '\n'.join(broken_lines[:20] + [f'  ... and {len(broken) - 20} more'] * (len(broken) > 20))
        raise ValueError(
            f'{len(broken)} of {len(source["images"])} images in {data_root} are missing or broken:\n{shown}\n'
            'Unpack or download them again, or leave them out with --skip-broken. Nothing was written.'
        )
    coco, dropped = convert_dataset(source, sizes)
    # no date, path or flag that changes no annotation: the same data and split are the same bytes
    info = {'prepared_by': 'tools/prepare_animalpose.py', 'source_sha256': sha256, 'seed': seed}
    info.update(val_images=len(val_names), dropped=dropped, broken_images=sorted(broken))
    splits = make_splits(coco, val_names, info)
    contents = {
        data_root / f'annotations/animalpose_{split}.json': json.dumps(content, separators=(',', ':')).encode()
        for split, content in splits.items()
    }
    mend = (
        'it is of another seed, options or images, or not made by this tool. Move it away, or overwrite with --force.'
    )
    written = write_new(contents, mend, force)
    lines = [f'{"wrote" if path in written else "up to date:"} {path}' for path in contents]
    dropped_lines = [f'{count:>6,} {what}' for what, count in dropped.items()] or ['     0']
    return [*lines, '', *make_table(splits), '', 'dropped:', *dropped_lines, *broken_lines]


def make_table(splits: dict[str, dict]) -> list[str]:
    """Lines of a table: a row per split, a column per count."""
    columns = list(splits['train']['info']['counts'])
    rows = [[split, *(f'{content["info"]["counts"][key]:,}' for key in columns)] for split, content in splits.items()]
    return [f'{row[0]:<9}' + ''.join(f'{cell:>10}' for cell in row[1:]) for row in [['split', *columns], *rows]]


def main(argv: list[str] | None = None) -> int:
    """Runs the tool; returns its exit status."""
    args = parse_args(argv)
    try:
        lines = prepare(args.data_root, args.val_images, args.seed, args.skip_broken, args.force)
    except (OSError, ValueError) as error:
        print(f'error: {error}', file=sys.stderr)
        return 1
    if (data_root := args.data_root.resolve()) != CONFIG_DATA_ROOT.resolve():
        lines += ['', f'the configs read {CONFIG_DATA_ROOT}: ln -s {data_root} {CONFIG_DATA_ROOT}']
    print('\n'.join([*lines, '', f'next: {NEXT_COMMAND}']))
    return 0


if __name__ == '__main__':
    sys.exit(main())
