"""CLAMP: prompt-based contrastive learning for animal pose estimation, as an extension of MMPose 1.x.

``import clamp.register`` makes MMPose importable on today's stack and puts what is here into its registries, and so
does ``custom_imports = dict(imports=['clamp.register'])`` in a config. This module imports nothing: a command line
should not wait for torch before it says what is wrong with it.
"""

__version__ = '2.0.0.dev0'
