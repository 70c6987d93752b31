"""Show poses and score maps of own images in the browser.

    python tools/demo_app.py
    python tools/demo_app.py CONFIG CHECKPOINT
    python tools/demo_app.py MODEL_FOLDER --detector

Then open http://127.0.0.1:7860. It works without a network, and only this machine can reach it.
"""

import argparse
import importlib.util
import os
import sys
from tempfile import TemporaryDirectory

os.environ['GRADIO_ANALYTICS_ENABLED'] = 'False'  # gradio reads it when it is imported


from clamp.command_line import Options, at_least, check_model, config_or_model, input_file

NEEDS = "The demo needs {}, which is not installed: pip install --no-build-isolation -e '.[app]'"


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        'config',
        type=config_or_model,
        nargs='?',
        help='config file, such as configs/ap10k/clamp_vitb.py, or a published model alone (default: the model that '
        'comes with the package)',
    )
    parser.add_argument(
        'checkpoint',
        type=input_file,
        nargs='?',
        help='checkpoint (.pth), or what tools/export_onnx.py made of it (.onnx)',
    )
    parser.add_argument(
        '--detector',
        nargs='?',
        const='',
        metavar='WEIGHTS.pth',
        help="a button that finds the animal with torchvision's Faster R-CNN; its weights, if not to be downloaded",
    )
    parser.add_argument('--host', default='127.0.0.1', help='address to listen on (default: 127.0.0.1, this machine)')
    parser.add_argument('--port', type=at_least(0), default=7860, help='port to listen on (default: 7860)')
    parser.add_argument('--device', help='such as cuda:1 or cpu (default: the GPU if there is one)')
    parser.add_argument('--cfg-options', nargs='+', action=Options, metavar='KEY=VALUE', help='override settings')
    args = parser.parse_args(argv)
    if args.config:
        check_model(parser, args.config, args.checkpoint)
    return args


if __name__ == '__main__':
    parse_args()  # --help and wrong arguments end here, before the imports that take seconds
    if importlib.util.find_spec('gradio') is None:
        sys.exit(f'error: {NEEDS.format("gradio")}')

from clamp.inference import PosePredictor
from clamp.inference.detection import AnimalDetector
from clamp.pretrained import default_model, find_model


def serve(args: argparse.Namespace) -> None:
    """Serve the page until Ctrl+C.

    Raises:
        FileNotFoundError, ValueError: If config, checkpoint or weights are not there or do not fit, or the port is
            taken.
    """
    from clamp.app import PoseDemo  # here, so that --help needs no gradio

    predictor = PosePredictor(
        *find_model(args.config or default_model(), args.checkpoint), args.device, args.cfg_options
    )
    detector = AnimalDetector(args.detector or None, device=args.device) if args.detector is not None else None
    demo = PoseDemo(predictor, detector)
    url = demo.launch(args.host, args.port)
    print(f'Open {url} in a browser. Ctrl+C ends the demo.', flush=True)
    demo.app.block_thread()


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    try:
        with TemporaryDirectory(prefix='clamp-') as folder:
            os.environ['GRADIO_TEMP_DIR'] = folder  # of the uploads
            serve(args)
    except ModuleNotFoundError as error:
        sys.exit(f'error: {NEEDS.format(error.name)}')
    except (FileNotFoundError, ImportError, ValueError) as error:
        sys.exit(f'error: {error}')


if __name__ == '__main__':
    main()
