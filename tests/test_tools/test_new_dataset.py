import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmengine.config import Config
from mmpose.registry import DATASETS

from tests.repository import link_configs, load_tool
from tests.tiny_data import MOUSE, sparse_coco


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with this repository's configs, and a data set of four images of noise beside it."""
    link_configs(tmp_path)
    (tmp_path / 'mice/images').mkdir(parents=True)
    random = np.random.default_rng(0)
    for i in range(4):
        cv2.imwrite(str(tmp_path / f'mice/images/{i}.png'), random.integers(0, 256, (32, 32, 3), dtype=np.uint8))
    (tmp_path / 'mice/ann.json').write_text(json.dumps(sparse_coco()))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_configs_train_on_the_file(place, capsys):
    args = ['mice/ann.json', '--name', 'mice', '--backbone', 'tiny', '--val-fraction', '0.25']
    assert load_tool('new_dataset').main(args) == 0
    printed = capsys.readouterr().out
    assert 'train: 3 images, 3 animals' in printed
    assert '3 keypoints, 1 pairs of left and right: left eye, right eye, snout' in printed
    assert 'sigma 0.05, assumed, for snout' in printed
    assert 'note: 24 epochs of so few animals are 24 steps, and 30 of these are warm-up' in printed
    assert printed.endswith('next: python tools/train.py configs/mice/clamp_tiny.py\n')
    for method in ('clamp', 'simplebaseline'):
        cfg = Config.fromfile(f'configs/mice/{method}_tiny.py')
        assert cfg.model.head.out_channels == 3
    assert Config.fromfile('configs/mice/clamp_tiny.py').model.head.prompt_learner.keypoint_names[0] == 'left eye'
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    assert dataset.metainfo['flip_indices'] == [1, 0, 2]
    assert [dataset.metainfo['keypoint_id2name'][i] for i in range(3)] == MOUSE
    assert len(dataset) == 3
    assert Path(dataset.get_data_info(0)['img_path']).resolve().parent == place / 'mice/images'


def test_names_in_the_vocabulary_are_told(capsys):
    load_tool('new_dataset').describe_vocabulary(['snout', 'LF_hoof', 'knee_L', 'implant', 'rear_knee'])
    assert capsys.readouterr().out.splitlines() == [
        'in a training with other data sets (docs/many_datasets.md), snout: nose, LF_hoof: left front paw, '
        'knee_L: left knee',
        '  implant is in no vocabulary',
        '  rear_knee is in no vocabulary; near: left knee, right knee, left back knee',
        "  note on 'knee': a person's is the knee joint; AP-10K's was found at the anatomical ankle (hock), which is "
        "Animal-Pose's back knee (on hoofed animals and on a jaguar)",
    ]


def test_nothing_is_lost(place):
    args = ['mice/ann.json', '--name', 'mice', '--backbone', 'tiny', '--val-fraction', '0.25']
    tool = load_tool('new_dataset')
    tool.main(args)
    assert tool.main(args) == 0  # the same again
    config = place / 'configs/_base_/datasets/mice_128x128.py'
    config.write_text(config.read_text().replace("'snout'", "'tip of the snout'"))
    with pytest.raises(SystemExit, match=r'mice_128x128\.py is there and holds something else'):
        tool.main(args)
    assert 'tip of the snout' in config.read_text()
    tool.main([*args, '--force'])
    assert 'tip of the snout' not in config.read_text()


@pytest.mark.parametrize('options', [[], ['--force']])
def test_a_source_is_never_written_over(place, options):
    source = place / 'data/mice/annotations/train.json'
    source.parent.mkdir(parents=True)
    content = (place / 'mice/ann.json').read_bytes()
    source.write_bytes(content)
    args = ['data/mice/annotations/train.json', '--images', 'mice/images', '--name', 'mice', '--backbone', 'tiny']
    with pytest.raises(SystemExit, match=r'train\.json is a source, and would be written over: choose another --name'):
        load_tool('new_dataset').main([*args, '--val-fraction', '0.25', *options])
    assert source.read_bytes() == content


def test_data_may_be_a_link(place, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp('disk') / 'deep/deeper'
    elsewhere.mkdir(parents=True)
    (place / 'data').symlink_to(elsewhere)
    args = ['mice/ann.json', '--name', 'mice', '--backbone', 'tiny', '--val-fraction', '0.25']
    assert load_tool('new_dataset').main(args) == 0
    dataset = DATASETS.build(Config.fromfile('configs/mice/clamp_tiny.py').train_dataloader.dataset)
    assert Path(dataset.get_data_info(0)['img_path']).is_file()


def test_the_small_pretrained_pair_asks_for_its_weights(place):
    args = ['mice/ann.json', '--name', 'mice', '--backbone', 'lite0-minilm', '--val-fraction', '0.25']
    with pytest.raises(SystemExit, match=r'tools/prepare_lite_weights\.py makes'):
        load_tool('new_dataset').main(args)
    backbones = [Config.fromfile(f'configs/mice/{leaf}.py').model.backbone for leaf in
                 ('clamp_lite0-minilm', 'simplebaseline_lite0')]  # fmt: skip
    assert [backbone.clip.vision_cfg.timm_model_name for backbone in backbones] == ['tf_efficientnet_lite0'] * 2


def test_errors_write_nothing(place):
    (place / 'mice/images/2.png').unlink()
    other = sparse_coco()
    other['categories'][0]['keypoints'] = MOUSE[::-1]
    (place / 'other.json').write_text(json.dumps(other))
    for args, message in (
        (['mice/ann.json', '--val-fraction', '0.5'], r'1 of 4 images are not in mice/images, such as 2\.png'),
        (
            ['mice/ann.json', '--val-fraction', '0.5', '--images', 'configs'],
            r'is not in configs\. Give the folder with --images',
        ),
        (['mice/ann.json', '--val-fraction', '0.1'], r'fraction 0\.1: 10% of 4 images that can be trained on is none'),
        (['mice/ann.json', '--val', 'other.json'], 'have different keypoints'),
        (['mice/ann.json', '--val', 'mice/ann.json'], 'would be in both'),
    ):
        with pytest.raises(SystemExit, match=message) as error:
            load_tool('new_dataset').main([*args, '--name', 'mice'])
        assert str(error.value).startswith('error: ')
    assert not (place / 'configs/mice').exists()
    assert not (place / 'data').exists()


def test_errors_of_the_data_are_told_and_set_the_exit_status(place, capsys):
    for name, chosen in (('ann', slice(0, 3)), ('val', slice(3, 4))):
        part = sparse_coco()
        part |= dict(images=part['images'][chosen], annotations=part['annotations'][chosen])
        part['annotations'][0]['bbox'] = [0, 0, 0, 5] if name == 'ann' else [0, 0, 5, 5]
        (place / f'mice/{name}.json').write_text(json.dumps(part))
    args = ['mice/ann.json', '--val', 'mice/val.json', '--name', 'mice', '--backbone', 'tiny']
    assert load_tool('new_dataset').main(args) == 1
    printed = capsys.readouterr().out
    assert '  error, train: empty box (1: annotation 10)' in printed
    assert 'mend the errors first' in printed


def test_names_are_never_code(place):
    """A config is run when it is read: neither names nor paths may become a part of it but as text."""
    args = ['--name', 'mice', '--backbone', 'tiny', '--val-fraction', '0.25']
    for name in ("snout\n__import__('os').mkdir('ran')  #", '{{ fileBasename }}', 'snout\u2028', 'snout\x1b[2J'):
        evil = sparse_coco()
        evil['categories'][0]['keypoints'] = [*MOUSE[:2], name]
        (place / 'evil.json').write_text(json.dumps(evil))
        with pytest.raises(SystemExit, match=r'write plain text in their place|text without control characters'):
            load_tool('new_dataset').main(['evil.json', '--images', 'mice/images', *args])
    (place / "mice/x'\n__import__('os').mkdir('ran')\n'.json").write_text(json.dumps(sparse_coco()))
    with pytest.raises(SystemExit, match='write plain text in their place'):
        load_tool('new_dataset').main(["mice/x'\n__import__('os').mkdir('ran')\n'.json", *args])
    assert not (place / 'ran').exists()
    assert not (place / 'data').exists()
    quoted = sparse_coco()
    quoted['categories'][0]['keypoints'] = [*MOUSE[:2], "s'nout', \"#\\"]
    (place / 'quoted.json').write_text(json.dumps(quoted))
    load_tool('new_dataset').main(['quoted.json', '--images', 'mice/images', *args])
    info = Config.fromfile('configs/mice/clamp_tiny.py').train_dataloader.dataset.metainfo.keypoint_info
    assert info[2]['name'] == "s'nout', \"#\\"


@pytest.mark.slow
def test_pairs_in_other_languages(place, capsys):
    german = sparse_coco()
    german['categories'][0]['keypoints'] = ['Auge_links', 'Auge_rechts', 'Nase']
    (place / 'german.json').write_text(json.dumps(german))
    args = ['german.json', '--images', 'mice/images', '--name', 'maus', '--backbone', 'tiny', '--val-fraction', '0.25']
    assert load_tool('new_dataset').main(args) == 0
    assert 'warning: no name tells left from right' in capsys.readouterr().out
    assert load_tool('new_dataset').main([*args, '--force', '--pair', 'Auge_links', 'Auge_rechts']) == 0
    printed = capsys.readouterr().out
    assert '1 pairs of left and right' in printed
    assert 'warning: no name' not in printed
    dataset = DATASETS.build(Config.fromfile('configs/maus/clamp_tiny.py').train_dataloader.dataset)
    assert dataset.metainfo['flip_indices'] == [1, 0, 2]


def test_a_project_of_deeplabcut_is_a_data_set(place):
    project = place / 'Mice-Ana'
    (project / 'labeled-data/clip').mkdir(parents=True)
    (project / 'config.yaml').write_text('Task: mice\nbodyparts: [left ear, right ear, snout]\nskeleton: []\n')
    rows = ['scorer' + ',Ana' * 6, 'bodyparts,left ear,left ear,right ear,right ear,snout,snout', 'coords' + ',x,y' * 3]
    for i in range(4):
        shutil.copy(place / f'mice/images/{i}.png', project / f'labeled-data/clip/{i}.png')
        rows.append(f'labeled-data/clip/{i}.png,5,6,20,{6 + i},12,20')
    (project / 'labeled-data/clip/CollectedData_Ana.csv').write_text('\n'.join(rows))
    args = ['Mice-Ana/config.yaml', '--backbone', 'tiny', '--val-fraction', '0.25']
    assert load_tool('new_dataset').main(args) == 0
    cfg = Config.fromfile('configs/Mice_Ana/clamp_tiny.py')
    assert cfg.model.head.prompt_learner.keypoint_names == ['left ear', 'right ear', 'snout']
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    assert len(dataset) == 3
    assert dataset.get_data_info(0)['keypoints'][0, 2].tolist() == [12, 20]
    assert Path(dataset.get_data_info(0)['img_path']).resolve().parent == project / 'labeled-data/clip'
