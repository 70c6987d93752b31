"""An exported model as a file: how it is opened, and what it says of itself. This needs ONNX Runtime, and no torch."""

import json
from pathlib import Path
from typing import Any

METADATA = (  # of the values of clamp.onnx.export.metadata, those by which a graph is run
    'keypoint_names', 'prompts', 'mirror_names', 'sigmas', 'flip_indices', 'skeleton_links', 'input_size', 'padding',
    'flip_test', 'decoded',
)  # fmt: skip


def load_session(file: str | bytes, threads: int = 0):
    """Return the ``onnxruntime.InferenceSession`` of a file, or of its content, on the CPU.

    Args:
        file (str | bytes): The file or its content.
        threads (int): Of an operator. Defaults to 0, one for each core.

    Raises:
        ImportError: If ONNX Runtime is not installed.
        ValueError: If the file is no ONNX graph.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise ImportError('ONNX Runtime is not installed: pip install onnxruntime.') from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    try:
        return onnxruntime.InferenceSession(file, options, providers=['CPUExecutionProvider'])
    except Exception as error:
        name = file if isinstance(file, str) else 'the graph'
        raise ValueError(f'ONNX Runtime cannot load {name}: {str(error).splitlines()[0]}') from error


def open_graph(path: str, threads: int = 0) -> tuple[Any, dict]:
    """Return the session of a file of ``tools/export_onnx.py``, and of its metadata what ``METADATA`` names.

    Tools that change a file, such as those that quantise it, may add entries of their own.

    Raises:
        FileNotFoundError: If the file is not there.
        ImportError: If ONNX Runtime is not installed.
        ValueError: If it is no graph of ``tools/export_onnx.py``, or one of an earlier version.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f'The exported model {path} is not there (from {Path.cwd()}).')
    session = load_session(path, threads)
    values = session.get_modelmeta().custom_metadata_map
    if 'clamp_version' not in values:
        raise ValueError(f'{path} was not written by tools/export_onnx.py: it does not say what its keypoints are.')
    if missing := [name for name in METADATA if name not in values]:
        raise ValueError(f'{path} was exported by an earlier version ({missing[0]} is not in it): export it anew.')
    return session, {name: json.loads(values[name]) for name in METADATA}
