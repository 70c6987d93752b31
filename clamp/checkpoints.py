"""Checkpoints: read and checked, written as a whole or not at all, and found again to go on from."""

import os
import os.path as osp
import re
from contextlib import suppress
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.dist import is_main_process
from mmengine.fileio.backends import LocalBackend, register_backend
from mmengine.hooks import CheckpointHook
from mmengine.model import is_model_wrapper
from mmengine.runner import CheckpointLoader, EpochBasedTrainLoop, Runner
from mmpose.registry import HOOKS
from safetensors.torch import load_file

from .files import write_whole

NEEDED = ('optimizer', 'param_schedulers', 'message_hub')


@CheckpointLoader.register_scheme(prefixes=r'.*\.safetensors$')
def load_from_safetensors(filename: str, map_location: str | None = None) -> dict:
    """Read the weights of a published model, for MMEngine, which knows no such files."""
    return dict(state_dict=load_file(filename, device=str(map_location or 'cpu')))


def read_checkpoint(path: str) -> dict:
    """Read a checkpoint.

    Returns:
        dict: The checkpoint; with its weights alone if it is of a published model.

    Raises:
        FileNotFoundError: If it is not there.
        ValueError: If it is cut short or exported, or is no checkpoint of MMEngine.
    """
    if not osp.isfile(path):
        raise FileNotFoundError(f'The checkpoint {path} is not there (from {osp.abspath(".")}).')
    if path.endswith('.onnx'):
        raise ValueError(
            f'{path} is an exported model, which tools/predict.py, test.py, demo_app.py and publish.py take: give '
            'the checkpoint (.pth) that it was made of.'
        )
    try:
        if path.endswith('.safetensors'):  # of a published model
            checkpoint = dict(state_dict=load_file(path))
        else:
            checkpoint = torch.load(path, map_location='cpu', weights_only=True)
    except Exception as error:
        lines = [line.strip() for line in str(error).splitlines()] or [type(error).__name__]
        reason = next((line for line in lines if line.startswith('WeightsUnpickler error')), lines[0].split('. ')[0])
        raise ValueError(
            f'The checkpoint {path} cannot be read: {reason}. It may be cut short: take an earlier one of its folder, '
            'or copy it again.'
        ) from error
    if not isinstance(checkpoint, dict) or 'state_dict' not in checkpoint:
        raise ValueError(f'{path} is no checkpoint of MMEngine: there is no state_dict in it.')
    return checkpoint


def load_weights(model: torch.nn.Module, path: str) -> dict:
    """Load a checkpoint into the model that it is of, and return what :func:`read_checkpoint` does.

    Raises:
        FileNotFoundError, ValueError: As :func:`read_checkpoint`.
        ValueError: If it is of another model, or holds weights that are no finite numbers.
    """
    checkpoint = read_checkpoint(path)
    model = model.module if is_model_wrapper(model) else model
    try:
        keys = model.load_state_dict(checkpoint['state_dict'], strict=False)
        found = {'not in the model': keys.unexpected_keys, 'missing': keys.missing_keys}
        reasons = [f'{len(names)} entries are {what}, such as {names[0]}' for what, names in found.items() if names]
    except RuntimeError as error:
        reasons = [str(error).splitlines()[1].strip(' \t.')]
    if reasons:
        raise ValueError(
            f'The checkpoint {path} is of another model than the config: {"; ".join(reasons)}. Use the config that is '
            'beside it in its folder.'
        )
    if wrong := [name for name, tensor in model.state_dict().items() if not tensor.isfinite().all()]:
        raise ValueError(
            f'The checkpoint {path} holds weights that are no finite numbers ({len(wrong)} tensors, such as '
            f'{wrong[0]}): the training diverged, or the file is damaged. Take an earlier one.'
        )
    return checkpoint


def check_start(path: str, model: torch.nn.Module) -> None:
    """Check that a new training can begin with a checkpoint, of which MMEngine leaves out what does not fit.

    Raises:
        FileNotFoundError, ValueError: As :func:`read_checkpoint`.
        ValueError: If none of its weights is one of the model.
    """
    model = model.module if is_model_wrapper(model) else model
    given, own = read_checkpoint(path)['state_dict'], model.state_dict()
    if not any(name in own and own[name].shape == tensor.shape for name, tensor in given.items()):
        raise ValueError(
            f'load_from={path}: none of its {len(given)} weights ({next(iter(given), "none")}, ...) is one of the '
            f'model ({next(iter(own))}, ...), by name and shape: the training would begin without it.'
        )


def newest_checkpoint(folder: str | Path) -> tuple[int, Path | None]:
    """Return number and file of the last epoch (or iteration) in a folder that can be read, or 0 and None.

    Paths that MMEngine has written into ``last_checkpoint`` are not read: the folder may be a copy, or have moved.
    """
    matches = [(re.fullmatch(r'(?:epoch|iter)_(\d+)\.pth', path.name), path) for path in Path(folder).glob('*.pth')]
    found = {int(match[1]): path for match, path in matches if match}
    for number, path in sorted(found.items(), reverse=True):
        with suppress(ValueError, FileNotFoundError):  # a kill may have cut it short; it may be a folder
            read_checkpoint(str(path))
            return number, path
    return 0, None


def checkpoint_to_resume(cfg: Config, place: str) -> str | None:
    """Return the path of the checkpoint that ``--resume`` means, or None if there is nothing yet to go on from.

    Args:
        cfg (Config): With its ``work_dir``.
        place (str): A checkpoint, a folder, or ``'auto'`` for the folder where this config's checkpoints are saved.

    Raises:
        ValueError: If there are checkpoints in the folder, but none to go on from, or none in a folder that was named.
    """
    out_dir = cfg.default_hooks.get('checkpoint', {}).get('out_dir')
    own = Path(out_dir, Path(cfg.work_dir).name) if out_dir else Path(cfg.work_dir)
    folder = own if place == 'auto' else Path(place)
    if place != 'auto' and not folder.is_dir():
        return place
    path = newest_checkpoint(folder)[1]
    if path:
        return str(path)
    others = sorted(each.name for each in folder.glob('*.pth'))
    if others or place != 'auto':
        raise ValueError(
            f'There is no checkpoint in {folder} that a training can go on from: no epoch_N.pth that can be read'
            f'{", only " + ", ".join(others[:3]) if others else ""}. Name another folder or checkpoint, or leave '
            '--resume out to start anew.'
        )
    if os.environ.get('RANK', '0') == '0':
        print(f'There is no checkpoint in {folder} yet: the training starts anew.', flush=True)
    return None


def check_resumable(path: str, runner: Runner | None = None) -> None:
    """Check that a checkpoint can be read and holds what a training goes on with; with a runner, that it fits.

    Raises:
        FileNotFoundError: If it is not there.
        ValueError: If it is cut short, of another model or optimiser, or one of weights alone; or the config has
            another learning rate or weight decay, which the checkpoint's would replace.
    """
    checkpoint = load_weights(runner.model, path) if runner else read_checkpoint(path)
    lacking = [name for name in NEEDED if name not in checkpoint]
    if lacking or not {'epoch', 'iter'} <= set(checkpoint.get('meta', {})):
        raise ValueError(
            f'A training cannot go on from {path}: it has weights, but no {lacking[0] if lacking else "epoch"}, like '
            'best_*.pth and converted checkpoints. Resume from an epoch_N.pth, or start a new training from these '
            f'weights: leave --resume out, and add --cfg-options load_from={path}'
        )
    if runner is None:
        return
    groups = checkpoint['optimizer']['param_groups'], runner.optim_wrapper.optimizer.param_groups
    saved, now = ([len(group['params']) for group in each] for each in groups)
    if saved != now:
        raise ValueError(
            f'{path} is of a training with {len(saved)} groups of {sum(saved)} parameters, this one has {len(now)} of '
            f'{sum(now)}: optim_wrapper is another. Use the config that is beside the checkpoint.'
        )
    scaled = (runner.cfg.get('auto_scale_lr') or {}).get('enable')  # MMEngine scales later
    for name in ('weight_decay',) if scaled else ('lr', 'weight_decay'):
        old, new = ([group.get(f'initial_{name}', group.get(name)) for group in each] for each in groups)
        if old != new:
            before, after = next(pair for pair in zip(old, new) if pair[0] != pair[1])
            raise ValueError(
                f'{path} is of a training with {name} {before:g}, the config says {after:g}, which would be without '
                f'effect: what is resumed keeps its own. For another, start anew: --cfg-options load_from={path}'
            )


class WholeFileBackend(LocalBackend):
    """MMEngine's local files, but one that is written is there as a whole, or is what it was before."""

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Write a file (see :func:`clamp.files.write_whole`)."""
        write_whole(filepath, obj)


register_backend('whole_file', WholeFileBackend)


@HOOKS.register_module(name='CheckpointHook')
class SafeCheckpointHook(CheckpointHook):
    """MMEngine's hook, for a training that may be killed at any moment and then goes on as if it had not been.

    In the scope of MMPose, that of all configs here, it is what ``type='CheckpointHook'`` means.

    - A checkpoint is written as a whole or not at all, and an old one is removed after the new one is there.
    - A resumed run validates first where the run before may have been killed in between.
    - It never removes the best checkpoint of another folder, such as that which its own was copied from.
    """

    def before_train(self, runner) -> None:
        """Find out about folders and validation, both of which MMEngine leaves as the checkpoint has them."""
        super().before_train(runner)
        if type(self.file_backend) is not LocalBackend:
            return
        self.backend_args = dict(backend='whole_file')
        if is_main_process():
            for part in Path(self.out_dir).glob('*.pth.part'):
                part.unlink()
        if getattr(self, 'best_ckpt_path', None):
            self.best_ckpt_path = str(Path(self.out_dir) / Path(self.best_ckpt_path).name)
        for name, path in getattr(self, 'best_ckpt_path_dict', {}).items():
            self.best_ckpt_path_dict[name] = path and str(Path(self.out_dir) / Path(path).name)
        loop, epoch = runner.train_loop, runner.epoch
        if not isinstance(loop, EpochBasedTrainLoop) or not runner.val_loop or epoch < max(loop.val_begin, 1):
            return
        if epoch % loop.val_interval == 0 or epoch == loop.max_epochs:
            runner.logger.info(f'Validating epoch {epoch}: the run before may have been cut off before it did.')
            runner.val_loop.run()

    def _save_checkpoint_with_step(self, runner, step: int, meta: dict) -> None:
        if type(self.file_backend) is not LocalBackend:
            return super()._save_checkpoint_with_step(runner, step, meta)
        kept, outdated = getattr(self, 'keep_ckpt_ids', None), []  # None: all are kept
        if kept is not None and (not kept or kept[-1] != step):
            outdated = [kept.popleft()] if len(kept) == kept.maxlen else []
            kept.append(step)  # MMEngine would remove before it saves; now it finds nothing to remove
            runner.message_hub.update_info('keep_ckpt_ids', list(kept))
        super()._save_checkpoint_with_step(runner, step, meta)
        if is_main_process():
            for old in outdated:
                Path(self.out_dir, self.filename_tmpl.format(old)).unlink(missing_ok=True)
