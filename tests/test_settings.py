"""Options and names that nothing reads are refused, with those that were meant; what has an effect passes."""

import argparse
import copy
from functools import cache
from pathlib import Path

import pytest
from mmengine.config import Config

from clamp.checks import read_config
from clamp.command_line import Options
from clamp.settings import forget_workers, override
from tests.repository import DEMO, ROOT


@cache
def config() -> Config:
    return read_config(DEMO)


def read(*options: str) -> Config:
    parser = argparse.ArgumentParser()
    parser.add_argument('--cfg-options', nargs='+', action=Options)
    cfg = copy.deepcopy(config())
    override(cfg, parser.parse_args(['--cfg-options', *options]).cfg_options)
    return cfg


@pytest.mark.parametrize(
    'option',
    ['model.data_preprocessor.mean.0=1.0', 'model.backbone.input_size.0=128', 'train_dataloader.dataset.pipeline.0=x'],
)
def test_a_part_of_a_list_that_has_no_name_is_refused(option):
    with pytest.raises(ValueError, match=f'{option.split("=")[0]} cannot be put into the config.* whole list'):
        read(option)


@pytest.mark.parametrize(
    ('option', 'meant'),
    [
        (
            'data_root=/no/such/folder/',
            'train_dataloader.dataset.data_root, val_dataloader.dataset.data_root, test_data',
        ),
        ('codec.sigma=4', 'model.data_preprocessor.codec.sigma, model.head.decoder.sigma.'),
        ('keypoint_names=[a,b]', ': model.head.prompt_learner.keypoint_names.'),
        ('clip.pretrained=x.pt', 'model.backbone.clip.pretrained, model.head.prompt_learner.text_encoder.pretrained.'),
        ('train_pipeline.0.type=X', ': train_dataloader.dataset.pipeline.0.type.'),
        ('trian_dataloader.batch_size=64', 'train_dataloader.batch_size'),
        ('max_epochs=1', ': train_cfg.max_epochs.'),
        ('train_dataloader.batch_sise=1', 'train_dataloader.batch_size'),
        ('auto_scale_lr.enabled=True', ': auto_scale_lr.enable.'),
        ('model.head.prompt_learner.cross_attention.layers=2', 'cross_attention.num_layers'),
        ('model.head.in_channels.x=2', 'would be without effect'),
        ('custom_hooks.7.type=X', 'would be without effect'),
        ('randomness.sed=0', 'seed'),
        ('model.test_cfg.flip_tset=False', 'flip_test'),
        ('default_hooks.checkpoint.max_keep_ckpt=1', 'default_hooks.checkpoint.max_keep_ckpts'),
        ('default_hooks.checkpont.interval=1', 'is it default_hooks.checkpoint?'),
        ('model.backbone.type=CLIPBakbone', 'Is it CLIPBackbone?'),
        ('foo.bar=1', 'Nothing in the config is like it'),
    ],
)
def test_options_without_effect_are_refused(option, meant):
    with pytest.raises(ValueError, match=r'without effect|has no type|is not known') as error:
        read(option)
    assert meant in str(error.value)
    assert '\n' not in str(error.value)


def test_options_with_an_effect_pass_also_where_the_config_is_silent():
    cfg = read(
        'randomness.seed=3',
        'default_hooks.compile.mode=max-autotune',
        'default_hooks.score_maps.type=ScoreMapHook',
        'optim_wrapper.clip_grad.max_norm=1',
        'optim_wrapper.paramwise_cfg.custom_keys.backbone.lr_mult=0.1',
        'test_cfg.fp16=True',
        'model.backbone.with_cp=True',
        'model.test_cfg.output_heatmaps=True',
        'model.head.spatial_loss=None',
        'train_dataloader.dataset.pipeline.0.type=LoadImage',
        'load_from=x.pth',
        'custom_hooks.0.priority=LOW',
    )
    assert (cfg.randomness.seed, cfg.test_cfg.fp16, cfg.model.head.spatial_loss) == (3, True, None)
    assert cfg.optim_wrapper.paramwise_cfg.custom_keys.backbone.lr_mult == 0.1


@pytest.mark.parametrize(
    ('option', 'least'),
    [
        ('train_dataloader.batch_size=0', 1),
        ('val_dataloader.batch_size=-8', 1),
        ('test_dataloader.batch_size=8x', 1),
        ('train_dataloader.num_workers=-1', 0),
        ('train_cfg.max_epochs=-3', 1),
        ('train_cfg.max_epochs=1.5', 1),
        ('train_cfg.val_interval=0', 1),
        ('default_hooks.logger.interval=0', 1),
        ('randomness.seed=-1', 0),
    ],
)
def test_counts_out_of_range_are_refused(option, least):
    name = option.split('=')[0]
    with pytest.raises(ValueError, match=rf'{name} is .*, but should be a whole number from {least}'):
        read(option)


def test_without_workers_nothing_is_left_that_torch_refuses():
    cfg = read('train_dataloader.num_workers=0', 'train_dataloader.prefetch_factor=4')
    forget_workers(cfg)
    loader = cfg.train_dataloader
    assert 'persistent_workers' not in loader
    assert 'prefetch_factor' not in loader
    assert cfg.val_dataloader.persistent_workers


@pytest.mark.parametrize('option', ['batch_size', 'a=(1,2', '=3'])
def test_what_is_no_option_ends_in_one_line(option, capsys):
    with pytest.raises(SystemExit if option != '=3' else ValueError):
        read(option)
    if option != '=3':
        assert f'error: argument --cfg-options: {option} is not KEY=VALUE' in capsys.readouterr().err


def leaf(folder: Path, text: str, base: str = DEMO) -> str:
    path = folder / 'mine.py'
    path.write_text(f'_base_ = {base!r}\n{text}\n')
    return str(path)


@pytest.mark.parametrize(
    ('text', 'name', 'meant'),
    [
        ('trian_dataloader = dict(batch_size=64)', 'trian_dataloader', 'train_dataloader'),
        ("data_root = 'mine/'", 'data_root', 'train_dataloader.dataset.data_root'),
        ('codec = dict(sigma=3)', 'codec', 'model.data_preprocessor.codec'),
        ('max_epochs = 3', 'max_epochs', 'train_cfg.max_epochs'),
    ],
)
def test_names_that_nothing_reads_are_refused_in_files(text, name, meant, tmp_path):
    with pytest.raises(ValueError, match=rf'mine\.py defines {name}, which nothing reads.*{meant}'):
        read_config(leaf(tmp_path, text))
    child = tmp_path / 'child.py'
    child.write_text("_base_ = './mine.py'\n")
    with pytest.raises(ValueError, match=rf'mine\.py defines {name}, which nothing reads'):
        read_config(str(child))


def test_names_that_are_read_pass(tmp_path):
    read_config(leaf(tmp_path, "root = 'mine/'\ntrain_dataloader = dict(dataset=dict(data_root=root))"))
    path = leaf(tmp_path, 'size = 7', DEMO)
    child = tmp_path / 'child.py'
    child.write_text("_base_ = './mine.py'\ntrain_dataloader = dict(batch_size=_base_.size)\n")
    assert read_config(str(child)).train_dataloader.batch_size == 7
    with pytest.raises(ValueError, match='size, which nothing reads'):
        read_config(path)


def test_misspelt_settings_in_files_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r'train_dataloader\.batch_sise would be without effect.* batch_size'):
        read_config(leaf(tmp_path, 'train_dataloader = dict(batch_sise=64)'))
    with pytest.raises(ValueError, match=r'model\.head\.spatial_loss\.loss_wieght would be.* loss_weight'):
        read_config(leaf(tmp_path, 'model = dict(head=dict(spatial_loss=dict(loss_wieght=1)))'))


def test_what_mmengine_writes_beside_a_checkpoint_can_be_read(tmp_path):
    config().dump(tmp_path / 'dumped.py')
    assert read_config(str(tmp_path / 'dumped.py')).codec.sigma == 2
    with (tmp_path / 'dumped.py').open('a') as file:
        file.write('trian_cfg = dict(max_epochs=3)\n')
    with pytest.raises(ValueError, match=r'dumped\.py defines trian_cfg, which nothing reads.* train_cfg'):
        read_config(str(tmp_path / 'dumped.py'))


@pytest.mark.slow
def test_all_configs_pass():
    for path in (ROOT / 'configs').rglob('*.py'):
        if '_base_' not in path.parts:
            read_config(str(path))
