"""Export a checkpoint to ONNX: python tools/export_onnx.py CONFIG CHECKPOINT --out model.onnx

The graph takes images (B, 3, H, W), RGB in 0..255, uint8, of any batch size, and gives heatmaps; with --decode
keypoints and scores as well. Prompts are constants in it: those of the config's names, or of --keypoints where the
model takes any name. What is written has been compared with PyTorch.
"""

import argparse
import importlib.util
import logging
import statistics
import time
from collections.abc import Callable

from clamp.command_line import Options, check_model, config_or_model, errors_in_one_line, input_file, output_file


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        'config',
        type=config_or_model,
        help='config file, such as configs/ap10k/clamp_vitb.py, or a published model alone',
    )
    parser.add_argument('checkpoint', type=input_file, nargs='?', help='checkpoint file (.pth)')
    parser.add_argument('--out', type=output_file('.onnx'), required=True, metavar='MODEL.onnx', help='file to write')
    parser.add_argument(
        '--keypoints',
        nargs='+',
        metavar='NAME',
        help='what the graph predicts in place of its own keypoints, if the model takes any name',
    )
    parser.add_argument('--decode', action='store_true', help='give keypoints and scores too, decoded in the graph')
    parser.add_argument('--flip-test', action='store_true', help='average with the mirror image in the graph')
    parser.add_argument('--benchmark', action='store_true', help='also time ONNX Runtime and PyTorch on this machine')
    parser.add_argument('--cfg-options', nargs='+', action=Options, metavar='KEY=VALUE', help='override settings')
    args = parser.parse_args(argv)
    check_model(parser, args.config, args.checkpoint)
    return args


if __name__ == '__main__':
    parse_args()  # --help and wrong arguments end here, before the imports that take seconds

import numpy as np
import torch
from mmengine.registry import init_default_scope
from mmpose.datasets.datasets.utils import parse_pose_metainfo
from mmpose.registry import MODELS
from rich.console import Console
from rich.table import Table
from torch import nn

import clamp.register  # noqa: F401
from clamp.checkpoints import load_weights, read_checkpoint
from clamp.checks import read_config
from clamp.datasets.keypoint_choice import describe_names
from clamp.datasets.metainfo import dataset_metainfo
from clamp.keypoint_names import check_names, mirror_images
from clamp.pretrained import find_model

BATCH_SIZES = (1, 8)


def load_model(args: argparse.Namespace) -> tuple[nn.Module, dict, list[dict]]:
    """Return the trained model on the CPU, the parsed metainfo of its keypoints, and its test pipeline; no data."""
    config, checkpoint = find_model(args.config, args.checkpoint)
    cfg = read_config(config, args.cfg_options)
    init_default_scope('mmpose')
    read_checkpoint(checkpoint)  # before the model is built
    dataset = cfg.test_dataloader.dataset
    metainfo = dataset_metainfo(dataset)
    model = MODELS.build(cfg.model).eval()
    load_weights(model, checkpoint)
    if args.keypoints is None:
        return model, metainfo, dataset.pipeline
    if not hasattr(model.head, 'set_keypoint_names'):
        raise ValueError(
            f'--keypoints: {type(model.head).__name__} predicts its own keypoints alone. Others can be asked of '
            'OpenVocabularyHead: see docs/novel_keypoints.md.'
        )
    mirrors = mirror_images(check_names(args.keypoints), model.head.asked_names, metainfo['flip_indices'])
    model.head.set_keypoint_names(args.keypoints, mirrors)
    return model, parse_pose_metainfo(describe_names(args.keypoints, mirrors)), dataset.pipeline


def milliseconds(run: Callable[[], object]) -> float:
    """Return the median time of a call."""
    times = []
    for _ in range(23):  # the first three are slower
        start = time.perf_counter()
        run()
        times.append(1000 * (time.perf_counter() - start))
    return statistics.median(times[3:])


def time_both(file: bytes, estimator: nn.Module, batch_size: int) -> tuple[float, float]:
    """Return the milliseconds of a batch in ONNX Runtime and in PyTorch, which do the same with as many threads."""
    from clamp.onnx.graph import load_session

    session = load_session(file, torch.get_num_threads())
    shape = [batch_size, *session.get_inputs()[0].shape[1:]]
    images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    with torch.inference_mode():
        return (
            milliseconds(lambda: session.run(None, dict(images=images))),
            milliseconds(lambda: estimator(torch.from_numpy(images))),
        )


def export(args: argparse.Namespace) -> Table:
    """Export, compare and write; return what to show."""
    from clamp.onnx.export import ExportedEstimator, box_padding, export_onnx, verify

    if missing := [name for name in ('onnx', 'onnxscript', 'onnxruntime') if importlib.util.find_spec(name) is None]:
        raise ImportError(f'{", ".join(missing)} must be installed: pip install --no-build-isolation -e ".[onnx]"')
    model, metainfo, pipeline = load_model(args)
    file = export_onnx(model, metainfo, args.flip_test, args.decode, box_padding(pipeline, args.decode))
    columns = ['ONNX Runtime, ms', 'PyTorch, ms'] if args.benchmark else []
    table = Table('batch', 'largest difference of heatmaps', *columns)
    flip_indices = metainfo['flip_indices'] if args.flip_test else None
    for batch_size in BATCH_SIZES:
        row = [f'{verify(file, model, metainfo, args.flip_test, batch_size):.1e}']
        if args.benchmark:
            estimator = ExportedEstimator(model, flip_indices, args.decode)
            row += [f'{time_:.1f}' for time_ in time_both(file, estimator, batch_size)]
        table.add_row(str(batch_size), *row)
    args.out.write_bytes(file)
    return table


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    logging.getLogger('onnxscript').setLevel(logging.ERROR)  # it tells what it does not fold
    with errors_in_one_line():
        table = export(args)
    Console(markup=False, highlight=False).print(table)
    outputs = 'heatmaps, keypoints and scores' if args.decode else 'heatmaps'
    flip = ', a mean over image and mirror image' if args.flip_test else ''
    print(f'{outputs}{flip}, {args.out.stat().st_size / 2**20:.1f} MiB: {args.out.resolve()}')


if __name__ == '__main__':
    main()
