"""The images of :func:`tests.tiny_data.make_coco`, and what the reader of annotation files tells."""

import pytest
from PIL import Image

from clamp.datasets import coco as reader


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The images, and a fresh memory of what was told."""
    for i in range(4):
        Image.new('RGB', (32, 24)).save(tmp_path / f'{i}.png')
    monkeypatch.setattr(reader, '_told', set())
    return tmp_path


@pytest.fixture
def log(monkeypatch):
    lines = []
    monkeypatch.setattr(reader, 'print_log', lambda text, logger, level: lines.append(text))
    return lines
