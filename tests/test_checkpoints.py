"""A checkpoint is written as a whole or not at all, and a training goes on from the newest of the folder named."""

import errno
import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config
from mmengine.logging import MessageHub
from mmengine.registry import HOOKS as MMENGINE_HOOKS
from mmengine.runner import EpochBasedTrainLoop, load_checkpoint
from mmpose.registry import HOOKS
from safetensors.torch import save_file

from clamp.checkpoints import (
    SafeCheckpointHook,
    WholeFileBackend,
    check_resumable,
    check_start,
    checkpoint_to_resume,
    load_weights,
    newest_checkpoint,
    read_checkpoint,
)

FULL = dict(state_dict={}, optimizer={}, param_schedulers=[], message_hub={}, meta=dict(epoch=1, iter=3))


def save(path: Path, content: dict = FULL) -> Path:
    path.parent.mkdir(exist_ok=True)
    torch.save(content, path)
    return path


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-30])


def resumed(folder: Path, place: str = 'auto', **checkpoint) -> str | None:
    cfg = Config(dict(work_dir=str(folder), default_hooks=dict(checkpoint=checkpoint)))
    return checkpoint_to_resume(cfg, place)


@pytest.fixture
def folder(tmp_path) -> Path:
    for number in (2, 9, 10):
        save(tmp_path / f'a/epoch_{number}.pth')
    save(tmp_path / 'a/epoch_11-0a1b2c3d.pth')  # published
    save(tmp_path / 'a/best_coco_AP_epoch_12.pth')
    (tmp_path / 'a/last_checkpoint').write_text(str(tmp_path / 'a/epoch_10.pth'))
    return tmp_path / 'a'


def test_the_newest_that_can_be_read_is_found(folder):
    assert newest_checkpoint(folder) == (10, folder / 'epoch_10.pth')
    cut(folder / 'epoch_10.pth')
    (folder / 'epoch_13.pth').mkdir()
    assert newest_checkpoint(folder) == (9, folder / 'epoch_9.pth')
    save(folder / 'iter_40.pth')
    assert newest_checkpoint(folder) == (40, folder / 'iter_40.pth')
    assert newest_checkpoint(folder / 'nothing') == (0, None)


def test_a_copied_or_moved_work_dir_goes_on_from_its_own(folder):
    copy = folder.with_name('copy')
    shutil.copytree(folder, copy)
    assert resumed(copy) == str(copy / 'epoch_10.pth')
    folder.rename(folder.with_name('moved'))
    assert resumed(folder.with_name('moved')) == str(folder.with_name('moved') / 'epoch_10.pth')


@pytest.mark.parametrize('kind', ['absent', 'empty', 'folder', 'of a file that is gone'])
def test_what_last_checkpoint_says_does_not_matter(kind, folder):
    last = folder / 'last_checkpoint'
    last.unlink()
    if kind == 'folder':
        last.mkdir()
    elif kind != 'absent':
        last.write_text('' if kind == 'empty' else 'epoch_99.pth')
    assert resumed(folder) == str(folder / 'epoch_10.pth')


def test_other_places(folder, tmp_path, capsys):
    assert resumed(tmp_path / 'new') is None
    assert 'no checkpoint in ' in capsys.readouterr().out
    assert resumed(tmp_path / 'new', str(folder)) == str(folder / 'epoch_10.pth')
    assert resumed(tmp_path / 'new', 'any.pth') == 'any.pth'
    assert resumed(tmp_path / 'elsewhere/a', out_dir=str(tmp_path)) == str(folder / 'epoch_10.pth')


def test_a_folder_with_nothing_to_go_on_from_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r'no checkpoint in .* leave --resume out to start anew'):
        resumed(tmp_path / 'new', str(tmp_path))
    save(tmp_path / 'b/best_coco_AP_epoch_3.pth')
    cut(save(tmp_path / 'b/epoch_4.pth'))
    with pytest.raises(ValueError, match=r'that can be read, only best_coco_AP_epoch_3.pth, epoch_4.pth'):
        resumed(tmp_path / 'b')


@pytest.mark.parametrize(
    ('absent', 'named'), [('optimizer', 'optimizer'), ('meta', 'epoch'), ('message_hub', 'message_hub')]
)
def test_weights_alone_are_refused(absent, named, tmp_path):
    check_resumable(str(save(tmp_path / 'epoch_1.pth')))
    path = save(tmp_path / 'best.pth', {key: value for key, value in FULL.items() if key != absent})
    with pytest.raises(ValueError, match=rf'has weights, but no {named}.*--cfg-options load_from=.*best\.pth'):
        check_resumable(str(path))


def test_a_training_begins_with_weights_some_of_which_fit(tmp_path):
    model = torch.nn.Linear(2, 3)
    other = torch.nn.Linear(5, 3)  # another weight, the same bias
    path = str(tmp_path / 'model.safetensors')
    save_file(other.state_dict(), path)
    check_start(path, model)
    load_checkpoint(model, path, map_location='cpu')  # MMEngine's
    assert torch.equal(model.bias, other.bias)
    with pytest.raises(ValueError, match=r'model.safetensors: it has weights, but no optimizer'):
        check_resumable(path)
    with pytest.raises(ValueError, match=r'none of its 2 weights \(bias, .* is one of the model \(0.weight, '):
        check_start(path, torch.nn.Sequential(model))


def test_another_optimiser_is_refused(tmp_path):
    model = torch.nn.Linear(2, 3)
    optimizer = torch.optim.SGD([dict(params=[model.weight]), dict(params=[model.bias])], lr=1)
    path = str(
        save(tmp_path / 'epoch_1.pth', FULL | dict(state_dict=model.state_dict(), optimizer=optimizer.state_dict()))
    )

    def check(optimizer, **auto_scale_lr):
        cfg = dict(auto_scale_lr=auto_scale_lr)
        check_resumable(path, SimpleNamespace(model=model, cfg=cfg, optim_wrapper=SimpleNamespace(optimizer=optimizer)))

    check(optimizer)
    with pytest.raises(
        ValueError, match='with 2 groups of 2 parameters, this one has 1 of 2: optim_wrapper is another'
    ):
        check(torch.optim.SGD(model.parameters(), lr=1))


def test_what_is_resumed_keeps_its_learning_rate_and_says_so(tmp_path):
    """The optimiser's state has it, and would replace that of the config without a word."""
    model = torch.nn.Linear(2, 3)
    saved = torch.optim.SGD(model.parameters(), lr=0.5, weight_decay=0.1)
    torch.optim.lr_scheduler.LinearLR(saved, 0.001)  # a warm-up: lr is not that of the config
    assert saved.param_groups[0]['lr'] == 0.0005
    path = str(save(tmp_path / 'epoch_1.pth', FULL | dict(state_dict=model.state_dict(), optimizer=saved.state_dict())))

    def check(lr: float, weight_decay: float = 0.1, **auto_scale_lr):
        optimizer = torch.optim.SGD(model.parameters(), lr=lr, weight_decay=weight_decay)
        cfg = dict(auto_scale_lr=auto_scale_lr)
        check_resumable(path, SimpleNamespace(model=model, cfg=cfg, optim_wrapper=SimpleNamespace(optimizer=optimizer)))

    check(0.5)
    check(0.1, enable=True)  # scaled when the training begins
    with pytest.raises(ValueError, match=r'training with lr 0.5, the config says 0.1, .*load_from='):
        check(0.1)
    with pytest.raises(ValueError, match=r'training with weight_decay 0.1, the config says 0, '):
        check(0.5, 0)


def test_a_full_disk_leaves_the_file_as_it_was(tmp_path, monkeypatch):
    backend, path = WholeFileBackend(), tmp_path / 'epoch_1.pth'
    backend.put(b'old', path)

    def full(descriptor):
        raise OSError(errno.ENOSPC, 'No space left on device')

    monkeypatch.setattr(os, 'fsync', full)
    with pytest.raises(OSError, match='No space left on device') as error:
        backend.put(b'new', path)
    assert error.value.filename == str(path)
    assert path.read_bytes() == b'old'
    assert list(tmp_path.iterdir()) == [path]


class FakeRunner(SimpleNamespace):
    """What the hook asks of a runner; it counts validations, and notes what is in the folder when it saves."""

    def __init__(self, folder: Path, epoch: int = 0, val_interval: int = 2, **info):
        loop = EpochBasedTrainLoop.__new__(EpochBasedTrainLoop)
        loop.val_begin, loop.val_interval, loop._max_epochs = 1, val_interval, 5
        hub = MessageHub('test_checkpoints')
        hub.runtime_info.clear()
        hub.runtime_info.update(info)
        self.validations, self.seen = 0, []
        val_loop = SimpleNamespace(run=self.validate)
        logger = SimpleNamespace(info=print)
        super().__init__(
            work_dir=str(folder),
            epoch=epoch,
            iter=9,
            train_loop=loop,
            val_loop=val_loop,
            message_hub=hub,
            logger=logger,
        )

    def validate(self):
        self.validations += 1

    def save_checkpoint(self, out_dir, filename, *args, backend_args, **kwargs):
        assert backend_args == dict(backend='whole_file')
        self.seen.append(sorted(path.name for path in Path(out_dir).glob('*.pth')))
        (Path(out_dir) / filename).touch()


def hook(**options) -> SafeCheckpointHook:
    return HOOKS.build(dict(type='CheckpointHook', rule='greater', **options))


def test_it_is_the_hook_of_mmposes_configs():
    assert type(hook()) is SafeCheckpointHook
    assert MMENGINE_HOOKS.module_dict['CheckpointHook'] is not SafeCheckpointHook


def test_an_old_checkpoint_is_removed_after_the_new_one_is_there(tmp_path):
    (tmp_path / 'epoch_3.pth.part').touch()  # of a run that was killed
    runner, keeper = FakeRunner(tmp_path), hook(max_keep_ckpts=1)
    keeper.before_train(runner)
    assert list(tmp_path.iterdir()) == []
    for epoch in (1, 2, 2, 3):
        keeper._save_checkpoint_with_step(runner, epoch, {})
    assert runner.seen == [[], ['epoch_1.pth'], ['epoch_2.pth'], ['epoch_2.pth']]
    assert [path.name for path in tmp_path.glob('*.pth')] == ['epoch_3.pth']
    assert runner.message_hub.get_info('keep_ckpt_ids') == [3]


def test_the_best_of_another_folder_is_not_removed(tmp_path):
    other = save(tmp_path / 'a/best_coco_AP_epoch_1.pth')
    (tmp_path / 'b').mkdir()
    keeper = hook(save_best='coco/AP')
    runner = FakeRunner(tmp_path / 'b', best_ckpt=str(other), best_score=0.1)
    keeper.before_train(runner)
    keeper._save_best_checkpoint(runner, {'coco/AP': 0.2})
    assert other.is_file()
    assert (tmp_path / 'b/best_coco_AP_epoch_0.pth').is_file()


def test_the_best_of_several_metrics_in_another_folder_are_not_removed(tmp_path):
    names = ['coco/AP', 'coco/AR']
    others = [save(tmp_path / f'a/best_{name.replace("/", "_")}_epoch_1.pth') for name in names]
    (tmp_path / 'b').mkdir()
    keeper = hook(save_best=names)
    best = {f'best_ckpt_{name}': str(path) for name, path in zip(names, others)}
    runner = FakeRunner(tmp_path / 'b', **best, **{f'best_score_{name}': 0.1 for name in names})
    keeper.before_train(runner)
    keeper._save_best_checkpoint(runner, {'coco/AP': 0.2, 'coco/AR': 0.05})
    assert all(path.is_file() for path in others)
    assert sorted(path.name for path in (tmp_path / 'b').glob('*.pth')) == ['best_coco_AP_epoch_0.pth']


@pytest.mark.parametrize(('epoch', 'validations'), [(0, 0), (1, 0), (2, 1), (3, 0), (4, 1), (5, 1)])
def test_a_resumed_run_validates_what_may_have_been_cut_off(epoch, validations, tmp_path):
    runner = FakeRunner(tmp_path, epoch)
    hook().before_train(runner)
    assert runner.validations == validations


@pytest.fixture
def checkpoint(tmp_path) -> Path:
    path = tmp_path / 'epoch_1.pth'
    torch.save(dict(meta=dict(epoch=1), state_dict=torch.nn.Linear(3, 2).state_dict()), path)
    return path


def test_a_checkpoint_that_fits_passes(checkpoint):
    read_checkpoint(str(checkpoint))
    model = torch.nn.Linear(3, 2)
    load_weights(model, str(checkpoint))
    load_weights(torch.nn.DataParallel(model), str(checkpoint))  # as MMEngine's runner wraps it for many GPUs


def test_a_missing_checkpoint_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'epoch_9\.pth is not there'):
        read_checkpoint(str(tmp_path / 'epoch_9.pth'))


@pytest.mark.parametrize('part', [0, 0.5, 0.99])
def test_a_checkpoint_cut_short_is_named(checkpoint, part):
    content = checkpoint.read_bytes()
    checkpoint.write_bytes(content[: int(part * len(content))])
    with pytest.raises(ValueError, match=r'epoch_1\.pth cannot be read: .*may be cut short') as error:
        read_checkpoint(str(checkpoint))
    assert '\n' not in str(error.value)


def test_a_checkpoint_with_code_is_refused_with_the_reason(checkpoint):
    torch.save(dict(state_dict={}, meta=Path('x')), checkpoint)
    with pytest.raises(ValueError, match=r'epoch_1\.pth cannot be read: .*Unsupported global: GLOBAL pathlib'):
        read_checkpoint(str(checkpoint))


def test_a_file_of_another_kind_is_no_checkpoint(checkpoint):
    for content in (dict(weight=torch.zeros(1)), [1, 2]):
        torch.save(content, checkpoint)
        with pytest.raises(ValueError, match='no checkpoint of MMEngine'):
            read_checkpoint(str(checkpoint))


def test_a_checkpoint_of_another_model_is_refused(checkpoint):
    with pytest.raises(ValueError, match=r'epoch_1\.pth is of another model than the config: size mismatch for weight'):
        load_weights(torch.nn.Linear(4, 2), str(checkpoint))
    with pytest.raises(ValueError, match=r'2 entries are not in the model, such as weight; 2 .*such as 0\.weight'):
        load_weights(torch.nn.Sequential(torch.nn.Linear(3, 2)), str(checkpoint))


def test_an_exported_model_is_called_one(tmp_path):
    (tmp_path / 'model.onnx').write_bytes(b'onnx')
    with pytest.raises(ValueError, match=r'model\.onnx is an exported model, .* give the checkpoint \(\.pth\)'):
        read_checkpoint(str(tmp_path / 'model.onnx'))
