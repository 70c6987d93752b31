"""Make MMPose 1.3.2 and MMEngine 0.10.7 import and resume on today's torch, numpy and setuptools.

Each of the functions below steps in for one incompatibility. Packages that are really installed are left as they are.
"""

import functools
import importlib.util
import pickle
import sys
import types
import warnings


def check_opencv() -> None:
    """Say which system library OpenCV lacks, before a bare ``ImportError`` comes from deep inside mmcv.

    Raises:
        ImportError: If OpenCV cannot be imported, with the two ways to mend it.
    """
    try:
        import cv2  # noqa: F401
    except ImportError as error:
        if 'cannot open shared object file' not in str(error):
            raise
        raise ImportError(
            f'OpenCV does not load here: {error}. Servers and slim containers lack the graphics libraries that '
            'opencv-python links to. Install them (Debian, Ubuntu: apt-get install libgl1 libglib2.0-0), or replace '
            'the package: pip uninstall -y opencv-python && pip install opencv-python-headless'
        ) from error


def _placeholder(name: str, package: str):
    """Return a class that stands for ``name`` of a package that is not installed and says so when it is used."""

    class Missing:
        def __init__(self, *args, **kwargs):
            raise ImportError(f'{name} comes from {package}, which is not installed. No model of CLAMP needs it.')

    Missing.__name__ = Missing.__qualname__ = name
    return Missing


def _imports(name: str) -> bool:
    """Whether a module is there and can be imported: mmdet 3.3 refuses mmcv 2.2, for one."""
    package = name.partition('.')[0]
    if importlib.util.find_spec(package) is None:
        return False
    before = set(sys.modules)
    try:
        importlib.import_module(name)
    except Exception as error:
        for other in set(sys.modules) - before:
            if other.partition('.')[0] == package:
                del sys.modules[other]
        sys.modules[package] = None  # to import it is an ImportError now, which MMPose, where it tries to, expects
        warnings.warn(f'{package} is installed, but cannot be imported, and is done without: {error}', stacklevel=2)
        return False
    return True


def import_mmpose_models() -> None:
    """Import ``mmpose.models`` without mmdet and without mmcv's compiled operators.

    RTMO's head imports ``mmdet.utils`` and EDPose's layers import ``mmcv.ops`` on top of their modules. CLAMP uses
    neither, and neither can be built on a current torch. Placeholders stand in while the import lasts, only for what
    is missing or does not import, and are taken away again, so that nobody later mistakes them for the real packages.
    """
    missing = {}
    if importlib.util.find_spec('mmcv._ext') is None:
        missing['mmcv.ops'] = {'MultiScaleDeformableAttention': _placeholder('MultiScaleDeformableAttention', 'mmcv')}
    if not _imports('mmdet.utils'):
        names = {'ConfigType': dict, 'reduce_mean': _placeholder('reduce_mean', 'mmdet')}
        missing.update({'mmdet': {}, 'mmdet.utils': names})
    blocked = {name: None for name in missing if name in sys.modules}
    for name, members in missing.items():
        sys.modules[name] = types.ModuleType(name)
        vars(sys.modules[name]).update(members)
    try:
        import mmpose.models  # noqa: F401
    finally:
        for name in missing:
            del sys.modules[name]
        sys.modules.update(blocked)


def _statistics_method(owner: type, name: str):
    """Stand in for ``getattr`` in a checkpoint, where it is asked for the methods of MMEngine's log buffers alone."""
    from mmengine.logging.history_buffer import HistoryBuffer

    if owner is not HistoryBuffer or name not in ('min', 'max', 'current', 'mean'):
        raise pickle.UnpicklingError(f'A checkpoint of MMEngine does not ask for {name!r} of {owner}.')
    return getattr(owner, name)


def allow_mmengine_checkpoints() -> None:
    """Let torch's safe loader read what MMEngine writes into a checkpoint besides tensors.

    torch >= 2.6 loads with ``weights_only=True`` and refuses types that it does not know: MMEngine's log buffers with
    their methods, and the numpy scalars and arrays in them. Allowing just these keeps the loader safe.
    """
    import numpy as np
    import torch
    from mmengine.logging.history_buffer import HistoryBuffer

    # numpy 2 pickles its internals as numpy._core, files written under numpy 1 name them numpy.core
    reconstruct = np.zeros(1).__reduce__()[0]
    scalar = np.float64(0).__reduce__()[0]
    dtypes = {type(np.dtype(kind)) for kind in ('f2', 'f4', 'f8', 'i1', 'i2', 'i4', 'i8', 'u1', 'b1')}
    safe = [HistoryBuffer, np.ndarray, np.dtype, reconstruct, scalar, *dtypes]
    safe += [(reconstruct, 'numpy.core.multiarray._reconstruct'), (scalar, 'numpy.core.multiarray.scalar')]
    safe += [(_statistics_method, 'builtins.getattr'), bytes]  # bytes: of an array of no elements, such as no links
    torch.serialization.add_safe_globals(safe)


def check_versions() -> None:
    """Warn of versions whose parts this module and others replace without having been tried with them."""
    import mmengine
    import mmpose

    for package, version in ((mmengine, '0.10.7'), (mmpose, '1.3.2')):
        if package.__version__ != version:
            warnings.warn(
                f'{package.__name__} {package.__version__} is installed. This code was made for {version}, of which it '
                'replaces parts: it may fail, or do something else, with another.',
                stacklevel=2,
            )


def mend_visualizer() -> None:
    """Let MMPose's visualiser draw keypoints under numpy >= 2.4, for which an array of one element is no number."""
    import numpy as np
    from mmpose.visualization.opencv_backend_visualizer import OpencvBackendVisualizer

    draw_circles = OpencvBackendVisualizer.draw_circles

    @functools.wraps(draw_circles)
    def draw_circles_of_one_radius(self, center, radius, *args, **kwargs):
        if self.backend == 'opencv':
            radius = np.asarray(radius).item()
        return draw_circles(self, center, radius, *args, **kwargs)

    OpencvBackendVisualizer.draw_circles = draw_circles_of_one_radius


def mend_cpu_processes() -> None:
    """Let MMEngine's launcher start processes that train on CPUs: it takes a GPU for granted in two places."""
    import torch
    from mmengine.dist import utils
    from mmengine.model import MMDistributedDataParallel

    init_on_gpus, wrap = utils._init_dist_pytorch, MMDistributedDataParallel.__init__

    @functools.wraps(init_on_gpus)
    def init(backend, init_backend='torch', **kwargs):
        if torch.accelerator.is_available():
            return init_on_gpus(backend, init_backend=init_backend, **kwargs)
        return torch.distributed.init_process_group('gloo', **kwargs)  # NCCL is for GPUs alone

    @functools.wraps(wrap)
    def wrap_on_any_device(self, module, *args, device_ids=None, **kwargs):
        on_cpu = next(module.parameters()).device.type == 'cpu'
        wrap(self, module, *args, device_ids=None if on_cpu else device_ids, **kwargs)

    utils._init_dist_pytorch, MMDistributedDataParallel.__init__ = init, wrap_on_any_device


warnings.filterwarnings('ignore', message='pkg_resources is deprecated')  # mmengine 0.10.7 imports it
warnings.filterwarnings('ignore', message='Fail to import ``MultiScaleDeformableAttention``')  # mmcv-lite says so
warnings.filterwarnings('ignore', message="'pin_memory' argument is set as true")  # without a GPU, torch says so
warnings.filterwarnings('ignore', message='The metainfo config file')  # MMPose finds it in its own wheel
check_opencv()
import_mmpose_models()
check_versions()
allow_mmengine_checkpoints()
mend_visualizer()
mend_cpu_processes()
