"""Convert a checkpoint of the authors' released code (MMPose 0.x, https://github.com/xuzhang1199/CLAMP).

    python tools/convert_checkpoint.py OLD.pth NEW.pth

Prints the config that goes with it. The config has what the released models do differently (docs/differences.md).
"""

import argparse
import os
import re

from clamp.command_line import errors_in_one_line, input_file, output_file


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('released', type=input_file, help='released checkpoint (.pth)')
    parser.add_argument('out', type=output_file(), help='checkpoint to write')
    parser.add_argument(
        '--config',
        type=input_file,
        help='config of the model (default: the one for the released backbone on AP-10K)',
    )
    return parser.parse_args(argv)


if __name__ == '__main__':
    parse_args()  # --help and wrong arguments end here, before the imports that take seconds

import torch
from mmengine.registry import init_default_scope
from mmpose.registry import MODELS
from torch import Tensor

import clamp.register
from clamp.checkpoints import read_checkpoint
from clamp.checks import read_file

CONFIG = 'configs/ap10k/clamp_{}_released.py'

# never used by the released code, but in its checkpoints
DEAD = {'text_projection', 'prompt_encoder.positional_embedding', 'prompt_encoder.text_projection'}

LAYER = r'context_decoder\.decoder\.(\d+)\.'
RENAMED = [  # the first pattern that matches the beginning of a released name, and what takes its place
    (r'logit_scale', 'head.feature_loss.logit_scale'),
    (r'contexts', 'head.prompt_learner.context'),
    (r'gamma', 'head.prompt_learner.cross_attention.gamma'),
    (r'backbone\.', 'backbone.tower.'),
    (r'keypoint_head\.', 'head.'),
    (r'upconv_head\.', 'head.upsample.'),
    (r'text_encoder\.', 'head.prompt_learner.text_encoder.tower.'),
    (r'prompt_encoder\.', 'head.prompt_learner.prompt_encoder.'),
    (LAYER + r'self_attn\.proj\.', r'head.prompt_learner.cross_attention.layers.\1.self_attn.out_proj.'),
    (LAYER + r'self_attn\.', r'head.prompt_learner.cross_attention.layers.\1.self_attn.'),
    (LAYER + r'cross_attn\.proj\.', r'head.prompt_learner.cross_attention.layers.\1.multihead_attn.out_proj.'),
    (LAYER + r'cross_attn\.', r'head.prompt_learner.cross_attention.layers.\1.multihead_attn.'),
    (LAYER + r'mlp\.0\.', r'head.prompt_learner.cross_attention.layers.\1.linear1.'),
    (LAYER + r'mlp\.3\.', r'head.prompt_learner.cross_attention.layers.\1.linear2.'),
    (LAYER, r'head.prompt_learner.cross_attention.layers.\1.'),
    (r'context_decoder\.', 'head.prompt_learner.cross_attention.'),
]


def convert(released: dict[str, Tensor]) -> tuple[dict[str, Tensor], list[str]]:
    """Convert the entries of a released model to ours.

    Renamed, except for: ``contexts`` (1, N, W), which loses its first dimension; the projections of queries, keys and
    values, which become one matrix with biases of zero; a ViT's class embedding, which the released code adds twice
    and which is doubled for that; entries that no forward pass uses, which are dropped.

    Args:
        released (dict[str, Tensor]): The released ``state_dict``.

    Returns:
        tuple: Our ``state_dict``, and the released names that are unknown.
    """
    converted, unknown, projections = {}, [], {}
    for name, tensor in released.items():
        if name in DEAD:
            continue
        ours = rename(name)
        if ours is None:
            unknown.append(name)
        elif match := re.fullmatch(r'(.+_attn\.)([qkv])_proj\.weight', ours):
            projections.setdefault(match[1], {})[match[2]] = tensor
        elif name == 'contexts':
            converted[ours] = tensor[0]
        elif name == 'backbone.class_embedding':
            converted[ours] = 2 * tensor
        else:
            converted[ours] = tensor
    for attention, weights in projections.items():
        stacked = torch.cat([weights[key] for key in 'qkv' if key in weights])  # (3 width, width)
        converted[f'{attention}in_proj_weight'] = stacked
        converted[f'{attention}in_proj_bias'] = stacked.new_zeros(len(stacked))
    return converted, unknown


def rename(name: str) -> str | None:
    """Return our name of a released entry, or None if it is unknown."""
    for pattern, replacement in RENAMED:
        if match := re.match(pattern, name):
            return match.expand(replacement) + name[match.end() :]
    return None


def find_config(released: dict[str, Tensor]) -> str:
    """Return the config of the released model of which these are the entries."""
    if 'backbone.layer1.0.conv1.weight' in released:
        return CONFIG.format('r50')
    widths = {768: 'vitb', 1024: 'vitl'}
    embedding = released.get('backbone.class_embedding', torch.empty(0))
    if 'contexts' not in released or len(embedding) not in widths:
        raise ValueError(
            'This is no released CLAMP checkpoint of ResNet-50, ViT-B/16 or ViT-L/14: its entries begin with '
            f'{", ".join(list(released)[:3])}. If it was trained with this code, it needs no conversion.'
        )
    return CONFIG.format(widths[len(embedding)])


def check_entries(converted: dict[str, Tensor], unknown: list[str], model: torch.nn.Module) -> None:
    """Check that the converted entries are those of the model, each in its shape.

    Raises:
        ValueError: If not; all that is unknown, missing or of another shape is listed.
    """
    wanted = model.state_dict()
    problems = [f'unknown: {name}' for name in unknown]
    problems += [f'not in our model: {name}' for name in sorted(converted.keys() - wanted.keys())]
    problems += [f'missing: {name} {tuple(wanted[name].shape)}' for name in sorted(wanted.keys() - converted.keys())]
    problems += [
        f'another shape: {name} is {tuple(converted[name].shape)}, the config wants {tuple(wanted[name].shape)}'
        for name in sorted(converted.keys() & wanted.keys())
        if converted[name].shape != wanted[name].shape
    ]
    if problems:
        raise ValueError(
            'The checkpoint is not of the model of the config (own keypoints: --config):\n  ' + '\n  '.join(problems)
        )


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    with errors_in_one_line():
        released = read_checkpoint(args.released)['state_dict']
        config = args.config or find_config(released)
        converted, unknown = convert(released)
        init_default_scope('mmpose')
        check_entries(converted, unknown, MODELS.build(read_file(config).model))
    meta = dict(converted_from=os.path.basename(args.released), clamp_version=clamp.__version__)
    part = args.out.with_name(f'{args.out.name}.part')
    torch.save(dict(meta=meta, state_dict=converted), part)
    part.replace(args.out)
    print(f'Converted {len(released)} entries to {args.out}. Test it:\n    python tools/test.py {config} {args.out}')


if __name__ == '__main__':
    main()
