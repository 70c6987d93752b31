"""The web demo, which tools/demo_app.py serves: ``inputs`` are checked, ``views`` drawn, the ``page`` holds them."""

from .page import PoseDemo

__all__ = ['PoseDemo']
