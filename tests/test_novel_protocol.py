"""The table of keypoints never trained on: no run of it learns a place or a name that it is then asked for."""

import os
import re
from pathlib import Path

import pytest
from mmengine.config import Config
from mmpose.datasets.datasets.utils import parse_pose_metainfo
from mmpose.registry import MODELS

from clamp.combined_checks import check_evaluator
from clamp.keypoint_names import mirrored
from clamp.model_checks import check_keypoint_number, check_sizes, check_targets
from clamp.tables import read_tables
from tests.repository import ROOT, header_command, load_tool

TABLE = read_tables(ROOT / 'tools/tables.json')['novel']
CATS = [row for row in TABLE['rows'] if row['fold'] == 'cat']
PLACES = dict(base=[2, 3, 4, 8, 9, 10, 11, 16, 17, 18, 19], novel=[0, 1, 12, 13, 14, 15])  # of Animal-Pose
# whole words of the six novel keypoints, and of the three that the protocol leaves out
UNSEEN_WORDS = {'eye', 'eyes', 'knee', 'knees', 'throat', 'withers', 'tail', 'hock', 'stifle', 'leg', 'legs'}


def config(row: dict) -> Config:
    os.environ['FOLD'] = row['fold']
    cfg = Config.fromfile(ROOT / row['config'])
    cfg.merge_from_dict(row.get('options', {}))
    return cfg


@pytest.fixture(autouse=True)
def _environment(monkeypatch):
    monkeypatch.setenv('FOLD', 'cat')  # and so given back


@pytest.mark.parametrize('row', CATS, ids=lambda row: row['key'])
def test_no_held_out_name_and_no_held_out_place_gets_into_training(row):
    cfg = config(row)
    base = cfg.model.head.prompt_learner.keypoint_names
    assert len(base) == len(set(base)) == 11
    assert not set(base) & set(cfg.novel_names)
    train = cfg.train_dataloader.dataset
    assert [step.type for step in train.pipeline[:2]] == ['LoadTrainImage', 'KeypointConverter']
    assert [old for old, _ in train.pipeline[1].mapping] == PLACES['base']
    assert train.ann_file == 'annotations/splits/animalpose_trainval_without-cat-11keypoints.json'
    assert cfg.default_hooks.checkpoint.save_best is None
    texts = list(base)
    preprocessor = MODELS.build(cfg.model.data_preprocessor)
    if getattr(preprocessor, 'auxiliary', None):
        assert preprocessor.auxiliary.places.max() < 11
        texts += preprocessor.auxiliary.texts
    if getattr(preprocessor, 'absent', None):
        texts += preprocessor.absent.words
    words = set(re.findall(r'\w+', ' '.join(texts).lower()))
    assert not words & UNSEEN_WORDS
    assert bool(getattr(preprocessor, 'auxiliary', None)) == ('_aux-' in row['key'])


@pytest.mark.parametrize('row', CATS, ids=lambda row: row['key'])
def test_what_is_asked_for_is_what_is_measured(row):
    cfg = config(row)
    check_sizes(cfg.model)
    check_targets(cfg)
    for split in ('train', 'val', 'test'):
        check_keypoint_number(cfg.model, cfg[f'{split}_dataloader'].dataset)
    check_evaluator(cfg, 'test')
    test, evaluator = cfg.test_dataloader.dataset, cfg.test_evaluator
    one_hot = 'one-hot' in row['key']  # cannot be asked for others
    places = PLACES['base'] + ([] if one_hot else PLACES['novel'])
    assert [old for old, _ in test.pipeline[1].mapping] == places
    assert cfg.model.head.test_names == evaluator.keypoint_names
    assert list(evaluator.novel) == ([] if one_hot else cfg.novel_names)
    names = list(cfg.model.head.test_names)
    assert [names[other] for other in parse_pose_metainfo(dict(test.metainfo))['flip_indices']] == list(
        map(mirrored, names)
    )
    everything = Config.fromfile(ROOT / 'configs/animalpose/clamp_tiny.py').keypoint_names
    assert [everything[place] for place in places] == names
    assert f'data/animalpose/{test.ann_file}' == row['test']
    if not one_hot:
        assert evaluator.reference.places == places


def test_pairs_are_those_named():
    pairs = {row['key']: MODELS.build(config(row).model.data_preprocessor) for row in CATS if '_aux-' in row['key']}
    numbers = {key.split('aux-')[1]: (len(p.auxiliary.texts), p.auxiliary.number) for key, p in pairs.items()}
    assert numbers == {
        'random_cat': (55, 12), 'all_cat': (55, 55), 'skeleton_cat': (11, 11), 'openkd_cat': (6, 6),
        'random_absent_cat': (55, 12), 'random_random-text_cat': (55, 12),
    }  # fmt: skip


def test_folds_have_their_files(tmp_path, monkeypatch):
    """The command of the table is that of the config's header, and its species that of the files."""
    header = header_command(ROOT / 'configs/animalpose/clamp_lite0-minilm_novel.py')
    for row in TABLE['rows']:
        species = row['fold']
        command = ['cat' if word == species else word for word in row['make'].split()[1:]]
        assert command == header
        assert row['test'].endswith(f'_only-{species}.json')
    assert config(TABLE['rows'][-1]).train_dataloader.dataset.ann_file.endswith('without-sheep-11keypoints.json')
    cfg = config(CATS[0])
    monkeypatch.chdir(tmp_path)  # the tool asks whether the file is there; a clean clone has no data
    Path(header[1]).parent.mkdir(parents=True)
    Path(header[1]).touch()
    kept = load_tool('make_splits').parse_args(header).keypoints
    assert set(kept) == {point['name'] for point in cfg.train_dataloader.dataset.metainfo['keypoint_info'].values()}
    assert len(kept) == 11
