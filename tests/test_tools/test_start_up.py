"""A command line that is wrong, or asks for help, is answered before anything is imported that takes long."""

import csv
import json
import os
import subprocess
import sys

import cv2
import numpy as np
import pytest

from tests.repository import DEMO, ROOT, load_tool

TOOLS = sorted(path.stem for path in (ROOT / 'tools').glob('*.py'))
SLOW = [
    'torch',
    'torchvision',
    'mmengine',
    'mmcv',
    'mmpose',
    'open_clip',
    'timm',
    'matplotlib',
    'scipy',
    'numpy',
    'cv2',
]

# runs command lines one after the other, as `python tools/NAME.py` would, and says what has been imported
RUNNER = """
import json, runpy, sys
for name, *sys.argv[1:] in json.load(sys.stdin):
    sys.argv[0], code = f'tools/{name}.py', 0
    try:
        runpy.run_path(sys.argv[0], run_name='__main__')
    except SystemExit as end:
        code = end.code
    print('exit', name, code, *(module for module in SLOW if module in sys.modules), flush=True)
"""


def run(commands: list[list[str]], slow: list[str] = SLOW, path: str = '') -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, '-c', f'SLOW = {slow}\n{RUNNER}'],
        input=json.dumps(commands),
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=os.environ | dict(PYTHONPATH=path + os.pathsep + os.environ.get('PYTHONPATH', '')),
    )


def exits(commands: list[list[str]]) -> list[str]:
    return [line for line in run(commands).stdout.splitlines() if line.startswith('exit ')]


def test_help_imports_nothing_slow():
    assert exits([[name, '--help'] for name in TOOLS]) == [f'exit {name} 0' for name in TOOLS]


def test_wrong_arguments_import_nothing_slow(tmp_path):
    there = DEMO
    (tmp_path / 'there.html').touch()
    commands = [[name, '--no-such-option'] for name in TOOLS]
    commands += [
        ['train', 'no/config.py'],
        ['train', there, '--cfg-options', 'no_value'],
        ['test', there, 'no.pth'],
        ['test', 'no_model'],
        ['test', there],
        ['demo_app', str(tmp_path)],
        ['export_onnx', str(tmp_path), there, '--out', str(tmp_path / 'new.onnx')],
        ['report', there, there, '--out', str(tmp_path / 'there.html')],
        ['report', there, there, '--against', there, 'no.pth'],
        ['report', there, there, '--against', there, there, there],
        ['visualize', 'compare', there, there, '--against', there, 'no.pth', '--out', str(tmp_path / 'new.pdf')],
        ['publish', there, there, str(tmp_path)],
        ['convert_checkpoint', 'no.pth', str(tmp_path / 'new.pth')],
        ['predict', there, there, 'dog.jpg', '--format', 'docx'],
        ['benchmark', '--sections', 'none'],
        ['make_splits', 'fewshot', there, '--shots', 'many'],
        ['make_splits', 'fewshot', 'no.json', '--shots', '2'],
        ['new_dataset', 'no.slp'],
        ['check_dataset', '--train', 'no.json', '--img-root', '.'],
        ['reproduce', 'demo', '--tables', 'no.json'],
    ]
    done = run(commands)
    found = [line for line in done.stdout.splitlines() if line.startswith('exit ')]
    assert found == [f'exit {name} 2' for name, *_ in commands]
    for message in (
        'argument config: no/config.py is not there (from ',
        'argument --cfg-options: no_value is not KEY=VALUE',
        'argument checkpoint: no.pth is not there',
        'argument config: no_model is not there',
        'argument --against: no.pth is not there',
        'argument ann: no.json is not there',
        'clamp_tiny.py after it, or a folder that tools/publish.py wrote',
        ' is no model: there is no config.json and no model.safetensors in it',
        ' is a folder: it needs no checkpoint',
        'A model is CONFIG CHECKPOINT or one folder, not ',
    ):
        assert message in done.stderr


ONNX_RUNTIME = """
import json
from types import SimpleNamespace
import numpy as np
SessionOptions = SimpleNamespace
class InferenceSession:
    def __init__(self, file, options, providers): pass
    def get_modelmeta(self):
        values = dict(keypoint_names=['L_Eye', 'R_Eye'], prompts=['left eye', 'right eye'], sigmas=[0.1, 0.1])
        values |= dict(flip_indices=[1, 0], skeleton_links=[[0, 1]], input_size=[64, 64], flip_test=True, decoded=True)
        values |= dict(mirror_names=['right eye', 'left eye'], padding=1.25)
        values['clamp_version'] = '1'
        return SimpleNamespace(custom_metadata_map={name: json.dumps(value) for name, value in values.items()})
    def run(self, names, inputs):
        assert names == ['keypoints', 'scores'] and inputs['images'].shape == (1, 3, 64, 64)
        return np.float32([[[32, 32], [32, 0]]]), np.float32([[0.75, 0.5]])
"""


@pytest.mark.parametrize('option', ['--prompts', '--keypoints', '--cfg-options', '--device'])
def test_an_exported_model_alone_has_its_own_names(option, tmp_path):
    cv2.imwrite(str(tmp_path / 'dog.png'), np.zeros((3, 4, 3), np.uint8))
    with pytest.raises(SystemExit, match=f'error: An exported model takes no {option}: give the config and checkpoint'):
        load_tool('predict').main(['model.onnx', str(tmp_path / 'dog.png'), option, 'a=b'])


def test_an_exported_model_alone_predicts_without_torch_and_mmpose(tmp_path):
    """The box, from 0 to 40 and 0 to 30, is made 1.25 times as large and square: 50 pixels for the 64 of the input."""
    (tmp_path / 'onnxruntime.py').write_text(ONNX_RUNTIME)
    (tmp_path / 'model.onnx').touch()
    cv2.imwrite(str(tmp_path / 'dog.png'), np.zeros((31, 41, 3), np.uint8))
    arguments = [str(tmp_path / 'model.onnx'), str(tmp_path / 'dog.png'), '--out', str(tmp_path / 'out')]
    slow = [module for module in SLOW if module not in ('numpy', 'cv2')]
    done = run([['predict', *arguments]], slow, str(tmp_path))
    assert done.stdout.splitlines()[-1] == 'exit predict 0'
    with open(tmp_path / 'out/predictions.csv', newline='') as file:
        rows = list(csv.reader(file))
    assert rows[1:] == [
        ['dog.png', '', '0', 'left eye', '20.00', '15.00', '0.7500'],
        ['dog.png', '', '0', 'right eye', '20.00', '-10.00', '0.5000'],
    ]
    assert cv2.imread(str(tmp_path / 'out/poses/dog.png')).any()
