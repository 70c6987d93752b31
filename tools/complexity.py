"""Count parameters and multiply-accumulates (Table 7 of the paper), on the CPU and without any weights.

    python tools/complexity.py configs/ap10k/{simplebaseline,clamp}_{r50,vitb}.py
    python tools/complexity.py --all

The counter is ``torch.utils.flop_counter.FlopCounterMode``, which is maintained with torch. It sees every operator that
is dispatched, so that attention and matrix products outside of modules are counted too, and it tells them apart by the
module that ran them, from which the paper's smaller count follows. Tracers (fvcore, ``mmengine.analysis``) and module
hooks (thop, mmcv's of old) each miss some of these. The models run on torch's meta device: nothing is computed.

docs/clip_models.md says what the paper's convention counts, and has the table of ``--all``, the models of open_clip.
"""

import argparse
import json
import math

from clamp.command_line import Options, at_least, errors_in_one_line, input_file, output_file


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Count parameters and multiply-accumulates at inference (Table 7).',
        epilog=__doc__.split('\n\n')[1],
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('configs', type=input_file, nargs='*', metavar='CONFIG', help='config files')
    parser.add_argument('--all', action='store_true', help='the models of open_clip in place of configs')
    parser.add_argument(
        '--size',
        nargs=2,
        type=at_least(1),
        metavar=('W', 'H'),
        help="size of the input in pixels (default: the config's)",
    )
    parser.add_argument('--json', type=output_file('.json'), metavar='FILE.json', help='save the exact counts')
    parser.add_argument('--cfg-options', nargs='+', action=Options, metavar='KEY=VALUE', help='override settings')
    args = parser.parse_args(argv)
    if args.all == bool(args.configs) or (args.all and args.cfg_options):
        parser.error('give config files, or --all without --cfg-options')
    return args


if __name__ == '__main__':
    parse_args()  # --help and wrong arguments end here, before the imports that take seconds

import torch
from mmengine.registry import init_default_scope
from mmpose.registry import MODELS
from open_clip import list_models
from open_clip.utils import to_2tuple
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from tqdm import tqdm

import clamp.register  # noqa: F401
from clamp.checks import read_config
from clamp.models import CLIPBackbone
from clamp.models.clamp_head import CHANNELS_TILE, PaddedDeconvolution
from clamp.models.clip import clip_config
from clamp.models.image_towers import image_tower_layout
from clamp.models.part_weights import find_text_files
from clamp.models.text_towers import text_encoder_kind
from clamp.tables import as_markdown

aten = torch.ops.aten
TEXT_ENCODER = 'head.prompt_learner.text_encoder'
PROMPTS = (TEXT_ENCODER, 'head.prompt_learner.prompt_encoder')  # what does not depend on the image
TRAINING_ONLY = ('head.upsample', 'head.feature_loss')
# the module hooks that the paper's count was made with: operations by element are counted too, two each for a norm
HOOKED = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear, nn.BatchNorm2d, nn.ReLU, nn.AvgPool2d)
BY_ELEMENT = {
    aten.native_batch_norm: 2,
    aten._native_batch_norm_legit_no_training: 2,  # what torch 2.6 has in its place
    aten.relu_: 1,
    aten.avg_pool2d: 1,
}


def count_macs(model: nn.Module, size: tuple[int, int]) -> dict[str, dict]:
    """Run a model once on an image and return the multiply-accumulates of its modules.

    Args:
        model (nn.Module): A pose estimator or a backbone. It is moved to the meta device, and so loses its weights.
        size (tuple[int, int]): (width, height) of the image in pixels.

    Returns:
        dict[str, dict]: Name of a module (``''`` for the whole model) to multiply-accumulates by operator, those of
        the modules within it included. Norms, activations and pooling (``BY_ELEMENT``) are counted by element.
    """
    formulas = {
        operator: lambda shape, *_, factor=factor, **__: 2 * factor * math.prod(shape)
        for operator, factor in BY_ELEMENT.items()
    }
    image = torch.empty(1, 3, size[1], size[0], device='meta')
    # with gradients on, as torch's fused attention for inference is no operator that the counter knows
    with torch.enable_grad(), FlopCounterMode(display=False, custom_mapping=formulas) as counter:
        model.eval().to('meta')(*([image] if isinstance(model, CLIPBackbone) else [image, None]))
    root = type(model).__name__
    return {
        name.removeprefix(root).removeprefix('.'): {operator: flops // 2 for operator, flops in counts.items()}
        for name, counts in counter.get_flop_counts().items()
        if name != 'Global'
    }


def full_macs(macs: dict[str, dict], module: str = '') -> int:
    """Return the multiply-accumulates of a module in convolutions, matrix products and attention."""
    return sum(count for operator, count in macs.get(module, {}).items() if operator not in BY_ELEMENT)


def paper_macs(model: nn.Module, macs: dict[str, dict]) -> int:
    """Return the multiply-accumulates as Table 7 counts them: in modules of certain types alone.

    No text encoder, no attention pooling, nothing of attention but the projections of the cross-attention, which are
    linear layers in the authors' code.
    """
    total = 0
    for name, module in model.named_modules():
        if isinstance(module, HOOKED) and TEXT_ENCODER not in name and 'attnpool' not in name:
            count = sum(macs.get(name, {}).values())
            if isinstance(module, PaddedDeconvolution):  # its zero channels are ours
                count = count * module.in_channels // (module.in_channels + -module.in_channels % CHANNELS_TILE)
            total += count
        elif isinstance(module, nn.MultiheadAttention) and 'cross_attention' in name:
            total += macs[name][aten.addmm]
    return total


def count_parameters(model: nn.Module, without: tuple[str, ...] = ()) -> int:
    """Return the number of parameters of a model at inference, some of its modules left out."""
    return sum(p.numel() for name, p in model.named_parameters() if not name.startswith(TRAINING_ONLY + without))


def paper_parameters(cfg: dict, model: nn.Module) -> int:
    """Return the number of parameters as Table 7 counts them, without the text encoder.

    CLAMP has two matrices of D x D more in the authors' code, which nothing uses. SimpleBaseline is counted as CLAMP
    without its prompts: with the projection to the embedding space and the K channels of the score map.
    """
    if cfg.backbone.type != 'CLIPBackbone':
        return count_parameters(model)
    if cfg.head.get('prompt_learner'):
        return count_parameters(model, (TEXT_ENCODER,)) + 2 * clip_config(cfg.backbone.clip)['embed_dim'] ** 2
    backbone = cfg.backbone | dict(with_embeds=True)
    head = cfg.head | dict(in_channels=cfg.head.in_channels + cfg.head.out_channels)
    return count_parameters(MODELS.build(cfg | dict(backbone=backbone, head=head)))


def measure(path: str, size: tuple[int, int] | None = None, options: dict | None = None) -> dict:
    """Count one config's parameters and multiply-accumulates.

    Args:
        path (str): The config file.
        size (tuple[int, int], optional): (width, height) of the input in pixels. Defaults to None, the config's.
        options (dict, optional): Overrides of the config.

    Returns:
        dict: ``config``, ``input_size``, ``parameters`` and ``macs``: without and with the text encoder, and as the
        paper counts. ``macs.image`` is what each image costs when the prompts are kept, as they are at inference.
    """
    cfg = read_config(path, options)
    size = tuple(size or cfg.model.head.decoder.input_size)
    if cfg.model.backbone.type == 'CLIPBackbone':
        cfg.model.backbone.input_size = size
    model = MODELS.build(cfg.model)
    macs = count_macs(model, size)
    prompts = sum(full_macs(macs, module) for module in PROMPTS)
    return dict(
        config=path,
        input_size=size,
        parameters=dict(
            without_text_encoder=count_parameters(model, (TEXT_ENCODER,)),
            with_text_encoder=count_parameters(model),
            paper=paper_parameters(cfg.model, model),
        ),
        macs=dict(image=full_macs(macs) - prompts, prompts=prompts, paper=paper_macs(model, macs)),
    )


def measure_clip(name: str, size: tuple[int, int] | None = None) -> dict:
    """Count the two towers of a model of open_clip, as CLAMP uses them.

    Args:
        name (str): As in ``open_clip.list_models()``.
        size (tuple[int, int], optional): (width, height) of the input in pixels. Defaults to None, the model's own, or
            what whole cells of it cover.

    Returns:
        dict: ``model``; ``image_tower``, ``text_tower``, ``input_size``, ``stride``, ``channels``, ``embed_dim``,
        ``deconvolutions`` that bring the feature map to about a quarter of the input, ``image_parameters``,
        ``text_parameters`` and ``macs`` of the image tower, as far as they can be had; ``reason`` is why not.
    """
    clip, row = dict(model_name=name), dict(model=name)
    config = clip_config(clip)
    vision_cfg, text_cfg = config['vision_cfg'], config['text_cfg']
    try:
        stride, channels = image_tower_layout(clip)
        size = size or [side // stride * stride for side in to_2tuple(vision_cfg.get('image_size', 224))[::-1]]
        with torch.device('meta'):
            backbone = CLIPBackbone(clip, input_size=size)
        trunk = getattr(backbone.tower, 'trunk', backbone.tower)
        row |= dict(image_tower=type(trunk).__name__, input_size=size, stride=stride, channels=channels)
        row |= dict(embed_dim=config['embed_dim'], deconvolutions=round(math.log2(stride / 4)))
        row |= dict(image_parameters=count_parameters(backbone), macs=full_macs(count_macs(backbone, size)))
        kind = text_encoder_kind(clip)
        row['text_tower'] = text_cfg.get('hf_model_name') or kind.__name__
        if text_cfg.get('hf_model_name'):
            find_text_files(text_cfg['hf_model_name'], 'config.json')
        with torch.device('meta'):
            row['text_parameters'] = count_parameters(kind.build(config))
    except (FileNotFoundError, ValueError) as error:
        row['reason'] = str(error)
    return row


def as_table(rows: list[dict]) -> str:
    """Write what :func:`measure` returned as a table in Markdown."""
    header = 'config | input | M parameters | with text encoder | G MACs an image | prompts, once | paper: M | paper: G'
    cells = [header.split(' | ')]
    for row in rows:
        millions = [f'{count / 1e6:.2f}' for count in row['parameters'].values()]
        billions = [f'{count / 1e9:.2f}' for count in row['macs'].values()]
        size = 'x'.join(map(str, row['input_size']))
        cells.append((row['config'], size, *millions[:2], *billions[:2], millions[2], billions[2]))
    return as_markdown(cells)


def as_clip_table(rows: list[dict]) -> str:
    """Write what :func:`measure_clip` returned as a table in Markdown, and below it why numbers are lacking."""
    header = 'model | image tower | text tower | input | stride | C | deconvolutions | D | M image | M text | G MACs'
    cells, reasons = [header.split(' | ')], {}
    for row in rows:
        names = [row.get(key, '-') for key in ('model', 'image_tower', 'text_tower')]
        size = 'x'.join(map(str, row.get('input_size', '-')))
        sizes = [str(row.get(key, '-')) for key in ('stride', 'channels', 'deconvolutions', 'embed_dim')]
        counts = [(row.get(key), unit) for key, unit in
                  (('image_parameters', 1e6), ('text_parameters', 1e6), ('macs', 1e9))]  # fmt: skip
        cells.append(
            (*names, size, *sizes, *('-' if count is None else f'{count / unit:.1f}' for count, unit in counts))
        )
        if 'reason' in row:
            reasons.setdefault(row['reason'].replace(row['model'], 'MODEL'), []).append(row['model'])
    lines = [f'- {", ".join(models)}: {reason}' for reason, models in reasons.items()]
    return '\n'.join([as_markdown(cells), '', *lines])


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    init_default_scope('mmpose')
    asked = list_models() if args.all else args.configs
    with errors_in_one_line(), tqdm(asked, 'counting', disable=None, leave=False) as names:
        if args.all:
            rows = [measure_clip(name, args.size) for name in names]
        else:
            rows = [measure(path, args.size, args.cfg_options) for path in names]
    print(as_clip_table(rows) if args.all else as_table(rows))
    if args.json:
        with open(args.json, 'w', encoding='utf-8') as file:
            json.dump(rows, file, indent=2)


if __name__ == '__main__':
    main()
