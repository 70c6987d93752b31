"""A model that travels: the folder holds all of it, gives the same poses, and runs nothing."""

import json
import shutil
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpose.registry import MODELS
from safetensors.torch import load_file, save_file

from clamp import pretrained
from clamp.checks import read_config
from clamp.inference import PosePredictor
from clamp.model_card import model_card, training
from clamp.models import PromptLearner
from clamp.models.text_towers.tokens import special_tokens
from clamp.onnx import graph
from clamp.pretrained import find_model, read_published_config, split_model
from clamp.publish import Notes, copy_text_model, publish, published_config
from tests.exported_session import Session
from tests.repository import CONFIGS, DEMO, load_tool
from tests.tiny_models import save_checkpoint
from tests.tiny_texts import save_model, save_tokenizer

BASELINE = dict(backbone=dict(type='ResNet', depth=18), head=dict(type='HeatmapHead', in_channels=512, out_channels=17))
ORIGIN = dict(sha256='ab')
IMAGE = np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory) -> str:
    init_default_scope('mmpose')
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp('training') / 'epoch_3.pth'
    state = MODELS.build(Config.fromfile(DEMO).model).state_dict()
    torch.save(dict(state_dict=state, optimizer=dict(state={0: torch.zeros(9)}), meta=dict(epoch=3, seed=7)), path)
    return str(path)


@pytest.fixture(scope='module')
def folder(checkpoint, tmp_path_factory) -> Path:
    """A model published by the command, with all that a card can have."""
    parent = tmp_path_factory.mktemp('published')
    (parent / 'in.json').write_text(json.dumps({'coco/AP': 0.25, 'coco/AR': 0.5}))
    cv2.imwrite(str(parent / 'pose.PNG'), np.zeros((4, 4, 3), np.uint8))
    options = ['--metrics', f'{parent}/in.json', '--picture', f'{parent}/pose.PNG', '--license', 'cc-by-4.0']
    load_tool('publish').main([DEMO, checkpoint, f'{parent}/foxes', '--description', 'Foxes at night.', *options])
    return parent / 'foxes'


def test_a_folder_predicts_as_its_checkpoint_does(folder, checkpoint, monkeypatch, tmp_path):
    [[expected]] = PosePredictor(DEMO, checkpoint, 'cpu')([IMAGE])
    monkeypatch.chdir(tmp_path)  # far from the configs
    predictor = PosePredictor.from_pretrained(str(folder), 'cpu')
    [[pose]] = predictor([IMAGE])
    np.testing.assert_array_equal(pose.keypoints, expected.keypoints)
    np.testing.assert_array_equal(pose.scores, expected.scores)
    assert predictor.keypoint_names[:3] == ['left eye', 'right eye', 'nose']
    assert predictor.metainfo['flip_indices'][:3] == [1, 0, 2]


def test_what_is_in_the_folder(folder, checkpoint):
    names = {'README.md', 'config.json', 'model.safetensors', 'metrics.json', 'example.png'}
    assert {path.name for path in folder.iterdir()} == names
    weights, state = load_file(folder / 'model.safetensors'), torch.load(checkpoint)['state_dict']
    assert weights.keys() == state.keys()  # and no optimiser
    assert all(torch.equal(weights[name], state[name]) for name in state)
    text = (folder / 'config.json').read_text()
    for unwanted in ('train_dataloader', 'optim_wrapper', '"init_cfg"', '.py"', 'from_file'):
        assert unwanted not in text
    card = (folder / 'README.md').read_text()
    for wanted in (
        'license: "cc-by-4.0"', '# foxes\n\nFoxes at night.', '17 keypoints', 'input 128x128', '(example.png)',
        '| coco/AP | 0.25 |', 'epoch 3, seed 7', '| 0 | L_Eye | left eye | R_Eye |', '| 2 | Nose | nose |  |',
        'L_Eye – Nose',
    ):  # fmt: skip
        assert wanted in card


@pytest.mark.slow
def test_half_precision_is_half_as_large_and_must_hold_the_weights(checkpoint, tmp_path):
    publish(Config.fromfile(DEMO), checkpoint, tmp_path / 'half', Notes('half'), half=True)
    predictor = PosePredictor.from_pretrained(str(tmp_path / 'half'), 'cpu')
    assert next(predictor.model.parameters()).dtype == torch.float32
    [[expected]] = PosePredictor(DEMO, checkpoint, 'cpu')([IMAGE])
    np.testing.assert_allclose(predictor([IMAGE])[0][0].scores, expected.scores, atol=2e-3)
    saved = torch.load(checkpoint)
    size = sum(tensor.numel() * tensor.element_size() for tensor in saved['state_dict'].values())
    assert (tmp_path / 'half/model.safetensors').stat().st_size < 0.51 * size
    saved['state_dict']['head.final_layer.bias'][0] = 1e6
    torch.save(saved, tmp_path / 'large.pth')
    with pytest.raises(
        ValueError, match=r'final_layer.bias is not finite in half precision: publish it without --half'
    ):
        publish(Config.fromfile(DEMO), str(tmp_path / 'large.pth'), tmp_path / 'large', Notes('large'), half=True)
    with pytest.raises(ValueError, match='An exported model is published as it is: leave --half out'):
        publish(Config.fromfile(DEMO), 'model.onnx', tmp_path / 'graph', Notes('graph'), half=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ['half', 'large.pth']  # nothing half written


def test_a_published_model_is_published_again(folder, tmp_path):
    config, weights = find_model(str(folder))
    publish(read_published_config(config), weights, tmp_path / 'again', Notes('again'))
    assert (tmp_path / 'again/config.json').read_text() == (folder / 'config.json').read_text()


def test_a_config_that_an_editor_saved_with_a_byte_order_mark(folder, tmp_path):
    (tmp_path / 'config.json').write_text((folder / 'config.json').read_text(), encoding='utf-8-sig')
    expected = read_published_config(str(folder / 'config.json'))
    assert read_published_config(str(tmp_path / 'config.json')).to_dict() == expected.to_dict()


def test_metrics_and_folders_that_cannot_be_used(folder, checkpoint, tmp_path):
    cfg = Config.fromfile(DEMO)
    (tmp_path / 'list.json').write_text('[1]')
    for notes, message in (
        (Notes('a', metrics=tmp_path / 'no.json'), 'no.json are not there'),
        (Notes('a', metrics=tmp_path / 'list.json'), 'is not what tools/test.py --out writes'),
        (Notes('a', picture=tmp_path / 'no.png'), 'no.png is not there'),
        (Notes('a', picture=tmp_path / 'list.json'), 'list.json cannot be read as an image'),
    ):
        with pytest.raises((FileNotFoundError, ValueError), match=message):
            publish(cfg, checkpoint, tmp_path / 'out', notes)
    with pytest.raises(ValueError, match='foxes is there and not empty'):
        publish(cfg, checkpoint, folder, Notes('a'))
    with pytest.raises(SystemExit, match=r'error: The checkpoint .*clamp_tiny.py cannot be read'):
        load_tool('publish').main([DEMO, DEMO, f'{tmp_path}/out'])


def test_a_folder_that_is_there_is_taken_where_something_can_be_moved_to(checkpoint, tmp_path, monkeypatch):
    (tmp_path / 'empty').mkdir()
    (tmp_path / 'link').symlink_to('empty')
    load_tool('publish').main([DEMO, checkpoint, str(tmp_path / 'link')])
    assert (tmp_path / 'empty/config.json').is_file()
    (tmp_path / 'here').mkdir()
    monkeypatch.chdir(tmp_path / 'here')
    for name in ('.', str(tmp_path / 'here')):
        with pytest.raises(SystemExit, match='is a disk or the current folder: name a new folder in it'):
            load_tool('publish').main([DEMO, checkpoint, name])


def config_with(folder: Path, tmp_path: Path, **changes) -> str:
    config = json.loads((folder / 'config.json').read_text())
    for place, value in changes.items():
        *parents, last = place.split('__')
        inner = config
        for key in parents:
            inner = inner[key]
        inner[last] = value
    (tmp_path / 'config.json').write_text(json.dumps(config))
    return str(tmp_path / 'config.json')


@pytest.mark.parametrize(
    'change',
    [
        dict(model__neck=dict(type='subprocess.Popen', args=['touch', 'owned'])),
        dict(model__neck=[dict(type=['os.system'])]),
        dict(test_dataloader__dataset__pipeline=[dict(type='antigravity')]),
        dict(test_dataloader__dataset__metainfo=dict(from_file='/tmp/evil.py')),
        dict(test_dataloader__dataset__bbox_file='evil.PKL'),
        dict(model__init_cfg=dict(type='Pretrained', checkpoint='evil.pth')),
        dict(model___scope_='antigravity'),  # MMEngine imports antigravity.registry
    ],
)
def test_a_config_that_could_run_code_is_refused(folder, tmp_path, change):
    with pytest.raises(ValueError, match=r'It is not (run|used)'):
        read_published_config(config_with(folder, tmp_path, **change))


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (dict(model__head=[]), r'config.json is no config of tools/publish.py: .*\$.model.head'),
        (dict(model__head__out_channels='x'), r'\$.model.head.out_channels'),
        (dict(test_dataloader__dataset__pipeline=[1]), r'\$.test_dataloader.dataset.pipeline'),
        (dict(default_scope='antigravity'), r'\$.default_scope'),
    ],
)
def test_a_config_of_another_form_is_refused(folder, tmp_path, change, message):
    with pytest.raises(ValueError, match=message):
        read_published_config(config_with(folder, tmp_path, **change))


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (dict(keypoint_info__0__swap='nobody'), "metainfo of the data set 'ap10k' cannot be used .*'nobody'"),
        (dict(sigmas=[0.1]), "'ap10k' has 17 keypoints, but 1 sigmas"),
    ],
)
def test_a_malformed_metainfo_is_refused(folder, tmp_path, change, message):
    change = {f'test_dataloader__dataset__metainfo__{place}': value for place, value in change.items()}
    with pytest.raises(ValueError, match=message):
        PosePredictor(config_with(folder, tmp_path, **change), str(folder / 'model.safetensors'), 'cpu')


def test_a_config_is_not_a_template(folder, tmp_path):
    """MMEngine fills ``{{ }}`` in from the environment, reads ``_base_`` and imports, in files that it reads itself."""
    imports = dict(imports=['antigravity'])
    path = config_with(folder, tmp_path, log_level='{{$HOME:}}', _base_='./evil.json', custom_imports=imports)
    assert read_config(path).log_level == '{{$HOME:}}'
    assert 'antigravity' not in sys.modules


@pytest.mark.parametrize(
    ('content', 'message'),
    [('{', 'cannot be read as JSON'), ('[]', 'no config of tools/publish.py'), ('{"model": {}}', 'no config of tools')],
)
def test_other_json_is_refused(tmp_path, content, message):
    (tmp_path / 'config.json').write_text(content)
    with pytest.raises(ValueError, match=message):
        read_published_config(str(tmp_path / 'config.json'))


def test_numbers_as_keys_come_back(folder):
    info = read_published_config(str(folder / 'config.json')).test_dataloader.dataset.metainfo
    assert list(info['keypoint_info'])[:2] == [0, 1]


def test_a_model_does_not_say_where_to_write(folder, tmp_path):
    hook = dict(type='PoseVisualizationHook', out_dir='/home/somebody', interval=7)
    metrics = [dict(type='CocoMetric', outfile_prefix='../somewhere')]
    cfg = read_published_config(
        config_with(folder, tmp_path, default_hooks__visualization=hook, test_evaluator=metrics)
    )
    assert cfg.default_hooks.visualization == dict(type='PoseVisualizationHook', interval=7)
    assert cfg.test_evaluator == [dict(type='CocoMetric')]


def test_a_config_that_is_no_plain_data_is_refused(checkpoint, tmp_path):
    cfg = Config.fromfile(DEMO)
    cfg.model.test_cfg.scale = float('inf')
    with pytest.raises(ValueError, match='cannot be written as plain data'):
        publish(cfg, checkpoint, tmp_path / 'out', Notes('a'))
    assert not (tmp_path / 'out').exists()


def test_a_class_of_ones_own_is_refused_before_others_cannot_load_it(checkpoint, tmp_path):
    @MODELS.register_module(force=True)
    class OwnPromptLearner(PromptLearner):
        pass

    cfg = Config.fromfile(DEMO)
    cfg.model.head.prompt_learner.type = 'OwnPromptLearner'
    try:
        with pytest.raises(ValueError, match="type='OwnPromptLearner', which neither this package nor MMPose has"):
            publish(cfg, checkpoint, tmp_path / 'out', Notes('a'))
    finally:
        MODELS.module_dict.pop('OwnPromptLearner')
    assert not (tmp_path / 'out').exists()


def test_an_exported_model_is_published_as_it_is(monkeypatch, tmp_path):
    cfg = Config.fromfile(DEMO)
    session = Session.of(cfg)
    monkeypatch.setattr(graph, 'load_session', lambda path, threads: session)
    exported = tmp_path / 'trained.onnx'
    exported.write_bytes(b'graph')
    with pytest.raises(ValueError, match='published as it is: leave --half out'):
        publish(cfg, str(exported), tmp_path / 'half', Notes('a'), half=True)
    publish(cfg, str(exported), tmp_path / 'out', Notes('a'))
    assert {path.name for path in (tmp_path / 'out').iterdir()} == {'README.md', 'config.json', 'model.onnx'}
    assert (tmp_path / 'out/model.onnx').read_bytes() == b'graph'
    [[pose]] = PosePredictor.from_pretrained(str(tmp_path / 'out'), 'cpu')([IMAGE])
    assert len(session.inputs) == 1
    assert pose.keypoints.shape == (17, 2)


def test_checkpoints_of_torchs_older_format(checkpoint, tmp_path):
    old = str(tmp_path / 'old.pth')
    torch.save(torch.load(checkpoint), old, _use_new_zipfile_serialization=False)
    publish(Config.fromfile(DEMO), old, tmp_path / 'out', Notes('a'))
    assert 'epoch 3, seed 7' in (tmp_path / 'out/README.md').read_text()


def test_the_card_has_the_names_that_are_asked_for():
    cfg = read_config(str(CONFIGS / 'animalpose/openvocab_lite0-minilm_novel.py'))
    card = model_card(cfg, MODELS.build(dict(type='TopdownPoseEstimator', **BASELINE)), Notes('a'), {}, '', ORIGIN)
    assert (
        '| 10 | R_B_Paw | right back paw | L_B_Paw |\n| 11 | L_Eye | left eye | R_Eye |' in card
    )  # the novel ones too
    assert '`tools/predict.py`, `test.py`, `report.py`, `demo_app.py` and `export_onnx.py` take this folder' in card


def test_the_card_of_an_exported_model_says_of_what_it_was_exported():
    head = dict(type='ONNXHead', in_channels=17, out_channels=17, deconv_out_channels=None, final_layer=None)
    model = MODELS.build(dict(type='TopdownPoseEstimator', backbone=BASELINE['backbone'], head=head))
    card = model_card(Config.fromfile(DEMO), model, Notes('a'), {}, '', ORIGIN)
    assert 'TopdownHeatmapEstimator with CLIPBackbone and CLAMPHead, an ONNX graph, input 128x128' in card
    assert '`tools/predict.py`, `test.py` and `demo_app.py` take this folder' in card


def test_the_card_names_all_training_data():
    parts = [dict(type='A', ann_file='../a/train.json'), dict(type='B', ann_file='b.json')]
    cfg = Config(dict(train_dataloader=dict(dataset=dict(type='CombinedDataset', datasets=parts))))
    assert training(cfg, dict(epoch=3)) == '`../a/train.json` (A) and `b.json` (B); epoch 3.'
    assert training(Config({}), {}) == 'Its config does not say.'


def test_where_weights_to_begin_with_come_from_is_forgotten():
    cfg = Config.fromfile(CONFIGS / 'ap10k/clamp_vitb.py')
    config = published_config(cfg)
    assert config['model']['backbone']['clip']['pretrained'] is None
    assert config['model']['head']['prompt_learner']['text_encoder']['pretrained'] is None
    baseline = published_config(Config.fromfile(CONFIGS / 'ap10k/simplebaseline_r50-imagenet.py'))
    assert 'init_cfg' not in baseline['model']['backbone']


def test_the_model_of_a_command_line(folder, checkpoint, monkeypatch):
    paths = (f'{folder}/config.json', f'{folder}/model.safetensors')
    assert split_model([str(folder), 'a.jpg']) == (*paths, ['a.jpg'])
    assert split_model(['a.onnx', 'a.jpg']) == (None, 'a.onnx', ['a.jpg'])
    assert split_model([DEMO, checkpoint, 'a.jpg', 'b']) == (DEMO, checkpoint, ['a.jpg', 'b'])
    monkeypatch.setattr(pretrained, 'DEFAULT', folder)
    assert split_model(['a.jpg', 'b.jpg']) == (*paths, ['a.jpg', 'b.jpg'])
    monkeypatch.setattr(pretrained, 'DEFAULT', folder / 'none')
    with pytest.raises(FileNotFoundError, match='No model comes with this package'):
        split_model(['a.jpg'])


@pytest.mark.parametrize(
    ('name', 'checkpoint', 'error', 'message'),
    [
        ('no_such_folder', None, FileNotFoundError, 'The model no_such_folder is not there'),
        ('{tmp}', None, ValueError, r'is no model: there is no config.json and no model.safetensors'),
        ('{tmp}', 'a.pth', ValueError, 'it needs no checkpoint, but a.pth is given'),
        ('configs/a.py', None, ValueError, 'Name the checkpoint of the config configs/a.py after it'),
        ('owner/model', None, FileNotFoundError, r'no folder owner/model .* out of reach.*hf download owner/model'),
    ],
)
def test_names_of_no_model(tmp_path, name, checkpoint, error, message):
    with pytest.raises(error, match=f'(?s){message}'):
        find_model(name.format(tmp=tmp_path), checkpoint)


def test_the_hub_is_asked_for_what_a_model_needs(folder, monkeypatch):
    asked = []

    def fetch(hub_id, allow_patterns, revision, local_files_only):
        asked.append((hub_id, allow_patterns, revision, local_files_only))
        return str(folder)

    monkeypatch.setattr('huggingface_hub.snapshot_download', fetch)
    assert find_model('owner/model', revision='v1')[0] == f'{folder}/config.json'
    assert asked == [('owner/model', ['config.json', 'model.safetensors', 'model.onnx', 'text_model/*'], 'v1', True)]


def test_weights_of_another_model_are_refused(folder, tmp_path):
    for name in ('config.json', 'model.safetensors'):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    weights = load_file(folder / 'model.safetensors')
    weights['head.final_layer.bias'][0] = float('nan')  # every pose would be at random, with exit status 0
    save_file(weights, tmp_path / 'model.safetensors')
    with pytest.raises(ValueError, match=r'no finite numbers \(1 tensors, such as head.final_layer.bias'):
        PosePredictor.from_pretrained(str(tmp_path), 'cpu')
    save_file({'a': torch.zeros(1)}, tmp_path / 'model.safetensors')
    with pytest.raises(ValueError, match='of another model than the config'):
        PosePredictor.from_pretrained(str(tmp_path), 'cpu')
    (tmp_path / 'model.safetensors').write_bytes(b'123')
    with pytest.raises(ValueError, match='cannot be read'):
        PosePredictor.from_pretrained(str(tmp_path), 'cpu')


def test_a_text_model_of_hugging_face_comes_along(tmp_path):
    pytest.importorskip('transformers')
    source = save_model(tmp_path / 'text')
    cfg = Config.fromfile(DEMO)
    encoder = cfg.model.head.prompt_learner.text_encoder
    encoder.text_cfg = dict(
        hf_model_name=source, hf_tokenizer_name=source, hf_proj_type='linear', context_length=20, width=32
    )
    path = save_checkpoint(cfg, tmp_path / 'epoch_1.pth')
    [[expected]] = PosePredictor(cfg, path, 'cpu')([IMAGE])
    publish(cfg, path, tmp_path / 'published', Notes('a'))
    (tmp_path / 'published').rename(tmp_path / 'moved')
    shutil.rmtree(source)
    [[pose]] = PosePredictor.from_pretrained(str(tmp_path / 'moved'), 'cpu')([IMAGE])
    np.testing.assert_array_equal(pose.keypoints, expected.keypoints)


def test_a_tokenizer_without_a_text_model_comes_along(tmp_path):
    """SigLIP's, fetched as docs/clip_models.md says: there is no config.json beside it."""
    pytest.importorskip('transformers')
    cfg = Config.fromfile(DEMO)
    text_cfg = dict(hf_tokenizer_name=save_tokenizer(tmp_path / 'siglip', 'siglip'))
    cfg.model.head.prompt_learner.text_encoder.text_cfg = text_cfg
    copy_text_model(cfg, tmp_path / 'text_model')
    shutil.rmtree(tmp_path / 'siglip')
    assert special_tokens(dict(hf_tokenizer_name=str(tmp_path / 'text_model'))) == (0, [0], 0)


def test_a_text_model_has_the_name_that_it_has_in_the_folder(folder, tmp_path):
    path = config_with(folder, tmp_path, model__head__prompt_learner__text_encoder__text_cfg=dict(
        hf_model_name='text_model', hf_tokenizer_name='roberta-base', width=64))  # fmt: skip
    text_cfg = read_published_config(path).model.head.prompt_learner.text_encoder.text_cfg
    assert text_cfg == dict(hf_model_name=f'{tmp_path}/text_model', hf_tokenizer_name='roberta-base', width=64)
    cfg = Config.fromfile(DEMO)
    cfg.model.head.prompt_learner.text_encoder.text_cfg = dict(hf_model_name='weights/minilm')
    text_cfg = published_config(cfg)['model']['head']['prompt_learner']['text_encoder']['text_cfg']
    assert text_cfg == dict(hf_model_name='text_model')
