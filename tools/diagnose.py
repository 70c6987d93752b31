"""What the parts of a CLAMP do for its poses: where a gain comes from, or why there is none.

    python tools/diagnose.py configs/animalpose/clamp_lite0-minilm.py work_dirs/.../epoch_6.pth
    python tools/diagnose.py configs/animalpose/clamp_lite0-minilm.py           # before training

It prints, for training data, each loss with its share of the gradient that the image tower gets, and for test data
how often the peak of the score map, that of the heatmap, and that of the heatmap without the score map are within 0.1
of the box's longer side, keypoint by keypoint.
"""

import argparse
import json
from itertools import islice
from pathlib import Path

from clamp.command_line import Options, at_least, errors_in_one_line, input_file, output_file


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', type=input_file, help='config file of a CLAMP')
    parser.add_argument(
        'checkpoint', type=input_file, nargs='?', help='checkpoint file (.pth); without it, the model before training'
    )
    parser.add_argument(
        '--batches', type=at_least(1), default=4, help='batches for the gradients (default: %(default)s)'
    )
    parser.add_argument('--images', type=at_least(1), help='at most so many animals of the test set (default: all)')
    parser.add_argument('--json', type=output_file('.json'), metavar='FILE', help='keep the numbers')
    parser.add_argument('--device', help='such as cuda:1 or cpu (default: the GPU if there is one)')
    parser.add_argument('--cfg-options', nargs='+', action=Options, default={}, help='override settings')
    return parser.parse_args(argv)


if __name__ == '__main__':
    parse_args()  # --help and wrong arguments end here, before the imports that take seconds

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmpose.registry import MODELS
from torch import Tensor, nn
from tqdm import tqdm

import clamp.register  # noqa: F401
from clamp.checkpoints import load_weights
from clamp.checks import check_config, read_config
from clamp.evaluation.named_keypoint_metric import find_hits
from clamp.inference.device import check_device
from clamp.models import CLAMPHead, OpenVocabularyHead
from clamp.visualization import labelled_keypoints

THRESHOLD = 0.1  # of the longer side of the animal's box
PROJECTIONS = ('tower.proj', 'tower.attnpool', 'tower.head')  # behind the image tower's trunk, by kind of tower


def gradient_shares(model: nn.Module, batches: list[dict]) -> dict[str, dict[str, float]]:
    """Compare the gradients of the losses at the image tower.

    Returns:
        dict: By loss, the means over the batches of its value (with its weight), of the norm of its gradient at the
        trunk's parameters, and of the cosine of that gradient with that of ``loss_kpt``.
    """
    parameters = [
        p for name, p in model.backbone.named_parameters() if p.requires_grad and not name.startswith(PROJECTIONS)
    ]
    found: dict[str, list] = {}
    for batch in tqdm(batches, desc='gradients'):
        losses = model.loss(**model.data_preprocessor(batch, training=True))
        gradients = {}
        for name, loss in losses.items():
            parts = torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)
            gradients[name] = torch.cat([part.flatten() for part in parts if part is not None])
        for name, gradient in gradients.items():
            reference = gradients['loss_kpt']
            cosine = F.cosine_similarity(gradient, reference, dim=0) if len(gradient) == len(reference) else torch.nan
            found.setdefault(name, []).append([losses[name].item(), gradient.norm().item(), float(cosine)])
    return {name: dict(zip(('value', 'norm', 'cosine'), np.mean(rows, axis=0))) for name, rows in found.items()}


def peaks(maps: Tensor, size: tuple[int, int], are_heatmaps: bool) -> Tensor:
    """Return the places of the maxima of maps (B, K, h, w), (x, y) in pixels of an input of ``size`` (W, H).

    A heatmap's cell is its first pixel, as targets are drawn. Score maps are brought to a quarter of the input's size,
    and a cell there is the middle of the four pixels that it covers.
    """
    if not are_heatmaps:
        maps = F.interpolate(maps, size=(size[1] // 4, size[0] // 4), mode='bicubic', align_corners=False)
    height, width = maps.shape[-2:]
    index = maps.flatten(2).argmax(dim=-1)  # (B, K)
    pixels = torch.tensor([size[0] / width, size[1] / height])  # of a cell
    cells = torch.stack([index % width, index // width], dim=-1)
    return cells * pixels + (0 if are_heatmaps else (pixels - 1) / 2)


@torch.no_grad()
def keypoint_hits(model: nn.Module, batch: dict) -> dict[str, np.ndarray]:
    """Say which labelled keypoints are found by what, for one batch of the test set.

    Returns:
        dict[str, np.ndarray]: ``labelled``, and by map whether its peak is within the threshold, each (B, K) bool.
    """
    data = model.data_preprocessor(batch)
    samples = data['data_samples']
    feats = model.extract_feat(data['inputs'])
    head = model.head
    score_map, _ = head.compute_score_map(feats)
    compute = head.compute_score_map
    try:
        maps = {'score map': score_map, 'heatmap': head.forward(feats)}
        head.compute_score_map = lambda feats, texts=None: (torch.zeros_like(score_map), None)
        maps['heatmap, score map zeroed'] = head.forward(feats)
    finally:
        head.compute_score_map = compute
    size = samples[0].metainfo['input_size']
    gt = np.concatenate([sample.gt_instances.keypoints for sample in samples])  # (B, K, 2), pixels of the image
    labelled = np.stack([labelled_keypoints(sample) for sample in samples])
    boxes = np.concatenate([sample.gt_instances.bboxes for sample in samples])  # (B, 4), two corners
    centres, scales = (
        np.stack([sample.metainfo[f'input_{what}'] for sample in samples]) for what in ('center', 'scale')
    )
    hits = {'labelled': labelled}
    for name, each in maps.items():
        places = (
            peaks(each.float().cpu(), size, name != 'score map').numpy() / size * scales[:, None]
            + centres[:, None]
            - 0.5 * scales[:, None]
        )
        hits[name] = labelled & find_hits(places, gt, boxes[:, 2:] - boxes[:, :2], THRESHOLD)
    return hits


def to_text(result: dict) -> str:
    """Write the numbers as two tables."""
    lines = [f'{"loss":14} {"value":>10} {"gradient":>10} {"share":>6} {"cosine with loss_kpt":>21}']
    total = sum(row['norm'] for row in result['losses'].values())
    for name, row in result['losses'].items():
        lines.append(
            f'{name:14} {row["value"]:10.6f} {row["norm"]:10.6f} {row["norm"] / total:6.0%} {row["cosine"]:21.2f}'
        )
    lines += ['', *(f'{name} {value:.4f}' for name, value in result['scalars'].items()), '']
    maps = list(result['pck'])
    lines.append(f'{f"PCK@{THRESHOLD}, %":20} ' + ' '.join(f'{name:>26}' for name in maps))
    for row in ['mean', *result['keypoints']]:
        lines.append(f'{row:20} ' + ' '.join(f'{result["pck"][name][row]:26.1f}' for name in maps))
    return '\n'.join(lines)


def diagnose(args: argparse.Namespace) -> dict:
    """Measure what the module's docstring lists."""
    MMLogger.get_current_instance().setLevel('WARNING')  # init_weights lists the origin of each weight
    init_default_scope('mmpose')
    cfg = read_config(args.config, args.cfg_options)
    kind = MODELS.get(cfg.model.head.type)
    if not issubclass(kind or object, CLAMPHead) or issubclass(kind, OpenVocabularyHead):
        raise ValueError(f'{args.config} has a {cfg.model.head.type}: what is measured are the parts of a CLAMPHead.')
    check_config(cfg, ('train', 'test') if args.checkpoint is None else ('test',))
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    if args.checkpoint:
        load_weights(model, args.checkpoint)
    else:
        model.init_weights()
    model.to(check_device(args.device))
    for part in ('train', 'test'):
        cfg[f'{part}_dataloader'].update(num_workers=0, persistent_workers=False)
    loader, hits = Runner.build_dataloader(cfg.test_dataloader), []
    for batch in tqdm(loader, desc='test set'):
        hits.append(keypoint_hits(model.eval(), batch))
        if args.images and sum(len(each['labelled']) for each in hits) >= args.images:
            break
    hits = {name: np.concatenate([each[name] for each in hits])[: args.images] for name in hits[0]}
    batches = [*islice(Runner.build_dataloader(cfg.train_dataloader, seed=0), args.batches)]
    losses = gradient_shares(model.train(), batches)  # last: it changes the statistics of batch norms
    labelled, names = hits.pop('labelled').sum(axis=0), model.head.prompt_learner.keypoint_names
    pck = {}
    for name, found in hits.items():
        by_keypoint = 100 * found.sum(axis=0) / np.where(labelled, labelled, np.nan)  # NaN: labelled in no animal
        pck[name] = dict(mean=float(np.nanmean(by_keypoint))) | dict(zip(names, by_keypoint.tolist()))
    scalars = {}
    if (attention := model.head.prompt_learner.cross_attention) is not None:
        scalars['gamma, mean size'] = attention.gamma.abs().mean().item()
    if model.head.feature_loss:
        scalars['1 / temperature'] = model.head.feature_loss.logit_scale.exp().item()
    return dict(losses=losses, scalars=scalars, keypoints=names, pck=pck)


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    with errors_in_one_line():
        result = diagnose(args)
    print(to_text(result))
    if args.json:
        Path(args.json).write_text(json.dumps(result, indent=1) + '\n')


if __name__ == '__main__':
    main()
