"""A model asked in other words: what is put where, and what is printed of it. docs/novel_keypoints.md has a run."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import EMAHook
from mmengine.runner import Runner
from mmpose.evaluation import CocoMetric
from mmpose.registry import MODELS

from clamp.checks import read_config
from clamp.datasets.synthetic import generate_dataset
from tests.repository import load_tool
from tests.tiny_models import NAMES, features, save_checkpoint, tiny_head

tool = load_tool('evaluate_wording')
WORDS = ['left eyeball', 'snout', 'right hind foot']


def built(head_type: str, **kwargs) -> tuple:
    config = tiny_head(type=head_type, **kwargs)
    return MODELS.build(config).eval(), config['prompt_learner']


@pytest.mark.parametrize('head_type', ['CLAMPHead', 'AskedCLAMPHead'])
def test_other_heads_get_the_words_in_the_place_of_their_names(head_type):
    """As if the model had been built with them; and back again."""
    head, learner = built(head_type)
    assert tool.asked_names(head) == NAMES
    other, _ = built(head_type, prompt_learner=dict(learner, keypoint_names=WORDS))
    other.load_state_dict(head.state_dict())
    feats = features()
    with torch.no_grad():
        before = head(feats)
        tool.ask(head, learner, dict(zip(NAMES, WORDS)))
        torch.testing.assert_close(head(feats), other(feats))
        assert not torch.allclose(head(feats), before)
        tool.ask(head, learner, dict(zip(NAMES, NAMES)))
        torch.testing.assert_close(head(feats), before)


def test_clamp_asked_for_others_too():
    head, learner = built('AskedCLAMPHead', test_names=['hoof', 'nose'])
    tool.ask(head, learner, {'hoof': 'claw', 'nose': 'snout'})
    assert head.asked_names == ['claw', 'snout']
    assert head.prompt_learner.keypoint_names == ['left eye', 'snout', 'right back paw']
    assert head(features()).shape == (2, 2, 8, 8)


def test_table_by_hand():
    results = {'as trained': {'coco/AP': 0.5, 'nose/PCK@0.1': 0.2}, 'typo': {'coco/AP': 0.4567, 'nose/PCK@0.1': 0.3}}
    assert tool.format_table(results).splitlines()[2:] == ['| as trained | 50.0    |', '| typo       | 45.7    |']
    assert tool.best_by_name(list(results.values()), ['nose', 'tail']) == {'nose/PCK@0.1': 0.3}


def test_wordings_of_a_file(tmp_path):
    path = tmp_path / 'mine.json'
    path.write_text(json.dumps({'German': {'nose': 'Nase'}}))
    assert tool.read_wordings(path, NAMES) == {'German': ['left eye', 'Nase', 'right back paw']}
    for content, message in (
        ({'German': {'tail': 'Schwanz'}}, "rewords 'tail'; the names are left eye, nose"),
        ({'German': {'nose': ''}}, "'' is no name"),
        ({'German': ['Nase']}, 'is no JSON of the form'),
        ([], 'is no JSON of the form'),
        ({}, 'mine.json has no wording'),
    ):
        path.write_text(json.dumps(content))
        with pytest.raises(ValueError, match=message):
            tool.read_wordings(path, NAMES)
    path.write_bytes('{"Französisch": {}}'.encode('latin-1'))
    with pytest.raises(ValueError, match=r'mine.json is no JSON of the form .*utf-8'):
        tool.read_wordings(path, NAMES)
    path.write_text('{')
    with pytest.raises(ValueError, match='is no JSON of the form'):
        tool.read_wordings(path, NAMES)


def test_a_model_without_names_is_refused():
    head = MODELS.build(dict(type='HeatmapHead', in_channels=8, out_channels=3, deconv_out_channels=None))
    with pytest.raises(ValueError, match='HeatmapHead knows no names'):
        tool.asked_names(head)


@pytest.fixture
def data(tmp_path) -> dict:
    """Options of a config for three drawn animals."""
    generate_dataset(tmp_path, 1, 3)
    return {
        'test_dataloader.dataset.data_root': f'{tmp_path}/',
        'test_evaluator.ann_file': f'{tmp_path}/annotations/ap10k-val-split1.json',
        'test_dataloader.num_workers': 0,
        'test_dataloader.persistent_workers': False,
        'work_dir': str(tmp_path / 'work'),
        'load_from': str(tmp_path / 'model.pth'),
    }


def save_model(config: str, data: dict) -> Config:
    cfg = read_config(config, data)
    save_checkpoint(cfg, data['load_from'], peaks=True)
    return cfg


@pytest.mark.slow
@pytest.mark.parametrize('name', ['clamp_tiny', 'openvocab_tiny'])
def test_the_command_asks_in_the_words_of_a_file_and_in_others(name, data, tmp_path, capsys):
    config, out = f'configs/demo/{name}.py', tmp_path / 'table.json'
    expected = Runner.from_cfg(save_model(config, data)).test()
    (tmp_path / 'mine.json').write_text(json.dumps({'own': {}, 'German': {'nose': 'Nase', 'neck': 'Hals'}}))
    options = [f'{key}={value}' for key, value in data.items() if key != 'load_from']
    arguments = [config, data['load_from'], '--wordings', str(tmp_path / 'mine.json'), '--json', str(out)]
    tool.main([*arguments, *(['--other-words'] if name == 'openvocab_tiny' else []), '--cfg-options', *options])
    result = json.loads(out.read_text())
    others = list(tool.other_words(NAMES)) if name == 'openvocab_tiny' else []
    assert list(result['wordings']) == list(result['metrics']) == ['own', 'German', *others]
    assert result['metrics']['own'] == pytest.approx(expected)
    assert (result['wordings']['German'][2:4], 'best_other_word' in result) == (['Nase', 'Hals'], bool(others))
    assert '| own ' in capsys.readouterr().out


def test_averaged_weights_are_refused():
    """An EMAHook exchanges the weights before a test, after the words were put into the others."""
    head, learner = built('CLAMPHead')
    runner = SimpleNamespace(model=SimpleNamespace(head=head), hooks=[EMAHook()])
    with pytest.raises(ValueError, match='An EMAHook tests other weights than those that are asked'):
        tool.evaluate(runner, learner, {'as trained': NAMES})


@pytest.mark.slow
def test_one_pass_answers_each_wording_as_a_pass_of_its_own(data, monkeypatch):
    cfg = save_model('configs/demo/openvocab_tiny.py', data)
    names = list(cfg.model.head.prompt_learner.keypoint_names)
    wordings = {'as trained': names, 'reversed': names[::-1], 'hoof': ['hoof'] * len(names)}
    seen = {}
    monkeypatch.setattr(
        CocoMetric,
        'compute_metrics',
        lambda self, results: seen.setdefault(len(seen), [pose for pose, _ in results]) and {'AP': 0.0},
    )
    assert list(tool.evaluate(Runner.from_cfg(cfg), cfg.model.head.prompt_learner, wordings)) == list(wordings)
    for words in wordings.values():
        cfg = read_config('configs/demo/openvocab_tiny.py', data)
        cfg.model.head.test_names = words
        Runner.from_cfg(cfg).test()
    for at_once, alone in zip([seen[i] for i in range(3)], [seen[i] for i in range(3, 6)]):
        assert len(at_once) == len(alone) >= 3
        for pose, other in zip(at_once, alone):
            np.testing.assert_allclose(pose['keypoints'], other['keypoints'], atol=1e-3)
            np.testing.assert_allclose(pose['keypoint_scores'], other['keypoint_scores'], atol=1e-4)
    assert not np.allclose(seen[0][0]['keypoints'], seen[1][0]['keypoints'])


def test_a_model_that_reads_no_words_is_refused():
    """Its results in other words would be those in its own."""
    learner = tiny_head()['prompt_learner'] | dict(text_encoder=None, embed_dim=24)
    with pytest.raises(ValueError, match='no text encoder: other words would change nothing'):
        tool.asked_names(MODELS.build(tiny_head(prompt_learner=learner)))


def test_wordings_are_checked_before_the_first_test():
    head, learner = built('AskedCLAMPHead')
    with pytest.raises(ValueError, match=r"The wording 'long': .*hind hind"):
        tool.check_wordings(head, learner, {'short': NAMES, 'long': [*NAMES[:2], 'hind ' * 30]})
    with pytest.raises(ValueError, match="The wording 'cloud' has one word for two names"):
        tool.check_wordings(head, learner, {'short': NAMES, 'cloud': ['cloud'] * 3})
    for other in ('CLAMPHead', 'OpenVocabularyHead'):
        tool.check_wordings(built(other)[0], learner, {'cloud': ['cloud'] * 3})
