"""CLAMP: prompt-based contrastive learning for animal pose estimation, as an extension of MMPose 1.x.

``import clamp.register`` makes MMPose importable on today's stack and puts what is here into its registries. In a
config ``custom_imports = dict(imports=['clamp'])`` does so, as for any extension of MMPose.
"""

import sys

__version__ = '1.0.0'

# MMEngine is there when a config asks for this package. It is not yet when a command line reads its arguments, which
# should not wait for torch, nor where nothing of MMPose is used.
if 'mmengine' in sys.modules:
    from . import register as register
