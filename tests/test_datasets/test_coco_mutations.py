"""Wrong files, by the hundred: each ends in one clear error, is mended and said, or changes no number. Never anything
else, in no tool."""

import contextlib
import copy
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from clamp.checks import check_data
from clamp.datasets import coco as reader
from clamp.inference.sources import CocoBoxes
from tests.repository import link_configs, load_tool, slow_except
from tests.tiny_data import average_precision, config, make_coco, write

MISSING = object()
NAN, INFINITY = float('nan'), float('inf')
VALUES = {
    'missing': MISSING,
    'null': None,
    'text': 'many',
    'number as text': '7',
    'empty text': '',
    'control character': 'a\nb',
    'NaN': NAN,
    'infinite': INFINITY,
    'negative': -1,
    'zero': 0,
    'with a point': 1.0,
    'huge': 1e300,
    'beyond 64 bits': 2**70,
    'true': True,
    'list': [],
    'nested': [[1]],
    'object': {'a': 1},
}
FIELDS = {
    'images': ('id', 'file_name', 'width', 'height'),
    'categories': ('id', 'name', 'keypoints', 'supercategory', 'skeleton'),
    'annotations': ('id', 'image_id', 'category_id', 'bbox', 'keypoints', 'area', 'iscrowd', 'num_keypoints'),
}
PLACES = {'a side of the box': ('bbox', 2), 'a corner of the box': ('bbox', 0), 'a labelled x': ('keypoints', 0)}
PLACES |= {
    'an unlabelled y': ('keypoints', 4),
    'a visibility': ('keypoints', 8),
    "an unlabelled one's": ('keypoints', 5),
}


def put(entry: dict | list, key: object, value: object) -> None:
    if value is MISSING:
        entry.pop(key, None) if isinstance(entry, dict) else entry.pop(key)
    else:
        entry[key] = copy.deepcopy(value)


def whole_files() -> Iterator[tuple[str, Callable[[dict], object]]]:
    """Mutations of more than a value: the name, and a function of the content that changes it or returns another."""
    for key in FIELDS:
        for name, value in VALUES.items():
            yield f'{key}: {name}', lambda c, key=key, value=value: put(c, key, value)
            if value is not MISSING:
                yield f'{key}[0]: {name}', lambda c, key=key, value=value: put(c[key], 0, value)
        yield f'{key} twice', lambda c, key=key: c[key].append(copy.deepcopy(c[key][0]))
    yield 'the same file name twice', lambda c: c['images'][1].update(file_name='0.png')
    yield 'all are crowds', lambda c: c.update(annotations=make_coco(iscrowd=1)['annotations'])
    yield 'one is a crowd', lambda c: c['annotations'][0].update(iscrowd=1)
    yield 'nothing is labelled', lambda c: c.update(annotations=make_coco(keypoints=[1, 1, 0] * 3)['annotations'])
    yield 'a box outside the image', lambda c: c['annotations'][0].update(bbox=[90, 2, 5, 5])
    yield 'all boxes outside', lambda c: c.update(annotations=make_coco(bbox=[90, 2, 5, 5])['annotations'])
    yield 'a list', lambda c: c['annotations']
    yield 'nested', lambda c: json.dumps(c).replace('"area": 150', '"x": ' + '{"a": ' * 1000 + '1' + '}' * 1000, 1)
    yield 'nested lists', lambda c: '[' * 100_000
    yield 'cut short', lambda c: json.dumps(c)[:-30]
    yield 'empty', lambda c: ''
    yield 'UTF-16', lambda c: json.dumps(c).encode('utf-16')
    yield 'byte-order mark', lambda c: b'\xef\xbb\xbf' + json.dumps(c).encode()
    yield 'latin-1', lambda c: json.dumps(c).replace('mouse', 'm\xfcse').encode('latin-1')
    yield 'a lone surrogate', lambda c: json.dumps(c).replace('mouse', '\\ud800')
    for n in (0, 1, 3, 5):
        yield f'a box of {n}', lambda c, n=n: c['annotations'][0].update(bbox=[1, 2, 10, 20, 5][:n])
    for n in (1, 8, 10, 12):
        yield f'keypoints of {n}', lambda c, n=n: c['annotations'][0].update(keypoints=[1, 2, 2, 4] * 3)


def mutations() -> dict[str, Callable[[dict], object]]:
    table = dict(whole_files())
    for key, fields in FIELDS.items():
        for field in fields:
            for name, value in VALUES.items():
                table[f'{key} {field}: {name}'] = lambda c, k=key, f=field, v=value: put(c[k][0], f, v)
    for place, (field, index) in PLACES.items():
        for name, value in VALUES.items():
            table[f'{place}: {name}'] = lambda c, f=field, i=index, v=value: put(c['annotations'][0][f], i, v)
    return table


TABLE = mutations()


def prepare(folder: Path, change: Callable[[dict], object]) -> None:
    content = make_coco()
    changed = change(content)
    write(folder, changed.encode() if isinstance(changed, str) else content if changed is None else changed)


def refused(act: Callable[[], object]) -> str:
    """Return the one line that an act ends in, '' if it is done."""
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()) as said:
            status = act()
            status = status if isinstance(status, int) else 0
    except (FileNotFoundError, ValueError) as error:
        status, text = 2, f'error: {error}'
    except SystemExit as error:
        status, text = 2, str(error.code)
    else:
        text = said.getvalue().strip()
    if status == 2:
        assert text.startswith('error: ')
        assert '\n' not in text
    return text or 'findings' if status else ''


def outcome(folder: Path, log: list[str], expected: float | None) -> str:
    """Return what a test makes of the file: 'refused', 'mended' or 'untouched'."""
    path = str(folder / 'ann.json')
    if not refused(lambda: CocoBoxes(path)):
        entries = [entry for frames in CocoBoxes(path).by_name.values() for entry in frames.values()]
        boxes = [box for _, animals in entries for box, _ in animals]
        assert np.isfinite(np.array(boxes, float)).all()
    log.clear()
    reader._told.clear()
    if refused(lambda: check_data(config(folder), test=True)):
        return 'refused'
    precision = average_precision(folder)
    assert 0 < precision < 1  # and not NaN
    if log:
        return 'mended'
    assert expected is None or precision == expected
    return 'untouched'


OTHER_NUMBER = {'one is a crowd', 'annotations iscrowd: true', 'annotations area: with a point'}  # and right so
CONFIG = """
train_dataloader = dict(dataset={dataset!r})
train_dataloader['dataset'].update(test_mode=False, pipeline=[
    dict(type='LoadTrainImage'), dict(type='GetBBoxCenterScale'), dict(type='TopdownAffine', input_size=(32, 32))])
"""


@pytest.fixture
def place(folder, log, monkeypatch):
    """The folder with what the tools need beside the annotations, and the AP of the file before it is changed."""
    (folder / 'config.py').write_text(CONFIG.format(dataset=config(folder)))
    (folder / 'metainfo.py').write_text(f'dataset_info = {config(folder)["metainfo"]!r}')
    link_configs(folder)
    monkeypatch.chdir(folder)
    write(folder, make_coco())
    return folder, log, average_precision(folder)


@pytest.mark.parametrize('name', slow_except(TABLE, *list(TABLE)[::37]))
def test_a_wrong_file_ends_in_an_error_or_changes_no_number(place, name):
    folder, log, clean = place
    prepare(folder, TABLE[name])
    end = outcome(folder, log, None if name in OTHER_NUMBER else clean)
    before = (folder / 'ann.json').read_bytes()
    tools = {
        'check_dataset': ['--val', 'ann.json', '--img-root', '.', '--metainfo', 'metainfo.py'],
        'make_splits': ['fewshot', 'ann.json', '--shots', '1'],
        'build_crops': ['config.py', 'crops', '--dry-run'],
        'new_dataset': ['ann.json', '--images', '.', '--name', 'mice', '--backbone', 'tiny', '--val-fraction', '0.25'],
    }
    ends = {tool: refused(lambda: load_tool(tool).main(argv)) for tool, argv in tools.items()}  # noqa: B023
    assert (folder / 'ann.json').read_bytes() == before
    if end == 'refused':
        assert ends['check_dataset']  # shows what is refused
    elif end == 'untouched':
        assert not ends['check_dataset']
