"""The web demo, which tools/demo_app.py serves: ``inputs`` are checked, ``views`` drawn, the ``page`` holds them."""

import gradio

if int(gradio.__version__.split('.')[0]) < 6:
    raise ImportError(f'The demo needs gradio 6, but {gradio.__version__} is installed: pip install "gradio>=6".')

from .page import PoseDemo

__all__ = ['PoseDemo']
