"""Cut each training animal out of its image once, so that training need not decode whole images again and again:

    python tools/build_crops.py configs/ap10k/clamp_vitb.py data/ap10k_crops
    python tools/train.py configs/ap10k/clamp_vitb.py --cfg-options train_dataloader.dataset.data_root=data/ap10k_crops/

A crop holds all that the config's augmentation can reach, with the pixels of its closest view. Crops are an ordinary
COCO data set: new images, one for each animal, and their annotations. Training alone uses them, validation and test do
not. Run it again after an interruption, and it goes on.
"""

import argparse
import hashlib
import json
import os
import shutil
import sys
from pathlib import Path
from typing import NamedTuple

from clamp.command_line import Options, at_least, errors_in_one_line, input_file


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', type=input_file, help='config file, whose training data and augmentation count')
    parser.add_argument('out', type=Path, help='folder for the crops')
    parser.add_argument(
        '--format',
        choices=('bmp', 'png', 'jpg'),
        default='bmp',
        help='bmp: fastest to read, and exact; png: exact, smaller, slow; jpg: smallest, quality 95 (default: bmp)',
    )
    parser.add_argument('--workers', type=at_least(1), default=os.cpu_count(), help='threads (default: one per core)')
    parser.add_argument('--dry-run', action='store_true', help='say how large the crops would be, and stop')
    parser.add_argument('--cfg-options', nargs='+', action=Options, metavar='KEY=VALUE', help='override settings')
    return parser.parse_args(argv)


if __name__ == '__main__':
    parse_args()  # --help and wrong arguments end here, before the imports that take seconds

import cv2
import numpy as np
from mmengine.registry import init_default_scope
from tqdm.contrib.concurrent import thread_map

import clamp.register  # noqa: F401
from clamp.checks import check_data, read_config
from clamp.datasets.checked_coco import CheckedCOCO
from clamp.datasets.coco import read
from clamp.datasets.crops import Augmentation, Crop, crop_annotation
from clamp.datasets.metainfo import annotation_path, dataset_of
from clamp.files import check_printable, inside, write_whole
from clamp.images import decode

ENCODER_OPTIONS = dict(bmp=[], png=[cv2.IMWRITE_PNG_COMPRESSION, 1], jpg=[cv2.IMWRITE_JPEG_QUALITY, 95])

CROPS = 'crops'  # the folder of the new images, below that of the config's images


class Job(NamedTuple):
    """One crop to be cut: from ``source``, an image of ``size`` (W, H), to ``target``."""

    source: Path
    size: tuple[int, int]
    crop: Crop
    target: Path


def load_samples(config: dict) -> list[dict]:
    """All animals of a data set config that training uses, as MMPose reads them, and their image's ``image_size``."""
    from mmpose.registry import DATASETS

    dataset = DATASETS.build({**config, 'pipeline': []})
    images = CheckedCOCO(dataset.ann_file, dataset.data_prefix['img']).imgs
    samples = [dataset.get_data_info(index) for index in range(len(dataset))]
    sizes = [(images[sample['img_id']]['width'], images[sample['img_id']]['height']) for sample in samples]
    return [{**sample, 'image_size': size} for sample, size in zip(samples, sizes)]


def describe(config: dict, augmentation: Augmentation, samples: list[dict], format_: str) -> dict:
    """What the crops depend on, for the manifest: annotations, images, augmentation and format."""
    images = {sample['img_path'] for sample in samples}
    sizes = sorted((Path(path).name, os.path.getsize(path)) for path in images)
    half_body = augmentation.half_body
    return dict(
        annotations=hashlib.sha256(Path(annotation_path(config)).read_bytes()).hexdigest(),
        image_sizes=hashlib.sha256(json.dumps(sizes).encode()).hexdigest(),
        augmentation={**vars(augmentation), 'half_body': half_body and vars(half_body)},
        format=format_,
    )


def claim(out: Path, manifest: dict) -> None:
    """Take the folder for crops of this manifest.

    Raises:
        ValueError: If it holds anything else, or its manifest cannot be read.
    """
    path, manifest = out / 'manifest.json', json.loads(json.dumps(manifest))  # tuples become lists, as in the file
    if path.is_file():
        try:
            found = json.loads(path.read_bytes())
            other = [key for key in manifest if found.get(key) != manifest[key]]
        except (ValueError, AttributeError) as error:
            raise ValueError(f'{path} is damaged ({error}): take another folder, or delete this one.') from error
        if other:
            raise ValueError(f'{out} holds crops of other {", ".join(other)}: take another folder, or delete it.')
    elif out.exists() and any(out.iterdir()):
        raise ValueError(f'{out} holds something else, and no manifest.json of crops: take another folder.')
    else:
        write_whole(path, json.dumps(manifest, indent=2).encode())


def encode(job: Job) -> tuple[bytes, str]:
    """Cut and encode one crop; return it, or nothing and what is wrong with the image."""
    try:
        if (image := decode(job.source)) is None:
            return b'', f'{job.source} cannot be read'
        if (size := image.shape[1::-1]) != tuple(job.size):
            return b'', f'{job.source} is of another size than the annotation file says: {size}, not {job.size}'
        kind = job.target.suffix
        return cv2.imencode(kind, job.crop.cut(image), ENCODER_OPTIONS[kind[1:]])[1].tobytes(), ''
    except (OSError, ValueError, cv2.error) as error:
        return b'', f'{job.source} {error}'


def write(job: Job) -> str:
    """Write one crop, whole or not at all, unless it is there; return what is wrong, or ''."""
    if job.target.exists():
        return ''
    content, wrong = encode(job)
    if not wrong:
        part = job.target.with_suffix('.part')
        part.write_bytes(content)
        part.replace(job.target)
    return wrong


def foretell(jobs: list[Job], format_: str) -> int:
    """Bytes of all crops: exact for bmp, else from the bytes per pixel of up to 32 of them."""
    pixels = sum(job.crop.width * job.crop.height for job in jobs)
    if format_ == 'bmp':
        return 3 * pixels
    some = [jobs[i] for i in np.linspace(0, len(jobs) - 1, min(32, len(jobs))).astype(int)]
    content = sum(len(encode(job)[0]) for job in some)  # a broken image has none, and is left out later
    return round(pixels * content / sum(job.crop.width * job.crop.height for job in some))


def plan(config: dict, args: argparse.Namespace) -> tuple[dict, list[dict], list[Job]]:
    """Return the manifest, all samples, and their crops in the same order.

    Raises:
        ValueError: If a path or an id of the annotations would lead out of the folder of the crops.
    """
    prefix = config.get('data_prefix', {}).get('img', '')
    paths = [Path(config.ann_file), Path(prefix)]
    if any(path.is_absolute() or '..' in path.parts for path in paths):
        raise ValueError(
            'The crops take the same paths below another data_root, but these lead out of it: '
            f'{", ".join(map(str, paths))}. Put annotations and images below one folder, by links, and make ann_file '
            'and data_prefix relative to it.'
        )
    augmentation, samples = Augmentation.from_pipeline(config.pipeline), load_samples(config)
    folder = args.out / prefix / CROPS
    check_printable(*(str(s['id']) for s in samples))
    jobs = [
        Job(
            Path(s['img_path']),
            s['image_size'],
            augmentation.crop(s, s['image_size']),
            inside(folder, f'{s["id"]}.{args.format}'),
        )
        for s in samples
    ]
    return describe(config, augmentation, samples, args.format), samples, jobs


def save_annotations(config: dict, out: Path, samples: list[dict], jobs: list[Job]) -> None:
    """Write the annotation file of the crops, with all the categories of the source's."""
    coco = read(annotation_path(config))
    pairs = [crop_annotation(sample, job.crop, f'{CROPS}/{job.target.name}') for sample, job in zip(samples, jobs)]
    coco['images'], coco['annotations'] = map(list, zip(*pairs))
    write_whole(out / config.ann_file, json.dumps(coco).encode())


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    init_default_scope('mmpose')
    with errors_in_one_line():
        cfg = read_config(args.config, args.cfg_options)
        config = dataset_of(cfg, 'train')
        if 'ann_file' not in config:
            raise ValueError(f'{args.config} is trained on several data sets: name the config of one.')
        check_data(config)
        manifest, samples, jobs = plan(config, args)
        needed = foretell(jobs, args.format)
        print(f'{len(jobs)} crops of {len({job.source for job in jobs})} images: {needed / 1e9:.2f} GB')
        if args.dry_run:
            return
        claim(args.out, manifest)
        left = foretell([job for job in jobs if not job.target.exists()] or jobs[:1], args.format)
        if left > (free := shutil.disk_usage(args.out).free):
            raise ValueError(
                f'{args.out} has {free / 1e9:.2f} GB free, {left / 1e9:.2f} GB are needed. Try --format jpg.'
            )
    jobs[0].target.parent.mkdir(parents=True, exist_ok=True)
    cv2.setNumThreads(0)  # the threads are ours
    wrong = thread_map(write, jobs, max_workers=args.workers, desc='cutting', unit=' crops')
    good = [index for index, message in enumerate(wrong) if not message]
    if not good:
        sys.exit('error: no image can be cut:\n' + '\n'.join(sorted(set(wrong))))
    save_annotations(config, args.out, [samples[i] for i in good], [jobs[i] for i in good])
    print(f'{len(good)} crops are in {args.out}. To train on them:')
    option = 'train_dataloader.dataset' + '.dataset' * (config is not cfg.train_dataloader.dataset)  # repeated
    print(f'python tools/train.py {args.config} --cfg-options {option}.data_root={args.out}/')
    if lost := sorted(set(filter(None, wrong))):
        sys.exit('error: left out, as training would leave them out:\n' + '\n'.join(lost))


if __name__ == '__main__':
    main()
