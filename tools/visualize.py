"""The paper's figures of your own models.

python tools/visualize.py similarity CONFIG CHECKPOINT --out similarity.pdf
python tools/visualize.py score-maps CONFIG CHECKPOINT --number 2 --keypoints nose 'left eye' --out score_maps.pdf
python tools/visualize.py score-maps CONFIG CHECKPOINT --photos dog.jpg --box 10,20,290,260 --out dog.png
python tools/visualize.py compare CONFIG CHECKPOINT --out poses.png
python tools/visualize.py compare CONFIG CHECKPOINT --against BASELINE_CONFIG BASELINE_CHECKPOINT --out compare.pdf
"""

import argparse
import copy
import difflib
import sys
from pathlib import Path

from clamp.command_line import Options, at_least, box, errors_in_one_line, input_file, model_names, output_file


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest='command', required=True, metavar='FIGURE')
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument('config', type=input_file, help='config file, such as configs/ap10k/clamp_vitb.py')
    common.add_argument('checkpoint', type=input_file, help='checkpoint file (.pth)')
    common.add_argument(
        '--out',
        type=output_file('.pdf', '.png', '.svg', '.jpg'),
        required=True,
        metavar='FIGURE.pdf',
        help='file to write: .pdf, .png, .svg or .jpg',
    )
    common.add_argument(
        '--dpi', type=at_least(1), default=300, help='of pictures, and of the photos in a PDF (default: 300)'
    )
    animals = common.add_mutually_exclusive_group()
    animals.add_argument('--images', nargs='+', metavar='IMAGE', help='image ids or file names; all their animals')
    animals.add_argument(
        '--number',
        type=at_least(1),
        help='how many, spread over the test set (default: all, for pictures 2 or 6)',
    )
    common.add_argument('--device', help='such as cuda:1 or cpu (default: the GPU if there is one)')
    common.add_argument('--cfg-options', nargs='+', action=Options, metavar='KEY=VALUE', help='override settings')
    commands.add_parser(
        'similarity',
        parents=[common],
        help='Figure 3: image features at the keypoints against prompts, before and after training',
    )
    score_maps = commands.add_parser('score-maps', parents=[common], help='Figure 4: score maps over the image')
    score_maps.add_argument('--photos', nargs='+', metavar='FILE', help='images of your own, in place of the test set')
    score_maps.add_argument('--box', type=box, metavar='X,Y,WIDTH,HEIGHT', help='of the animal in them (default: all)')
    score_maps.add_argument('--keypoints', nargs='+', metavar='NAME', help='which, by their prompts (default: all)')
    score_maps.add_argument(
        '--upsample',
        choices=['bilinear', 'learned'],
        default='bilinear',
        help='eq. 5 as printed, or the deconvolutions that were trained with the spatial loss (default: bilinear)',
    )
    compare = commands.add_parser(
        'compare', parents=[common], help='Figures 5, 6: a baseline (or none), this model, the truth'
    )
    compare.add_argument(
        '--against',
        type=input_file,
        nargs=2,
        metavar=('CONFIG', 'CHECKPOINT'),
        help='the baseline (default: none)',
    )
    return parser.parse_args(argv)


if __name__ == '__main__':
    parse_args()  # --help and wrong arguments end here, before the imports that take seconds

import cv2
import numpy as np
import torch
from matplotlib.figure import Figure
from mmengine.config import Config
from mmengine.dataset import BaseDataset, pseudo_collate
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope
from mmpose.evaluation.functional.nms import oks_iou
from mmpose.registry import DATASETS, MODELS
from torch import nn
from torch.utils.data import DataLoader
from tqdm import tqdm

import clamp.register  # noqa: F401
from clamp.checkpoints import read_checkpoint
from clamp.checks import check_config, read_config
from clamp.images import read_image
from clamp.inference import PosePredictor
from clamp.keypoint_names import names_of
from clamp.models.clip import check_weights, forget_weights
from clamp.visualization import crop_animal, draw_pose, labelled_keypoints
from clamp.visualization.figures import CROP_SIZE, plot_poses, plot_score_maps, plot_similarity, save_figure
from clamp.visualization.prompts import mean_similarity, view_prompts

METHODS = dict(CLAMPHead='CLAMP', HeatmapHead='SimpleBaseline')


def load_config(path: str, checkpoint: str, options: dict | None, with_data: bool = True) -> Config:
    """Read a config and check it, its data and its checkpoint, before anything is built."""
    cfg = read_config(path, options)
    check_config(cfg, ('test',) if with_data else ())
    read_checkpoint(checkpoint)
    return cfg


def check_has_prompts(cfg: Config, command: str) -> None:
    """Check that a config is one of CLAMP.

    Raises:
        ValueError: If it is not.
    """
    if not cfg.model.head.get('prompt_learner'):
        raise ValueError(f'{cfg.filename} is a model without prompts: {command} needs one of CLAMP.')


def choose_keypoints(wanted: list[str] | None, names: list[str]) -> list[int]:
    """Return the indices of keypoints by name; all of them for None.

    Raises:
        ValueError: If there is none of that name, with names like it.
    """
    for name in wanted or []:
        if name not in names:
            near = difflib.get_close_matches(name, names, n=5, cutoff=0.4) or names
            raise ValueError(f'There is no keypoint {name!r}. Did you mean: {", ".join(near)}?')
    return [names.index(name) for name in wanted or names]


def choose_animals(cfg: Config, images: list[str] | None, number: int | None = None) -> BaseDataset:
    """Build the test set, with the animals of some images, or a number spread over all.

    Args:
        cfg (Config): The config.
        images (list[str], optional): Image ids or file names.
        number (int, optional): How many animals, if no images are named. None takes all.

    Raises:
        ValueError: If an image is not in the test set, or a name is that of several.
    """
    init_default_scope(cfg.get('default_scope', 'mmpose'))
    dataset = DATASETS.build(cfg.test_dataloader.dataset)
    if images:
        infos = [dataset.get_data_info(index) for index in range(len(dataset))]
        keys = [{str(info['img_id']), *endings(info['img_path'])} for info in infos]
        if missing := [name for name in images if not any(name in key for key in keys)]:
            raise ValueError(
                f'No animal of {", ".join(missing)} in {dataset.ann_file}. Its image ids are from '
                f'{infos[0]["img_id"]} to {infos[-1]["img_id"]}, its files such as {Path(infos[0]["img_path"]).name}.'
            )
        for name in images:
            if len(meant := sorted({info['img_path'] for info, key in zip(infos, keys) if name in key})) > 1:
                raise ValueError(f'{name} may be {" or ".join(meant[:3])}: give the id or more of the path.')
        dataset.get_subset_([index for name in images for index, key in enumerate(keys) if name in key])
    elif number is not None and number < len(dataset):
        dataset.get_subset_(np.linspace(0, len(dataset) - 1, number).round().astype(int).tolist())
    return dataset


def endings(path: str) -> list[str]:
    """Return the names by which an image may be called: its file's, and with more and more of its folders."""
    parts = Path(path).parts
    return ['/'.join(parts[start:]) for start in range(len(parts))]


def initial_model(cfg: Config, device: torch.device) -> tuple[nn.Module, str]:
    """Build the model as it is before training, and say what its weights are: CLIP's, if they are at hand."""
    torch.manual_seed(cfg.get('randomness', {}).get('seed') or 0)
    model = copy.deepcopy(cfg.model)
    towers = [model.backbone.clip, model.head.prompt_learner.text_encoder]
    pretrained = [tower.pretrained for tower in towers if tower and tower.get('pretrained')]
    weights = 'CLIP weights' if pretrained else 'random weights'
    if any(isinstance(source, dict) for source in pretrained):
        weights = 'pretrained weights'  # of single towers, which are no CLIP
    try:
        check_weights(*towers)
    except FileNotFoundError as error:
        print(f'{error}\nBefore training: random weights in place of {weights}.', file=sys.stderr)
        weights = 'random weights'
        forget_weights(model)
    model = MODELS.build(model)
    MMLogger.get_current_instance().setLevel('WARNING')  # init_weights lists the origin of each weight
    model.init_weights()
    return model.to(device).eval(), weights


def draw_similarity(cfg: Config, args: argparse.Namespace) -> Figure:
    """Average the similarities over the animals, before and after training, print what they come to, and plot them."""
    check_has_prompts(cfg, args.command)
    dataset = choose_animals(cfg, args.images, args.number)
    predictor = PosePredictor(cfg, args.checkpoint, args.device)
    before, weights = initial_model(cfg, next(predictor.model.parameters()).device)
    models = {f'before training ({weights})': before, 'after training': predictor.model}
    loader = DataLoader(dataset, cfg.test_dataloader.batch_size, collate_fn=pseudo_collate)
    found = {title: [] for title in models}
    for batch in tqdm(loader, 'comparing', disable=None, leave=False):
        for title, model in models.items():
            found[title].append(view_prompts(model, copy.deepcopy(batch))[1])
    panels = {title: mean_similarity(np.concatenate(parts)) for title, parts in found.items()}
    print(f'Mean over {len(dataset)} animals of the cosine of the image feature at a keypoint and a prompt')
    for title, matrix in panels.items():
        own = np.eye(len(matrix), dtype=bool)
        print(f'{title}: own prompt {np.nanmean(matrix[own]):.3f}, others {np.nanmean(matrix[~own]):.3f}')
    return plot_similarity(panels, predictor.keypoint_names)


def draw_score_maps(cfg: Config, args: argparse.Namespace) -> Figure:
    """Plot the score maps of the animals."""
    check_has_prompts(cfg, args.command)
    names = names_of(cfg.model.head)
    chosen = choose_keypoints(args.keypoints, names)
    animals = [] if args.photos else choose_animals(cfg, args.images, 2 if args.number is None else args.number)
    predictor = PosePredictor(cfg, args.checkpoint, args.device)
    batch = pseudo_collate([*animals, *(own_animal(predictor, path, args.box) for path in args.photos or ())])
    learned = args.upsample == 'learned'
    score_maps, _ = view_prompts(predictor.model, batch, learned)
    label = 'upsampled score map' if learned else 'cosine similarity'
    return plot_score_maps(batch['data_samples'], score_maps, names, chosen, label, are_heatmaps=learned)


def own_animal(predictor: PosePredictor, path: str, box: list[float] | None) -> dict:
    """Return the animal of an image of one's own as those of the test set are, without a labelled keypoint."""
    image, number = read_image(path), predictor.metainfo['num_keypoints']
    unknown = dict(keypoints=np.zeros((1, number, 2), np.float32), keypoints_visible=np.zeros((1, number), np.float32))
    return predictor.sample(image, np.array(box or [0, 0, *image.shape[1::-1]]), img_path=path, **unknown)


def draw_comparison(cfg: Config, args: argparse.Namespace) -> Figure:
    """Plot the poses of the baseline, of the model, and the true ones; only labelled keypoints, as AP counts them."""
    models, labels = [(cfg, args.checkpoint)], [METHODS.get(cfg.model.head.type, cfg.model.head.type)]
    if args.against:
        names = model_names([args.against, [args.config, args.checkpoint]])
        baseline = load_config(*args.against, args.cfg_options)
        models.insert(0, (baseline, args.against[1]))
        labels.insert(0, METHODS.get(baseline.model.head.type, baseline.model.head.type))
        labels = names if labels[0] == labels[1] else labels
    dataset = choose_animals(cfg, args.images, 6 if args.number is None else args.number)
    metainfo, rows, captions = dataset.metainfo, {}, {}
    for label, (one, checkpoint) in zip(labels, models):
        predictor = PosePredictor(one, checkpoint, args.device)
        with torch.inference_mode():
            samples = predictor.model.test_step(pseudo_collate(same_animals(one, dataset)))
        rows[label] = [draw_animal(sample, sample.pred_instances.keypoints, metainfo) for sample in samples]
        captions[label] = [f'OKS {oks(sample, metainfo["sigmas"]):.2f}' for sample in samples]
    rows['Ground truth'] = [draw_animal(sample, sample.gt_instances.keypoints, metainfo) for sample in samples]
    return plot_poses(rows, captions)


def same_animals(cfg: Config, dataset: BaseDataset) -> list[dict]:
    """Return the animals of a data set as another config's pipeline makes them.

    Raises:
        ValueError: If an animal is not in that config's test set, or has other keypoints there.
    """
    init_default_scope(cfg.get('default_scope', 'mmpose'))
    other = DATASETS.build(cfg.test_dataloader.dataset)
    if other.metainfo['keypoint_id2name'] != dataset.metainfo['keypoint_id2name']:
        raise ValueError(f'{cfg.filename} has other keypoints: take a model of the same data.')
    places = {other.get_data_info(index)['id']: index for index in range(len(other))}
    ids = [dataset.get_data_info(index)['id'] for index in range(len(dataset))]
    if missing := [str(id_) for id_ in ids if id_ not in places]:
        raise ValueError(f'The animals {", ".join(missing)} are not in the test set of {cfg.filename}.')
    return [other[places[id_]] for id_ in ids]


def draw_animal(sample, keypoints: np.ndarray, metainfo: dict) -> np.ndarray:
    """Return the animal's crop with the labelled ones of keypoints (1, K, 2), in pixels of the image."""
    crop, matrix = crop_animal(sample, CROP_SIZE)
    keypoints = cv2.transform(keypoints, matrix)[0]
    return draw_pose(crop, keypoints, metainfo, labelled_keypoints(sample), radius=CROP_SIZE // 75)


def oks(sample, sigmas: np.ndarray) -> float:
    """Return the object keypoint similarity of a prediction and its truth, as COCO defines it."""
    labelled = labelled_keypoints(sample)[:, None]
    truth = np.hstack([sample.gt_instances.keypoints[0], labelled]).ravel()
    found = np.hstack([sample.pred_instances.keypoints[0], labelled]).ravel()
    area = sample.raw_ann_info['area']
    return float(oks_iou(truth, found[None], area, np.array([area]), sigmas, vis_thr=0.5)[0])


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    draw = {'similarity': draw_similarity, 'score-maps': draw_score_maps, 'compare': draw_comparison}[args.command]
    with errors_in_one_line():
        photos = getattr(args, 'photos', None)
        if photos and (args.images or args.number):
            raise ValueError(
                '--photos are images of your own, --images and --number choose from the test set: give one.'
            )
        if getattr(args, 'box', None) and not photos:
            raise ValueError('--box is that of --photos: the animals of the test set have boxes.')
        figure = draw(load_config(args.config, args.checkpoint, args.cfg_options, not photos), args)
        save_figure(figure, args.out, args.dpi)
    print(f'Figure: {args.out.absolute()}')


if __name__ == '__main__':
    main()
