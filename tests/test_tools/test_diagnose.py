"""What the parts of a CLAMP do, on drawn animals and the demo's small model with random weights."""

import copy
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmengine.structures import InstanceData
from mmpose.registry import MODELS
from mmpose.structures import PoseDataSample

from clamp.checks import read_config
from clamp.datasets.synthetic import generate_dataset
from tests.repository import DEMO, load_tool


@pytest.fixture
def diagnose(tmp_path, monkeypatch):
    generate_dataset(tmp_path / 'data/demo', 4, 4, num_workers=1)
    monkeypatch.chdir(tmp_path)
    return load_tool('diagnose')


def test_peaks_by_hand():
    """On 2x2 cells of a 32x32 input, a cell's centre is 8 or 24 pixels from the edge: the pixels 7.5 and 23.5."""
    maps = torch.zeros(1, 2, 2, 2)
    maps[0, 0, 0, 1] = maps[0, 1, 1, 0] = 1.0
    peaks = load_tool('diagnose').peaks
    (right, low) = peaks(maps, (32, 32), False)[0]
    assert right[0] > 20 > 12 > right[1]
    assert low.tolist() == right.flip(0).tolist()
    heatmap = torch.zeros(1, 1, 8, 8)  # a cell of a heatmap is drawn around a pixel
    heatmap[0, 0, 2, 5] = 1.0
    assert peaks(heatmap, (32, 32), True).tolist() == [[[20, 8]]]
    assert peaks(heatmap, (28, 28), True).tolist() == [[[17.5, 7]]]  # as ViT-L's 224 / 64: 3.5 pixels a cell


def test_gradients_by_hand():
    trunk = torch.nn.ParameterDict(dict(weight=torch.nn.Parameter(torch.ones(2))))

    def loss(**_) -> dict:
        first, second = trunk.weight
        return dict(loss_kpt=3 * first, loss_spatial=-2 * first, loss_feature=4 * second)

    model = SimpleNamespace(backbone=trunk, loss=loss, data_preprocessor=lambda batch, training: {})
    found = load_tool('diagnose').gradient_shares(model, [{}, {}])
    assert {name: tuple(row.values()) for name, row in found.items()} == dict(
        loss_kpt=(3, 3, 1), loss_spatial=(-2, 2, -1), loss_feature=(4, 4, 0)
    )


def test_hits_by_hand():
    """Within a tenth of the longer side of the box, 100 pixels: 9 of them are a hit, 11 are not."""
    peak = torch.zeros(1, 3, 8, 8)
    peak[..., 2, 5] = 1.0  # of 4 pixels a cell: x = 20, y = 8

    class Head:
        def compute_score_map(self, feats):
            return peak, None

        def forward(self, feats):
            return peak if self.compute_score_map(feats)[0].any() else peak.flip(-1)  # then x = 8

    sample = PoseDataSample(
        metainfo=dict(input_size=(32, 32), input_center=np.array([16, 16]), input_scale=np.array([32, 32])),
        gt_instances=InstanceData(
            keypoints=np.array([[[29.0, 8.0], [31.0, 8.0], [20.0, 8.0]]]),
            keypoints_visible=np.array([[1.0, 1.0, 0.0]]),
            bboxes=np.array([[0.0, 0.0, 50.0, 100.0]]),
        ),
    )
    model = SimpleNamespace(head=Head(), data_preprocessor=lambda batch: batch, extract_feat=lambda inputs: None)
    hits = load_tool('diagnose').keypoint_hits(model, dict(inputs=None, data_samples=[sample]))
    assert {name: each[0].tolist() for name, each in hits.items()} == {
        'labelled': [True, True, False],
        'score map': [True, True, False],  # the middle of a cell: x = 21.5, y = 9.5, and so 9.6 from the second
        'heatmap': [True, False, False],
        'heatmap, score map zeroed': [False, False, False],
    }


@pytest.mark.slow
def test_shares_and_hits_of_an_untrained_model(diagnose, tmp_path, capsys):
    options = ['train_dataloader.batch_size=4', 'test_dataloader.batch_size=4']
    diagnose.main([DEMO, '--batches', '4', '--json', 'found.json', '--cfg-options', *options])  # there is one of four
    found = json.loads(Path('found.json').read_text())
    assert set(found['losses']) == {'loss_kpt', 'loss_spatial', 'loss_feature'}
    assert found['losses']['loss_kpt']['cosine'] == pytest.approx(1, abs=1e-3)
    assert all(row['norm'] > 0 for row in found['losses'].values())
    assert found['scalars'] == {'gamma, mean size': pytest.approx(1e-3), '1 / temperature': pytest.approx(1 / 0.07)}
    for pck in found['pck'].values():
        assert list(pck) == ['mean', *found['keypoints']]
        assert all(0 <= value <= 100 for value in pck.values())
    assert 'loss_spatial' in capsys.readouterr().out


@pytest.mark.slow
def test_what_is_found_is_found_by_the_checkpoint_and_in_as_many_animals(diagnose, monkeypatch):
    """The gradients' forward passes change the statistics of batch norms."""
    order, hits = [], diagnose.keypoint_hits
    monkeypatch.setattr(diagnose, 'keypoint_hits', lambda *args: order.append('hits') or hits(*args))
    monkeypatch.setattr(diagnose, 'gradient_shares', lambda *args: order.append('gradients') or {})
    options = ['train_dataloader.batch_size=2', 'test_dataloader.batch_size=3']
    found = diagnose.diagnose(diagnose.parse_args([DEMO, '--images', '1', '--cfg-options', *options]))
    assert order == ['hits', 'gradients']
    _, *shares = found['pck']['heatmap'].values()
    assert {share for share in shares if share == share} <= {0, 100}  # of one animal; NaN where it is not labelled


def test_a_checkpoint_of_another_model_is_refused(diagnose, tmp_path):
    torch.save(dict(state_dict={'head.bias': torch.zeros(1)}), tmp_path / 'other.pth')
    with pytest.raises(SystemExit, match=r'other\.pth is of another model than the config: 1 entries are not in the'):
        diagnose.main([DEMO, 'other.pth'])


def test_visibility_of_a_keypoint_converter(diagnose):
    """MMPose's converter leaves a pair of numbers for each keypoint, of which the first is its visibility."""
    cfg = read_config(DEMO)
    init_default_scope('mmpose')
    cfg.test_dataloader.update(batch_size=2, num_workers=0, persistent_workers=False)
    batch = next(iter(Runner.build_dataloader(cfg.test_dataloader)))
    model = MODELS.build(cfg.model).eval()
    hits = diagnose.keypoint_hits(model, copy.deepcopy(batch))
    for sample in batch['data_samples']:
        visible = sample.gt_instances.keypoints_visible
        sample.gt_instances.keypoints_visible = np.stack([visible, np.ones_like(visible)], axis=-1)
    converted = diagnose.keypoint_hits(model, batch)
    np.testing.assert_array_equal(converted['labelled'], hits['labelled'])
    np.testing.assert_array_equal(converted['heatmap'], hits['heatmap'])


def test_a_baseline_has_no_such_parts(diagnose, capsys):
    with pytest.raises(SystemExit, match='has a HeatmapHead: what is measured are the parts of a CLAMPHead'):
        diagnose.main([DEMO.replace('clamp_', 'simplebaseline_')])
