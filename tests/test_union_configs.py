"""The configs that train on several data sets: names, places, files and metrics agree, and errors where they do not."""

import json
import shlex

import pytest
from mmengine.config import Config
from mmpose.registry import DATASETS
from PIL import Image

from clamp.checks import check_config, check_data
from clamp.combined_checks import check_absent, check_evaluator, check_parts
from clamp.datasets.metainfo import dataset_metainfo
from clamp.datasets.vocabulary import KNOWN, NAMES
from clamp.keypoint_names import mirrored
from clamp.model_checks import check_keypoint_number, check_sizes, check_targets
from clamp.settings import check_settings, check_variables
from clamp.tables import ALL_OF, read_tables
from tests.repository import ROOT, assert_recipe, load_tool

LEAVES = sorted((ROOT / 'configs/union').glob('*.py'))
TABLES = read_tables(ROOT / 'tools/tables.json')
TABLE = TABLES['union']
MEANS = dict(
    snout='nose', eyeL='left eye', eyeR='right eye', earBaseL='left ear base', earBaseR='right ear base',
    pawFL='left front paw', pawFR='right front paw', pawHL='left back paw', pawHR='right back paw',
    left_fore_hoof='left front paw', left_carpus='left front knee', left_fore_elbow='left front elbow',
    left_hind_hoof='left back paw', left_hock='left back knee', left_stifle='left back elbow',
    right_fore_hoof='right front paw', right_carpus='right front knee', right_fore_elbow='right front elbow',
    right_hind_hoof='right back paw', right_hock='right back knee', right_stifle='right back elbow',
    root_of_tail='tail base', withers='withers', throat='throat',
)  # fmt: skip


@pytest.mark.parametrize('path', LEAVES, ids=lambda path: path.stem)
def test_all_that_a_config_says_agrees(path):
    cfg = Config.fromfile(path)
    check_variables(cfg)
    check_settings(cfg)
    check_sizes(cfg.model)
    check_targets(cfg)
    check_absent(cfg)
    assert_recipe(cfg, path.stem)
    assert cfg.test_dataloader == cfg.val_dataloader
    assert cfg.test_evaluator == cfg.val_evaluator
    head = cfg.model.head
    trained, asked = head.prompt_learner.keypoint_names, head.get('test_names') or head.prompt_learner.keypoint_names
    assert set(trained) | set(asked) <= set(NAMES)
    for split, names in (('train', trained), ('test', asked)):
        dataset = cfg[f'{split}_dataloader'].dataset
        check_keypoint_number(cfg.model, dataset)
        check_parts(dataset)
        check_evaluator(cfg, split)
        flips = dataset_metainfo(dataset)['flip_indices']
        assert [names[other] for other in flips] == list(map(mirrored, names))
    for metrics in cfg.test_evaluator.metrics.values():
        for metric in metrics:
            assert list(metric.predicted) == list(asked)


@pytest.mark.parametrize('path', [path for path in LEAVES if 'demo' not in path.stem], ids=lambda path: path.stem)
def test_each_keypoint_gets_to_the_place_of_its_name(path):
    """By the keypoints that the data sets' own metainfo names, not by the names in the config."""
    cfg = Config.fromfile(path)
    own = dict(pets=cfg.get('pets_keypoints'), farm=cfg.get('farm_keypoints'))
    names = cfg.model.head.prompt_learner.keypoint_names
    for part in cfg.train_dataloader.dataset.datasets:
        info = dataset_metainfo(part)
        assert list(info['keypoint_id2name'].values()) == own[info['dataset_name']]
        mapping = part.pipeline[0].mapping if part.get('pipeline') else [[i, i] for i in range(info['num_keypoints'])]
        told = {own[info['dataset_name']][old]: names[new] for old, new in mapping}
        assert told == {keypoint: MEANS[keypoint] for keypoint in own[info['dataset_name']]}


def test_groups_are_what_each_labelled_and_what_the_other_one_alone_did():
    cfg = Config.fromfile(ROOT / 'configs/union/clamp_lite0-minilm_pets-farm.py')
    groups = {f'{part}/{m.prefix}': set(m.only) for part, ms in cfg.test_evaluator.metrics.items() for m in ms}
    everything = set(KNOWN['animalpose'])
    for part, other in (('pets', 'farm'), ('farm', 'pets')):
        assert groups[f'{part}/own'] == set(cfg.names[part])
        assert groups[f'{part}/other'] == everything - set(cfg.names[part]) <= set(cfg.names[other])
    assert len(groups['pets/own'] & groups['farm/own']) == 4  # paws


def test_the_generated_animals_keep_their_places_among_the_29_names():
    """By AP-10K's own names of its keypoints, which MMPose's metainfo has."""
    cfg = Config.fromfile(ROOT / 'configs/union/clamp_lite0-minilm_demo-animalpose.py')
    names, metrics = cfg.model.head.prompt_learner.keypoint_names, cfg.test_evaluator.metrics
    assert len(names) == len(set(names)) == 29
    told = {}
    for part in cfg.train_dataloader.dataset.datasets:
        own = dataset_metainfo(part)['keypoint_id2name']
        told[part.metainfo.dataset_name] = {own[old]: names[new] for old, new in part.pipeline[0].mapping}
    folders = [part.data_root + part.data_prefix.img for part in cfg.train_dataloader.dataset.datasets]
    assert folders == ['data/demo/data/', 'data/animalpose/']
    assert told['demo']['L_F_Paw'] == told['animalpose']['L_F_Paw'] == 'left front paw'
    assert told['demo']['Root of tail'] == told['animalpose']['TailBase'] == 'tail base'
    assert told['demo']['R_Elbow'] == 'right elbow'
    assert told['animalpose']['R_F_Elbow'] == 'right front elbow'
    common = ['left eye', 'right eye', 'nose', 'tail base'] + [
        f'{side} {end} paw' for end in ('front', 'back') for side in ('left', 'right')
    ]
    for part, number in (('demo', 17), ('animalpose', 20)):
        own, both = metrics[part]
        assert (own.prefix, len(own.annotated), own.get('only')) == ('own', number, None)
        assert (both.prefix, sorted(both.only)) == ('common', sorted(common))


def test_the_commands_of_the_table_are_those_of_the_header():
    header = (ROOT / 'configs/_base_/datasets/pets-farm_128x128.py').read_text().split('\n_base_')[0]
    script = header.replace('\\\n#', '').replace('${A}', 'data/animalpose/annotations/animalpose')
    commands = [shlex.split(line)[2:] for line in script.splitlines() if line.startswith('# python')]
    assert commands == [shlex.split(command) for command in TABLE['rows'][0]['make']]
    kept = [dict(pair.split('=') for pair in words if '=' in pair) for words in commands[:2]]
    cfg = Config.fromfile(ROOT / 'configs/union/clamp_lite0-minilm_pets-farm.py')
    assert [list(names.values()) for names in kept] == [cfg.pets_keypoints, cfg.farm_keypoints]
    originals = [info['name'] for info in cfg.tested_on.pets.metainfo.keypoint_info.values()]
    name_of = dict(zip(originals, KNOWN['animalpose']))
    for part, names in zip(('pets', 'farm'), kept):
        assert [name_of[original] for original in names] == cfg.names[part]


def test_the_tables_have_a_row_a_config():
    rows = TABLE['rows'] + TABLES['union-demo']['rows']
    assert {ROOT / row['config'] for row in rows} == set(LEAVES)
    for row in rows:
        dataset = Config.fromfile(ROOT / row['config']).test_dataloader.dataset
        assert row['test'] == ALL_OF.join(part.data_root + part.ann_file for part in dataset.datasets)


def union() -> Config:
    return Config.fromfile(ROOT / 'configs/union/openvocab_lite0-minilm_pets-farm.py')


def test_configs_that_do_not_fit_together_are_one_error():
    cfg = union()
    cfg.train_dataloader.dataset.datasets[1].metainfo.dataset_name = 'pets'
    with pytest.raises(ValueError, match=r"Two of the combined data sets are named 'pets'"):
        check_parts(cfg.train_dataloader.dataset)
    cfg = union()
    cfg.train_dataloader.dataset.datasets[0].pipeline = []
    with pytest.raises(ValueError, match=r'pets has 9 keypoints, and its pipeline makes 9 .* together have 20'):
        check_parts(cfg.train_dataloader.dataset)
    cfg = union()
    cfg.train_dataloader.dataset.datasets[0].pipeline[0].mapping[0][0] = 9
    with pytest.raises(ValueError, match=r'from the places \[9, 1'):
        check_parts(cfg.train_dataloader.dataset)
    cfg = union()
    cfg.train_dataloader.dataset.datasets[0].pipeline[0].mapping[0] = [
        (0, 1),
        99,
    ]  # MMPose's: a mean of two; to nowhere
    with pytest.raises(ValueError, match=r'from the places \[0, 1, 1, .* to \[99, '):
        check_parts(cfg.train_dataloader.dataset)
    cfg = union()
    cfg.model.data_preprocessor.absent = dict(unlabelled=True)
    with pytest.raises(ValueError, match=r'absent\.unlabelled takes unlabelled keypoints as not there'):
        check_absent(cfg)


def test_evaluators_that_do_not_fit_are_one_error():
    cfg = union()
    cfg.test_evaluator.metrics.pets[0].ann_file = 'other.json'
    with pytest.raises(
        ValueError, match=r'test_dataloader reads .*pets-all\.json, but test_evaluator reads other\.json'
    ):
        check_evaluator(cfg, 'test')
    cfg = union()
    cfg.test_evaluator.metrics.pets = cfg.test_evaluator.metrics.pets[0]
    with pytest.raises(ValueError, match=r'test_evaluator\.metrics\.pets should be a list of metrics'):
        check_evaluator(cfg, 'test')
    cfg = union()
    cfg.test_evaluator.metrics.cows = cfg.test_evaluator.metrics.pop('farm')
    with pytest.raises(ValueError, match=r'has the data sets pets, farm, but test_evaluator measures pets, cows'):
        check_evaluator(cfg, 'test')
    cfg = union()
    cfg.test_evaluator = dict(type='CocoMetric', ann_file='other.json')
    with pytest.raises(ValueError, match=r'is of combined data sets, but test_evaluator is not'):
        check_evaluator(cfg, 'test')
    cfg.test_dataloader.dataset = cfg.test_dataloader.dataset.datasets[0]
    cfg.test_evaluator = union().test_evaluator
    with pytest.raises(ValueError, match=r'is of one data set, but test_evaluator is not'):
        check_evaluator(cfg, 'test')
    cfg.test_evaluator = dict(type='CocoMetric', ann_file=None)  # it takes what is tested
    check_evaluator(cfg, 'test')
    cfg.test_dataloader.dataset.bbox_file, cfg.test_evaluator.type = 'detections.json', 'NamedKeypointMetric'
    with pytest.raises(ValueError, match=r'test_dataloader\.dataset has a bbox_file, but .* with its own annotation'):
        check_evaluator(cfg, 'test')


def test_settings_without_effect_are_refused_inside_of_combined_data_sets():
    for change in (
        {'train_dataloader.dataset.datasets.0.ann_fil': 'x'},
        {'train_dataloader.dataset.sample_ratio': [1, 2]},
        {'test_evaluator.metrics.pets.0.onyl': ['nose']},
    ):
        cfg = union()
        cfg.merge_from_dict(change)
        with pytest.raises(ValueError, match='would be without effect'):
            check_settings(cfg)


def test_missing_files_of_any_of_the_data_sets_are_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cfg = union()
    with pytest.raises(FileNotFoundError, match=r'animalpose_train_pets\.json is not there.*tools/make_splits\.py'):
        check_config(cfg, ('train',))


def test_a_small_union_is_built_and_read(tmp_path):
    """What make_splits makes of one drawn file is what the config's data set reads, by name and place."""
    coco = dict(
        images=[dict(id=i, file_name=f'{i}.png', width=64, height=48) for i in range(2)],
        annotations=[
            dict(id=i, image_id=i, category_id=1, bbox=[4, 4, 50, 40], area=900, iscrowd=0, species=species)
            | dict(keypoints=[v for k in range(20) for v in (2 * k + 5, 2 * k + 4, 2)], num_keypoints=20)
            for i, species in enumerate(('dog', 'cow'))
        ],
        categories=[dict(id=1, name='animal', keypoints=list(map(str, range(20))))],
    )
    cfg = union()
    originals = [info['name'] for info in cfg.tested_on.pets.metainfo.keypoint_info.values()]
    coco['categories'][0]['keypoints'] = originals
    for i in range(2):
        Image.new('RGB', (64, 48)).save(tmp_path / f'{i}.png')
    source = tmp_path / 'animalpose_train.json'
    source.write_text(json.dumps(coco))
    make_splits = load_tool('make_splits')
    for command, absent in zip(TABLE['rows'][0]['make'][:2], (['cat'], ['horse', 'sheep'])):
        words = [word for word in shlex.split(command)[1:] if word not in absent]
        assert make_splits.main([str(source) if word.endswith('.json') else word for word in words]) == 0
    dataset = cfg.train_dataloader.dataset
    other = dataset.datasets[0] | dict(data_root=str(tmp_path), ann_file=source.name)
    with pytest.raises(ValueError, match=r'`keypoints` should be 9 times x, y, visibility'):
        check_data(other, combined=True)  # else they would be taken by their places
    other = dataset.datasets[0] | dict(
        data_root=str(tmp_path), ann_file='splits/animalpose_train_pets.json', data_prefix={}
    )
    with pytest.raises(ValueError, match=r'data_prefix=\{\} of the data set of .*pets\.json has no `img`'):
        check_data(other, combined=True)
    with pytest.raises(ValueError, match=r'data_prefix=images/ of the data set of .*pets\.json has no `img`'):
        check_data(other | dict(data_prefix='images/'), combined=True)
    for part in dataset.datasets:
        part.update(data_root=str(tmp_path), ann_file=part.ann_file.replace('annotations/', ''))
    dataset.pipeline = []
    built = DATASETS.build(dataset)
    assert built.lens == [1, 1]
    place = dict(zip(KNOWN['animalpose'], ((2 * k + 5, 2 * k + 4) for k in range(20))))
    for sample, part in ((built[0], 'pets'), (built[1], 'farm')):
        for name, point, visible in zip(cfg.union_names, sample['keypoints'][0], sample['keypoints_visible'][0]):
            assert visible.tolist() == [name in cfg.names[part]] * 2
            assert name not in cfg.names[part] or tuple(point) == place[name]
