import json
from pathlib import Path

import pytest
from mmpose.registry import MODELS

from tests.tiny_models import tiny_clip, tiny_head
from tools.complexity import as_table, count_macs, count_parameters, full_macs, main, measure, paper_macs


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip('|').split('|')]


def test_macs_of_a_small_vit_by_hand():
    head = dict(type='HeatmapHead', in_channels=32, out_channels=3, deconv_out_channels=(8,), deconv_kernel_sizes=(4,))
    backbone = dict(type='CLIPBackbone', clip=tiny_clip('vit'), input_size=(32, 32), with_embeds=False)
    model = MODELS.build(dict(type='TopdownPoseEstimator', backbone=backbone, head=head))
    macs = count_macs(model, (32, 32))
    patches = 16 * (3 * 8 * 8) * 32
    tokens = 17
    projections, attention, mlp = tokens * 32 * 4 * 32, 2 * tokens * tokens * 32, 2 * tokens * 32 * 128
    deconv, final = 16 * 32 * 8 * (4 * 4), 64 * 8 * 3
    assert full_macs(macs, 'backbone') == patches + 2 * (projections + attention + mlp)
    assert full_macs(macs) == full_macs(macs, 'backbone') + deconv + final == 620_160
    norm_and_relu = (2 + 1) * 8 * 64
    assert paper_macs(model, macs) == patches + 2 * mlp + deconv + final + norm_and_relu == 445_440


def test_parameters_at_inference():
    backbone = dict(type='CLIPBackbone', clip=tiny_clip('vit'), input_size=(32, 32))
    model = MODELS.build(dict(type='TopdownPoseEstimator', backbone=backbone, head=tiny_head()))
    everything = sum(parameter.numel() for parameter in model.parameters())
    upsample = 3 * 3 * 16 + 2 * 3 + 3 * 3 + 3  # deconvolution, norm, 1x1 convolution
    temperature = 1
    assert count_parameters(model) == everything - upsample - temperature
    assert count_parameters(model, ('backbone',)) == sum(
        parameter.numel()
        for name, parameter in model.head.named_parameters()
        if not name.startswith(('upsample', 'feature_loss'))
    )


def test_the_size_changes_images_and_not_prompts():
    small, large = (measure('configs/demo/clamp_tiny.py', size) for size in (None, (256, 128)))
    assert small['input_size'] == (128, 128)
    assert large['macs']['prompts'] == small['macs']['prompts'] > 0
    assert 1.9 < large['macs']['image'] / small['macs']['image'] < 2.1
    positions = (8 * 4 - 4 * 4) * 512  # 16 cells more of the tower's 512 channels
    for what in ('without_text_encoder', 'with_text_encoder', 'paper'):
        assert large['parameters'][what] - small['parameters'][what] == positions


def test_the_table_and_the_json(capsys, tmp_path):
    main(['configs/demo/simplebaseline_tiny.py', '--json', str(tmp_path / 'counts.json')])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert len({len(line) for line in lines}) == 1  # aligned
    (row,) = json.loads((tmp_path / 'counts.json').read_text())
    values = cells(lines[2])
    assert values[:2] == ['configs/demo/simplebaseline_tiny.py', '128x128']
    assert values[2] == f'{row["parameters"]["without_text_encoder"] / 1e6:.2f}'
    assert values[4:6] == [f'{row["macs"]["image"] / 1e9:.2f}', '0.00']


def test_mistakes_are_one_line(capsys):
    with pytest.raises(SystemExit):
        main(['configs/nowhere.py'])
    assert 'error: argument CONFIG: configs/nowhere.py is not there' in capsys.readouterr().err
    with pytest.raises(SystemExit, match=r'error: .*do not tile an input of 250x256'):
        main(['configs/ap10k/simplebaseline_vitb.py', '--size', '250', '256'])


@pytest.mark.slow
@pytest.mark.parametrize(
    ('config', 'parameters', 'macs'),
    [
        ('simplebaseline_r50', 49, 9.0),
        ('clamp_r50', 68, 9.2),
        ('simplebaseline_vitb', 91, 16.6),
        ('clamp_vitb', 98, 16.8),
    ],
)
def test_table_7(config, parameters, macs):
    counts = measure(f'configs/ap10k/{config}.py')
    assert round(counts['parameters']['paper'] / 1e6) == parameters
    assert round(counts['macs']['paper'] / 1e9, 1) == macs
    rows = [cells(line) for line in Path('docs/clip_models.md').read_text().splitlines()]
    assert cells(as_table([counts]).splitlines()[2]) in rows
