"""The two main tools from the command line, on drawn animals and the demo's small CLAMP."""

import json
import math
import os
import pickle
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from clamp.checks import check_work_dir
from clamp.onnx import graph
from tests.exported_session import Session
from tests.repository import DEMO, ROOT, load_tool
from tests.tiny_data import mice

NOVEL = ROOT / 'configs/animalpose/openvocab_lite0-minilm_novel.py'


@pytest.mark.parametrize(
    ('name', 'args', 'message'),
    [
        ('train', [DEMO, '--cfg-options', 'train_dataloader.dataset.data_root=nowhere/'], 'nowhere/annotations/'),
        ('train', [DEMO, '--cfg-options', 'model.head.out_channels=16'], 'model.head.out_channels is 16'),
        ('train', [DEMO, '--cfg-options', 'data_root=nowhere/'], 'train_dataloader.dataset.data_root'),
        ('train', [DEMO, '--launcher', 'pytorch'], 'tools/dist_train.sh'),
        ('test', [DEMO, DEMO, '--cfg-options', 'test_dataloader.dataset.data_root=nowhere/'], 'nowhere/anno'),
        ('test', [DEMO, DEMO, '--cfg-options', 'codec.sigma=4'], 'model.head.decoder.sigma'),
        ('test', [DEMO, DEMO, '--launcher', 'slurm'], 'tools/slurm_train.sh'),
    ],
)
def test_errors_are_one_line(name, args, message, monkeypatch, tmp_path):
    monkeypatch.setenv('LOCAL_RANK', '0')
    for variable in ('RANK', 'SLURM_PROCID'):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as error:
        load_tool(name).main(args)
    assert str(error.value).startswith('error: ')
    assert message in str(error.value)
    assert '\n' not in str(error.value)
    assert list(tmp_path.iterdir()) == []  # no work dir is left of it


def test_a_resumed_training_needs_no_clip_file(monkeypatch):
    monkeypatch.setenv('LOCAL_RANK', '0')
    train = load_tool('train')
    config = str(ROOT / 'configs/ap10k/clamp_vitb.py')
    for args, pretrained in ((['--resume', 'epoch_1.pth'], None), ([], 'openai')):
        parsed = train.parse_args([config, *args])
        model = train.to_resume(train.load_config(parsed), parsed.resume).model
        assert model.backbone.clip.pretrained == pretrained
        assert model.head.prompt_learner.text_encoder.pretrained == pretrained


@pytest.fixture
def config_of(monkeypatch, tmp_path) -> Callable[..., Config]:
    """The config that ``tools/train.py`` trains with by a command line, in a work dir of its own."""
    monkeypatch.setenv('LOCAL_RANK', '0')
    train = load_tool('train')

    def config(*args):
        parsed = train.parse_args([DEMO, '--work-dir', str(tmp_path), *args])
        return train.to_resume(train.load_config(parsed), parsed.resume)

    return config


def test_resume_takes_the_newest_of_the_work_dir_or_the_one_named(config_of, tmp_path):
    assert not config_of().resume
    resumed = config_of('--resume', 'epoch_3.pth')
    assert (resumed.resume, resumed.load_from) == (True, 'epoch_3.pth')
    (tmp_path / 'last_checkpoint').write_text(f'{tmp_path}/elsewhere.pth')  # of a folder that was copied
    anew = config_of('--resume')
    assert (anew.resume, anew.load_from) == (False, None)  # nothing there yet; MMEngine must not look either
    newest = str(tmp_path / 'epoch_4.pth')
    torch.save(dict(state_dict={}), newest)
    assert config_of('--resume').load_from == config_of('--resume', str(tmp_path)).load_from == newest
    assert config_of('--cfg-options', 'resume=True').load_from == newest


def test_a_test_does_not_resume(monkeypatch, tmp_path):
    """Nor does it take what MMEngine would find in the work dir."""
    monkeypatch.setenv('LOCAL_RANK', '0')
    test, path = load_tool('test'), str(tmp_path / 'a.pth')
    torch.save(dict(state_dict={}), path)
    tested = test.load_config(test.parse_args([DEMO, path, '--cfg-options', 'resume=True', 'sync_bn=torch']))
    assert (tested.resume, tested.load_from, tested.sync_bn) == (False, path, None)


def test_the_work_dir_is_named_by_the_option_or_the_config(config_of, tmp_path):
    assert config_of().work_dir == str(tmp_path)
    train = load_tool('train')
    assert train.load_config(train.parse_args([DEMO])).work_dir == 'work_dirs/demo/clamp_tiny'


def test_a_config_does_not_train_over_its_bases_work_dir(monkeypatch, tmp_path):
    """MMEngine fills in the name of the base's file."""
    monkeypatch.setenv('LOCAL_RANK', '0')
    train, config = load_tool('train'), tmp_path / 'mine.py'
    config.write_text(f"_base_ = '{ROOT}/configs/animalpose/clamp_tiny_20shot.py'\n")
    with pytest.raises(ValueError, match=r'mine.py has the work_dir of its base, work_dirs/animalpose/clamp_tiny_20s'):
        train.load_config(train.parse_args([str(config)]))
    for options in (['--work-dir', 'own'], ['--cfg-options', 'work_dir=own']):
        assert train.load_config(train.parse_args([str(config), *options])).work_dir == 'own'
    config.write_text(config.read_text() + "work_dir = 'own'\n")
    assert train.load_config(train.parse_args([str(config)])).work_dir == 'own'


def test_switches_reach_the_config(config_of):
    assert config_of('--auto-scale-lr').auto_scale_lr.enable
    assert config_of('--no-validate').val_dataloader is None
    assert [config_of(*args).default_hooks.compile.enable for args in ([], ['--compile'])] == [False, True]
    assert config_of('--cfg-options', 'train_cfg.max_epochs=2').train_cfg.max_epochs == 2
    shown = config_of('--show-dir', 'shown').default_hooks.visualization
    assert (shown.enable, shown.out_dir) == (True, 'shown')
    own_hooks = config_of('--cfg-options', 'custom_hooks.0.type=EMAHook').custom_hooks
    assert [hook.type for hook in own_hooks] == ['SyncBuffersHook', 'EMAHook', 'EpochSeedHook']


@pytest.mark.parametrize(
    ('is_there', 'has_bfloat16', 'wrapper'),
    [(False, False, 'BFloat16OptimWrapper'), (True, True, 'BFloat16OptimWrapper'), (True, False, 'AmpOptimWrapper')],
)
def test_amp_is_float16_on_a_gpu_without_bfloat16(is_there, has_bfloat16, wrapper, config_of, monkeypatch):
    monkeypatch.setattr('torch.cuda.is_available', lambda: is_there)
    monkeypatch.setattr('torch.cuda.is_bf16_supported', lambda including_emulation: has_bfloat16)
    assert config_of('--amp').optim_wrapper.type == wrapper


@pytest.mark.parametrize(
    ('config', 'options', 'message'),
    [
        (NOVEL, ['--compile', '--cfg-options', 'model.data_preprocessor.auxiliary.number=1'], 'for the K names alone'),
        (DEMO, ['--auto-scale-lr', '--cfg-options', 'auto_scale_lr=None'], r'needs auto_scale_lr\.base_batch_size'),
    ],
)
def test_switches_without_effect_are_refused(config, options, message):
    train = load_tool('train')
    with pytest.raises(ValueError, match=message):
        train.load_config(train.parse_args([str(config), *options]))


@pytest.mark.parametrize(
    ('name', 'args', 'message'),
    [
        ('train', [DEMO, '--no-validate', '--show-dir', 'shown'], 'which --no-validate leaves out'),
        ('test', [DEMO, DEMO, '--show-dir', 'a', '--launcher', 'slurm'], 'would draw its own share alone'),
        ('test', [DEMO, DEMO, '--dump', 'predictions.json'], 'should end in .pkl or .pickle'),
        ('test', [DEMO, DEMO, '--dump', 'no/folder/a.pkl'], 'give a folder that exists'),
    ],
)
def test_options_that_cannot_be_are_refused_by_the_parser(name, args, message, capsys, monkeypatch):
    monkeypatch.setenv('LOCAL_RANK', '0')
    with pytest.raises(SystemExit):
        load_tool(name).parse_args(args)
    assert message in capsys.readouterr().err


def test_a_work_dir_that_cannot_be_is_one_error(tmp_path):
    (tmp_path / 'file').touch()
    for path in ('file', 'file/below'):
        with pytest.raises(ValueError, match=rf'work dir .*{path} cannot be written: .*Name another by --work-dir'):
            check_work_dir(str(tmp_path / path))
    check_work_dir(str(tmp_path / 'new/folder'))
    assert list((tmp_path / 'new/folder').iterdir()) == []


@pytest.mark.parametrize(
    ('gpus', 'port', 'message'),
    [
        ('0', '', "GPUS is '0'"),
        ('-1', '', "GPUS is '-1'"),
        ('two', '', "GPUS is 'two'"),
        ('2', '70000', "PORT is '70000'"),
        ('2', 'x', "PORT is 'x'"),
        ('2', '', 'torchrun --standalone --nproc_per_node=2'),
        (
            '2',
            '1234',
            'torchrun --nnodes=1 --node_rank=0 --master_addr=127.0.0.1 --master_port=1234 --nproc_per_node=2',
        ),
    ],
)
def test_scripts_for_many_gpus(gpus, port, message, tmp_path):
    torchrun = tmp_path / 'torchrun'
    torchrun.write_text('#!/bin/sh\necho torchrun "$@"\n')
    torchrun.chmod(0o755)
    environment = dict(PATH=f'{tmp_path}:{os.environ["PATH"]}', PORT=port)
    for name, checkpoint in (('train', []), ('test', ['a.pth'])):
        script = str(ROOT / f'tools/dist_{name}.sh')
        args = ['bash', script, DEMO, *checkpoint, gpus, '--work-dir', 'a b']
        result = subprocess.run(args, capture_output=True, text=True, env=environment)
        assert message in result.stdout + result.stderr
        if message.startswith('torchrun'):
            rest = [str(ROOT / f'tools/{name}.py'), DEMO, *checkpoint, '--launcher pytorch --work-dir a b']
            assert result.stdout.endswith(f'{" ".join(rest)}\n')
        else:
            assert result.returncode == 2
            assert len(result.stderr.splitlines()) == 1


def command(name: str, *args: str) -> list[str]:
    return [sys.executable, str(ROOT / f'tools/{name}.py'), *args]


def run(name: str, *args: str) -> subprocess.CompletedProcess:
    environment = os.environ | dict(OMP_NUM_THREADS='1')
    return subprocess.run(command(name, *args), capture_output=True, text=True, env=environment, timeout=120)


def train(data_options: list[str], work_dir: Path, epochs: int, *args: str) -> list[str]:
    schedule = [f'train_cfg.max_epochs={epochs}', 'default_hooks.logger.interval=1', 'train_cfg.val_interval=2']
    schedule += ['default_hooks.checkpoint.interval=1', 'default_hooks.checkpoint.max_keep_ckpts=2']
    return [DEMO, '--work-dir', str(work_dir), *args, '--cfg-options', *data_options, *schedule]


@pytest.fixture(scope='module')
def data_options(tmp_path_factory) -> list[str]:
    """Options that put 24 drawn images for training and 8 for validation in place of the demo's data."""
    from clamp.datasets.synthetic import generate_dataset

    root = tmp_path_factory.mktemp('data')
    generate_dataset(root, 24, 8)
    options = ['train_dataloader.batch_size=8', 'val_dataloader.batch_size=8', 'test_dataloader.batch_size=8']
    for split in ('train', 'val', 'test'):
        options.append(f'{split}_dataloader.dataset.data_root={root}/')
        options.append(f'{split}_dataloader.num_workers=0')  # beside persistent_workers=True of the config
    return options + [
        f'{split}_evaluator.ann_file={root}/annotations/ap10k-val-split1.json' for split in ('val', 'test')
    ]


@pytest.fixture(scope='module')
def trained(data_options, tmp_path_factory) -> tuple[Path, str]:
    """The work dir and the output of a training of two epochs."""
    work_dir = tmp_path_factory.mktemp('trained')
    workers = ['train_dataloader.num_workers=2', 'train_dataloader.persistent_workers=True']
    result = run('train', *train(data_options + workers, work_dir, 2))
    assert result.returncode == 0, result.stderr
    return work_dir, result.stdout + result.stderr


def steps_per_epoch(data_options: list[str]) -> int:
    """Batches of 8 of what is annotated for training: some of the drawn images show two animals."""
    val_file = data_options[-1].split('=')[1]
    train_file = Path(val_file.replace('-val-', '-train-'))
    return math.ceil(len(json.loads(train_file.read_text())['annotations']) / 8)


def scalars(work_dir: Path) -> list[dict]:
    """The lines of all runs' logs in a work dir, in order of time."""
    files = sorted(work_dir.glob('*/vis_data/scalars.json'))
    return [json.loads(line) for path in files for line in path.read_text().splitlines()]


@pytest.mark.slow
def test_training_logs_the_losses_and_validates(trained, data_options):
    work_dir, output = trained
    steps = [line for line in scalars(work_dir) if 'loss' in line]
    assert [line['iter'] for line in steps] == list(range(1, 2 * steps_per_epoch(data_options) + 1))
    for line in steps:
        assert 0 < line['loss_kpt'] < 1
        assert line['loss'] == pytest.approx(line['loss_kpt'] + line['loss_spatial'] + line['loss_feature'], rel=1e-4)
    assert re.search(r'Epoch\(val\).*coco/AP: ', output)
    assert (work_dir / 'epoch_2.pth').is_file()


@pytest.mark.slow
def test_killed_training_resumes(data_options, tmp_path):
    with open(tmp_path / 'log', 'w') as log:
        process = subprocess.Popen(command('train', *train(data_options, tmp_path, 99)), stdout=log, stderr=log)
        end = time.monotonic() + 90
        while not (tmp_path / 'epoch_2.pth').is_file() and process.poll() is None and time.monotonic() < end:
            time.sleep(0.05)
        process.kill()
        assert process.wait() == -9, (tmp_path / 'log').read_text()
    # not by last_checkpoint: the kill may have come between the file and its mention there
    last = max(int(path.stem.removeprefix('epoch_')) for path in tmp_path.glob('epoch_*.pth'))
    before = torch.load(tmp_path / f'epoch_{last}.pth', weights_only=True)

    result = run('train', *train(data_options, tmp_path, last + 2, '--resume'))
    assert result.returncode == 0, result.stderr
    steps = steps_per_epoch(data_options)
    assert f'resumed epoch: {last}, iter: {last * steps}' in result.stdout + result.stderr
    after = torch.load(tmp_path / f'epoch_{last + 2}.pth', weights_only=True)
    assert [c['meta']['epoch'] for c in (before, after)] == [last, last + 2]
    counts = [c['optimizer']['state'][0]['step'].item() for c in (before, after)]
    assert counts == [last * steps, (last + 2) * steps]  # AdamW's moments went on, too
    new = sorted(tmp_path.glob('*/vis_data/scalars.json'))[-1].read_text().splitlines()
    logged = [json.loads(line)['iter'] for line in new if '"loss"' in line]
    assert logged == list(range(last * steps + 1, (last + 2) * steps + 1))


@pytest.mark.slow
@pytest.mark.parametrize('workers', [0, 1])
def test_a_resumed_training_equals_one_that_was_not_cut_off(workers, trained, data_options, tmp_path):
    options = [f'train_dataloader.num_workers={workers}', f'train_dataloader.persistent_workers={workers > 0}']
    resume = ['--resume', str(trained[0] / 'epoch_1.pth')]
    result = run('train', *train(data_options + options, tmp_path, 2, *resume))
    assert result.returncode == 0, result.stderr
    whole, resumed = (torch.load(d / 'epoch_2.pth', weights_only=True)['state_dict'] for d in (trained[0], tmp_path))
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    assert not Config.fromfile(tmp_path / 'clamp_tiny.py').resume  # the recipe is kept, not where this run went on from


@pytest.mark.slow
def test_evaluation_prints_and_saves(trained, data_options, tmp_path):
    checkpoint = str(trained[0] / 'epoch_2.pth')
    metrics, predictions = tmp_path / 'metrics.json', tmp_path / 'predictions.pkl'
    files = ['--work-dir', str(tmp_path / 'work'), '--out', str(metrics), '--dump', str(predictions)]
    shown = ['--show-dir', str(tmp_path / 'shown')]
    result = run('test', DEMO, checkpoint, *files, *shown, '--cfg-options', *data_options)
    assert result.returncode == 0, result.stderr
    ap = float(re.search(r'coco/AP: ([-\d.]+)', result.stdout + result.stderr)[1])
    saved = json.loads(metrics.read_text())
    assert saved['coco/AP'] == pytest.approx(ap, abs=1e-5)
    assert {'coco/AP', 'coco/AP .5', 'coco/AP .75', 'coco/AR'} <= set(saved)
    in_training = [line for line in scalars(trained[0]) if 'coco/AP' in line]
    assert in_training[-1]['coco/AP'] == pytest.approx(saved['coco/AP'], abs=1e-5)
    samples = pickle.loads(predictions.read_bytes())
    ann_file = data_options[-1].split('=')[1]
    assert len(samples) == len(json.loads(Path(ann_file).read_text())['annotations'])
    assert samples[0]['pred_instances']['keypoints'].shape == (1, 17, 2)
    assert len(list((tmp_path / 'shown').rglob('*.*'))) > 0


@pytest.mark.slow
def test_a_model_on_another_data_set(trained, tmp_path):
    work_dir, _ = trained
    mice(tmp_path).dump(tmp_path / 'mice.py')
    out = tmp_path / 'metrics.json'
    options = ['--on', str(tmp_path / 'mice.py'), '--out', str(out), '--work-dir', str(tmp_path)]
    workers = ['test_dataloader.num_workers=0', 'test_dataloader.persistent_workers=False']
    result = run('test', DEMO, str(work_dir / 'epoch_2.pth'), *options, '--cfg-options', *workers)
    assert result.returncode == 0, result.stderr
    assert '3 keypoints that both have: nose, right eye, left eye' in result.stdout
    assert {'mice/common/AP', 'mice/common/AR', 'mice/common/PCK@0.1'} <= json.loads(out.read_text()).keys()


@pytest.mark.slow
def test_an_exported_model_is_tested_by_one_process(data_options, monkeypatch, tmp_path):
    monkeypatch.setenv('LOCAL_RANK', '0')
    session = Session.of(Config.fromfile(DEMO))
    monkeypatch.setattr(graph, 'load_session', lambda path, threads: session)
    (tmp_path / 'model.onnx').touch()
    out = tmp_path / 'metrics.json'
    arguments = [DEMO, str(tmp_path / 'model.onnx'), '--work-dir', str(tmp_path / 'work'), '--out', str(out)]
    options = ['--cfg-options', *data_options, 'test_dataloader.persistent_workers=False']
    with pytest.raises(SystemExit, match='An exported model is tested by one process: leave --launcher out'):
        load_tool('test').main([*arguments, '--launcher', 'pytorch', *options])
    load_tool('test').main([*arguments, *options])
    assert sum(len(images) for images in session.inputs) >= 8  # the graph has the flip test in it
    assert 0 <= json.loads(out.read_text())['coco/AP'] < 1


@pytest.mark.slow
def test_a_checkpoint_cut_short_ends_in_one_line(trained, data_options, tmp_path):
    path = tmp_path / 'cut.pth'
    content = (trained[0] / 'epoch_2.pth').read_bytes()
    path.write_bytes(content[: len(content) // 2])
    work_dir = tmp_path / 'work'
    result = run('test', DEMO, str(path), '--work-dir', str(work_dir), '--cfg-options', *data_options)
    assert result.returncode == 1
    assert re.fullmatch(r'error: The checkpoint .*cut\.pth cannot be read: .*may be cut short.*\n', result.stderr)
    assert result.stdout == ''
    assert not work_dir.exists()
    result = run('train', *train(data_options, work_dir, 3, '--resume', str(path)))
    assert result.returncode == 1
    assert re.fullmatch(r'error: .*cut\.pth cannot be read: .*\n', result.stderr)


@pytest.mark.slow
def test_a_checkpoint_of_another_model_ends_in_one_error(trained, data_options, tmp_path):
    options = [*data_options, 'model.head.prompt_learner.num_context_tokens=4']
    args = [DEMO, str(trained[0] / 'epoch_2.pth'), '--work-dir', str(tmp_path), '--cfg-options', *options]
    result = run('test', *args)
    assert result.returncode == 1
    last = result.stderr.splitlines()[-1]
    assert last.startswith('error: ')
    assert 'is of another model than the config: size mismatch for head.prompt_learner.context' in last


@pytest.mark.slow
def test_mmposes_inference_works_on_our_checkpoint(trained, data_options):
    from mmpose.apis import inference_topdown, init_model

    model = init_model(DEMO, str(trained[0] / 'epoch_2.pth'), device='cpu')
    assert not model.training
    image = str(next((Path(data_options[-1].split('=')[1]).parents[1] / 'data').iterdir()))
    (sample,) = inference_topdown(model, image, [[20, 20, 200, 200]])
    assert sample.pred_instances.keypoints.shape == (1, 17, 2)
    assert sample.pred_instances.keypoint_scores.shape == (1, 17)
    assert model.dataset_meta['num_keypoints'] == 17


@pytest.mark.slow
def test_two_processes_on_cpus(trained, data_options, tmp_path):
    """The scripts for many GPUs run without any: two processes train, and find the metrics that one process finds."""
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    path = f'{Path(sys.executable).parent}:{os.environ["PATH"]}'
    environment = os.environ | dict(OMP_NUM_THREADS='1', PATH=path, PORT=str(port))

    def dist(name: str, *args: str) -> None:
        command = ['bash', str(ROOT / f'tools/dist_{name}.sh'), *args]
        result = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=240)
        assert result.returncode == 0, result.stderr

    dist('train', DEMO, '2', *train(data_options, tmp_path / 'two', 1, '--no-validate')[1:])
    logged = scalars(tmp_path / 'two')
    assert len(logged) == math.ceil(steps_per_epoch(data_options) / 2)
    assert all(math.isfinite(line['loss_feature']) for line in logged)

    checkpoint, metrics = str(trained[0] / 'epoch_2.pth'), []
    for number in (1, 2):
        out = tmp_path / f'{number}.json'
        options = ['--work-dir', str(tmp_path / str(number)), '--out', str(out), '--cfg-options', *data_options]
        if number == 1:
            result = run('test', DEMO, checkpoint, *options)
            assert result.returncode == 0, result.stderr
        else:
            dist('test', DEMO, checkpoint, '2', *options)
        metrics.append(json.loads(out.read_text()))
    assert metrics[0] == metrics[1]
