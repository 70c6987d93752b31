"""Install the package. requirements.txt and the Makefile install what it needs besides, and say why."""

import re
from pathlib import Path

from setuptools import find_packages, setup

version = re.search(r"__version__ = '(.+)'", Path(__file__).with_name('clamp').joinpath('__init__.py').read_text())[1]

setup(
    name='clamp-pose',
    version=version,
    description='CLAMP: prompt-based contrastive learning for animal pose estimation, on MMPose 1.x',
    long_description=Path(__file__).with_name('README.md').read_text(encoding='utf-8'),
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    python_requires='>=3.10,<3.13',  # xtcocotools cannot be built for 3.13
    packages=find_packages(include=['clamp', 'clamp.*']),
    package_data={'clamp': ['pretrained_model/*'], 'clamp.report': ['templates/*']},
    # not mmpose: its own would pull in chumpy, which cannot be built today, and mmcv, whose name mmcv-lite shares; not
    # xtcocotools, which is built with the numpy that is there; not OpenCV, of which there are several packages
    install_requires=[
        'filelock',
        'imagehash',
        'jinja2',
        'json_tricks',
        'matplotlib',
        'mmengine==0.10.7',
        'msgspec',
        'munkres',
        'numpy>=2',
        'open_clip_torch>=3.3',
        'safetensors',
        'scipy',
        'setuptools<81',  # mmengine imports pkg_resources
        'six',
        'torch>=2.6',
        'torchvision',
    ],
    extras_require={
        'onnx': ['onnx', 'onnxscript', 'onnxruntime'],  # tools/export_onnx.py; to run its graphs, the last alone
        'app': ['gradio>=6'],  # tools/demo_app.py
        'video': ['av'],  # pictures of videos as H.264, which browsers play
        'heif': ['pillow-heif'],  # HEIC images in tools/predict.py and tools/demo_app.py
        # predict.py --format, and labels of SLEAP; those of DeepLabCut need none
        'formats': ['pandas', 'tables', 'sleap-io', 'pynwb', 'ndx-pose'],
        'hf': ['transformers>=5'],  # text models and tokenizers of Hugging Face: SigLIP, NLLB, MiniLM, ...
    },
)
