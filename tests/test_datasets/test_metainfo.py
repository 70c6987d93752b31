import pytest
from mmengine.config import Config

from clamp.checks import read_file
from clamp.datasets.keypoint_choice import describe_names
from clamp.datasets.metainfo import annotation_path, dataset_metainfo, raw_metainfo
from tests.repository import ROOT

SIX_PAIRS = [f'{side} {part}' for part in ('eye', 'ear', 'paw', 'knee', 'hip', 'horn') for side in ('left', 'right')]


def test_keypoints_of_a_config_that_mmengine_wrote_are_in_their_order(tmp_path):
    path = tmp_path / 'config.py'
    dataset = dict(type='BaseCocoStyleDataset', metainfo=describe_names(SIX_PAIRS))
    Config(dict(train_dataloader=dict(dataset=dict(datasets=[dataset])))).dump(path)
    written = Config.fromfile(path).train_dataloader.dataset.datasets[0].metainfo.keypoint_info
    assert list(written)[:4] == [0, 1, 10, 11]  # why: MMEngine sorts them as text
    [read] = read_file(path).train_dataloader.dataset.datasets
    assert dataset_metainfo(read)['flip_indices'] == [1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10]


@pytest.mark.slow
@pytest.mark.parametrize('leaf', ['animalpose/openvocab_lite0-minilm_novel', 'union/clamp_lite0-minilm_pets-farm'])
def test_a_training_by_its_written_config_mirrors_the_same_keypoints(leaf, tmp_path):
    cfg = read_file(ROOT / f'configs/{leaf}.py')
    Config({split: cfg[split] for split in ('train_dataloader', 'test_dataloader')}).dump(tmp_path / 'config.py')
    again = read_file(tmp_path / 'config.py')
    for split in ('train', 'test'):
        expected, found = (dataset_metainfo(each[f'{split}_dataloader'].dataset) for each in (cfg, again))
        assert len(found['flip_indices']) > 10
        assert found['flip_indices'] == expected['flip_indices']
        assert found['keypoint_id2name'] == expected['keypoint_id2name']


def test_keypoints_in_another_order_than_their_numbers_are_refused():
    info = describe_names(SIX_PAIRS)
    info['keypoint_info'] = {place: info['keypoint_info'][place] for place in [1, 0, *range(2, 12)]}
    with pytest.raises(ValueError, match=r'has its keypoints as 1, 0, 2, .*: number them from 0, in that order'):
        dataset_metainfo(dict(type='mice', metainfo=info))


def test_a_file_of_metainfo_that_is_not_there_is_no_other_one():
    """MMPose's is meant by its own path or by its name alone."""
    for path in ('configs/_base_/datasets/ap10k.py', 'mmpose/configs/_base_/datasets/ap10k.py', 'ap10k.py'):
        assert raw_metainfo(dict(metainfo=dict(from_file=path)))['dataset_name'] == 'ap10k'
    with pytest.raises(ValueError, match=r'my_lab/ap10k\.py: no file here or in MMPose'):
        raw_metainfo(dict(metainfo=dict(from_file='my_lab/ap10k.py')))


def test_combined_data_sets_have_no_annotation_file():
    with pytest.raises(ValueError, match='combines several data sets: name a config of one'):
        annotation_path(dict(datasets=[dict(ann_file='a.json')]))
