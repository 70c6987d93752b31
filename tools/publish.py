"""Write a trained model as one folder that others can use, here or from the Hugging Face hub.

    python tools/test.py CONFIG CHECKPOINT --out metrics.json
    python tools/publish.py CONFIG CHECKPOINT my-model --metrics metrics.json --license cc-by-4.0
    python tools/predict.py my-model photo.jpg

The folder has the weights (safetensors), the config (JSON) and a model card. Nothing in it is run when it is loaded.
"""

import argparse
import os
from pathlib import Path

from clamp.command_line import Options, errors_in_one_line, input_file, input_path, output_folder


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', type=input_file, help='config file, such as configs/ap10k/clamp_vitb.py')
    parser.add_argument(
        'checkpoint', type=input_file, help='checkpoint (.pth), or what tools/export_onnx.py made of it (.onnx)'
    )
    parser.add_argument('folder', type=output_folder, help='new folder to write')
    parser.add_argument('--name', help="what the model is called (default: the folder's name)")
    parser.add_argument('--description', default='', metavar='TEXT', help='what it is for, for the model card')
    parser.add_argument('--license', default='', help='of the weights, such as apache-2.0 or cc-by-4.0')
    parser.add_argument(
        '--metrics', type=input_path, metavar='METRICS.json', help='what tools/test.py --out wrote of it'
    )
    parser.add_argument('--picture', type=input_path, help='a picture to show, such as one that tools/predict.py drew')
    parser.add_argument('--half', action='store_true', help='keep the weights in half precision: half as large')
    parser.add_argument('--cfg-options', nargs='+', action=Options, metavar='KEY=VALUE', help='override settings')
    return parser.parse_args(argv)


if __name__ == '__main__':
    parse_args()  # --help and wrong arguments end here, before the imports that take seconds

import clamp.register  # noqa: F401
from clamp.checks import read_config
from clamp.pretrained import CARD
from clamp.publish import Notes, publish


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    name = args.name or args.folder.resolve().name
    notes = Notes(name, args.description, args.license, args.metrics, args.picture)
    with errors_in_one_line():
        if os.path.ismount(args.folder) or args.folder.resolve() == Path.cwd():  # nothing can be moved to its place
            raise ValueError(f'{args.folder} is a disk or the current folder: name a new folder in it.')
        publish(read_config(args.config, args.cfg_options), args.checkpoint, args.folder.resolve(), notes, args.half)
    size = sum(path.stat().st_size for path in args.folder.rglob('*') if path.is_file())
    print(f'{size / 1e6:.1f} MB: {args.folder.resolve()}')
    print(f'Read {args.folder / CARD} and complete it. To put the model on the hub: hf upload OWNER/NAME {args.folder}')


if __name__ == '__main__':
    main()
