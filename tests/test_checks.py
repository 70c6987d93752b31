import copy
import json
from functools import cache
from pathlib import Path

import pytest
from mmengine.config import Config
from mmpose.datasets.datasets.utils import parse_pose_metainfo
from mmpose.registry import DATASETS, MODELS

from clamp.checks import check_config
from clamp.model_checks import check_sizes, check_targets
from clamp.models import OpenVocabularyHead
from tests.repository import DEMO, ROOT, assert_recipe, slow_except

LEAVES = sorted(path for path in (ROOT / 'configs').rglob('*.py') if '_base_' not in path.parts)
SPLITS = ('train', 'val', 'test')


ANIMAL = dict(category_id=1, bbox=[0, 0, 5, 5], keypoints=[1, 1, 2] * 17, area=25, iscrowd=0, num_keypoints=17)


def coco(names: list[str]) -> dict:
    return dict(
        images=[dict(id=i, file_name=name, width=8, height=8) for i, name in enumerate(names)],
        annotations=[dict(id=i, image_id=i, **ANIMAL) for i in range(len(names))],
        categories=[dict(id=1, name='dog')],
    )


@pytest.fixture
def cfg(tmp_path) -> Config:
    """The demo's config on two images for training and one for validation."""
    (tmp_path / 'annotations').mkdir()
    (tmp_path / 'data').mkdir()
    for split, names in (('train', ['1.jpg', '2.jpg']), ('val', ['3.jpg'])):
        (tmp_path / f'annotations/ap10k-{split}-split1.json').write_text(json.dumps(coco(names)))
        for name in names:
            (tmp_path / 'data' / name).touch()
    cfg = Config.fromfile(DEMO)
    for split in SPLITS:
        cfg[f'{split}_dataloader'].dataset.data_root = str(tmp_path)
    for split in SPLITS[1:]:
        cfg[f'{split}_evaluator'].ann_file = str(tmp_path / 'annotations/ap10k-val-split1.json')
    return cfg


def test_a_good_config_passes(cfg):
    check_config(cfg, SPLITS)


def test_missing_annotations_are_named_and_only_where_needed(cfg, tmp_path):
    (tmp_path / 'annotations/ap10k-train-split1.json').unlink()
    with pytest.raises(FileNotFoundError, match=r'annotations/ap10k-train-split1\.json is not there.*README'):
        check_config(cfg, ('train', 'val'))
    check_config(cfg, ('test',))


def test_a_missing_split_names_the_tool_that_makes_it(cfg):
    cfg.train_dataloader.dataset.ann_file = 'annotations/splits/ap10k-train-split1_20shot-seed0.json'
    with pytest.raises(FileNotFoundError, match=r'20shot-seed0\.json is not there.*tools/make_splits\.py') as error:
        check_config(cfg, ('train',))
    assert 'README' not in str(error.value)


@pytest.mark.parametrize(
    ('content', 'reason'),
    [
        ('', 'not a COCO annotation file: it is no JSON, or cut short'),
        ('{"images": [', 'not a COCO annotation file: it is no JSON, or cut short'),
        ('[1, 2]', 'not a COCO annotation file: it is a list'),
        ('{"images": []}', 'not a COCO annotation file: there is no list `annotations`, `categories`'),
        (json.dumps(coco([])), 'cannot be used: there are no images'),
        (json.dumps(coco(['1.jpg']) | dict(annotations=[dict(id=1, bbox=[0, 0, 1, 1])])), '.*there are no keypoints'),
        (json.dumps(coco(['1.jpg']) | dict(images=[dict(id=1)])), '.*image 1: file_name is missing'),
    ],
)
def test_malformed_annotations_are_named(cfg, tmp_path, content, reason):
    (tmp_path / 'annotations/ap10k-train-split1.json').write_text(content)
    with pytest.raises(ValueError, match=rf'ap10k-train-split1\.json.* {reason}'):
        check_config(cfg, ('train',))


def test_missing_images_are_counted_and_named(cfg, tmp_path):
    names = [f'{i}.jpg' for i in range(1, 7)]
    (tmp_path / 'annotations/ap10k-train-split1.json').write_text(json.dumps(coco(names)))
    match = r'4 of the 6 images of .*ap10k-train-split1\.json are not in .*data.*, such as 3\.jpg, 4\.jpg, 5\.jpg\.'
    (tmp_path / 'data/3.jpg').unlink()
    with pytest.raises(FileNotFoundError, match=match):
        check_config(cfg, ('train',))


def test_numbers_of_keypoints_must_agree(cfg):
    names = cfg.model.head.prompt_learner.keypoint_names
    for change in (
        dict(out_channels=16),
        dict(prompt_learner=dict(keypoint_names=names[:-1])),
        dict(out_channels=16, prompt_learner=dict(keypoint_names=names[:-1])),
    ):
        wrong = copy.deepcopy(cfg)
        wrong.merge_from_dict(dict(model=dict(head=change)))
        head = wrong.model.head
        with pytest.raises(ValueError, match=r'number of keypoints differs') as error:
            check_config(wrong, ('train',))
        for part in (
            'data set AP10KDataset has 17',
            f'out_channels is {head.out_channels}',
            f'there are {len(head.prompt_learner.keypoint_names)} keypoint_names (left eye, right eye, nose',
        ):
            assert part in str(error.value)


def test_loader_and_evaluator_must_name_the_same_file(cfg, tmp_path):
    cfg.val_evaluator = [dict(type='CocoMetric', ann_file=str(tmp_path / 'annotations/../annotations/other.json'))]
    with pytest.raises(ValueError, match=r'val_dataloader reads .*ap10k-val-split1\.json, but val_evaluator reads'):
        check_config(cfg, ('train', 'val'))
    cfg.val_evaluator[0].ann_file = str(tmp_path / 'annotations/../annotations/ap10k-val-split1.json')
    check_config(cfg, ('train', 'val'))


@pytest.mark.parametrize(
    'cut', [dict(drop_last=True), dict(num_batch_per_epoch=1), dict(indices=1), dict(sample_interval=2)]
)
def test_an_evaluation_of_a_part_is_refused(cfg, cut):
    """COCO's metric counts all images of its file: those left out would be missed."""
    loader = cfg.test_dataloader
    (loader.dataset if cut.keys() & {'indices', 'sample_interval'} else loader).update(cut)
    with pytest.raises(ValueError, match=rf'{next(iter(cut))} leaves animals out of the test that the metric counts'):
        check_config(cfg, ('test',))
    cfg.test_evaluator = dict(type='PCKAccuracy')  # measures what it is given
    check_config(cfg, ('test',))


def test_the_best_checkpoint_goes_by_what_is_measured(cfg):
    check_config(cfg, ('val',))
    for evaluator, prefixes in (
        (dict(cfg.val_evaluator, prefix='demo'), 'demo/...'),
        (dict(type='PCKAccuracy'), 'names without such a prefix'),
        ([dict(type='PCKAccuracy', prefix='pck'), dict(type='AUC')], 'pck/...'),
    ):
        changed = copy.deepcopy(cfg)
        changed.val_evaluator = evaluator
        with pytest.raises(ValueError, match=rf"save_best='coco/AP' is nothing that val_evaluator .*\({prefixes}\)"):
            check_config(changed, ('val',))
        for best in ('auto', None, 'PCK' if 'such' in prefixes else f'{prefixes[:-3]}PCK'):
            changed.default_hooks.checkpoint.save_best = best
            check_config(changed, ('val',))


def test_a_repeated_data_set_is_checked_as_one_that_is_not(cfg):
    inner = cfg.train_dataloader.dataset
    cfg.train_dataloader.dataset = dict(type='RepeatDataset', times=2, dataset=inner)
    check_config(cfg, ('train',))
    inner.ann_file = 'annotations/nothing.json'
    with pytest.raises(FileNotFoundError, match=r'nothing\.json is not there'):
        check_config(cfg, ('train',))


def test_a_name_twice_is_named(cfg):
    cfg.model.head.prompt_learner.keypoint_names[3] = cfg.model.head.prompt_learner.keypoint_names[2]
    with pytest.raises(ValueError, match="keypoint_names has 'nose' twice"):
        check_config(cfg, ('train',))


def test_targets_of_other_names_than_the_heads_are_refused(cfg, monkeypatch):
    names = list(cfg.model.head.prompt_learner.keypoint_names)
    cfg.model.data_preprocessor = dict(
        type='OpenVocabularyDataPreprocessor', codec=cfg.model.head.decoder, keypoint_names=names
    )
    with pytest.raises(ValueError, match=r'but model\.head is a CLAMPHead of'):
        check_targets(cfg)
    monkeypatch.setitem(MODELS.module_dict, 'HeadOfMine', type('HeadOfMine', (OpenVocabularyHead,), {}))
    for kind in ('HeadOfMine', 'OpenVocabularyHead'):
        cfg.model.head.type = kind
        check_targets(cfg)
    cfg.model.data_preprocessor.keypoint_names = ['left orb', *names[1:]]
    with pytest.raises(ValueError, match=r'of left orb, .* but model\.head is a OpenVocabularyHead of left eye'):
        check_targets(cfg)


def test_clip_weights_are_needed_for_training_alone(cfg):
    for backbone, text_encoder in ((True, False), (False, True)):
        changed = copy.deepcopy(cfg)
        sizes = cfg.model.backbone.clip
        clip = dict(**sizes, pretrained='weights/clip.pt')
        if backbone:
            changed.model.backbone.clip = clip
        if text_encoder:
            changed.model.head.prompt_learner.text_encoder = clip
        with pytest.raises(FileNotFoundError, match=r'weights/clip\.pt'):
            check_config(changed, ('train',))
        check_config(changed, ('test',))


def test_head_and_image_tower_must_fit():
    cfg = Config.fromfile(ROOT / 'configs/ap10k/clamp_vitb.py')
    check_sizes(cfg.model)
    cfg.model.backbone.clip.model_name = 'ViT-B-32-quickgelu'  # 8x8 features: two deconvolutions make 32x32
    with pytest.raises(ValueError, match=r'heatmap_size is \[64, 64\], but should be \[32, 32\].*stride of 32'):
        check_sizes(cfg.model)
    cfg.model.backbone.clip.model_name = 'ViT-L-14-quickgelu'
    with pytest.raises(ValueError, match=r'in_channels is 768, but should be 1024'):
        check_sizes(cfg.model)
    cfg.model.backbone.clip.update(model_name='MobileCLIP2-S4', pretrained=None)
    with pytest.raises(ValueError, match=r'in_channels is 768, but should be 4096: .* stride of 64'):
        check_sizes(cfg.model)
    cfg.model.backbone.clip.model_name = 'coca_ViT-B-32'
    with pytest.raises(ValueError, match='coca_ViT-B-32 is of no kind known here'):
        check_sizes(cfg.model)
    cfg.model.backbone.clip.model_name = 'ViT-B-16-quickgelu'
    cfg.model.backbone.input_size = (224, 224)
    with pytest.raises(ValueError, match=r'input_size is \[224, 224\], but should be \[256, 256\]'):
        check_sizes(cfg.model)
    cfg.model.backbone = dict(type='ResNet', depth=18)
    with pytest.raises(ValueError, match=r'CLAMPHead needs the embeddings of an image .* which ResNet has not'):
        check_sizes(cfg.model)


def test_a_name_too_long_for_the_text_encoder_is_named(cfg):
    cfg.model.head.prompt_learner.keypoint_names[2] = 'nose ' * 80
    with pytest.raises(ValueError, match=r"'nose nose.* makes a prompt of 90 tokens"):
        check_config(cfg, ('test',))


def test_targets_of_another_codec_are_named(cfg):
    check_targets(cfg)
    classic = copy.deepcopy(cfg)
    encoder = dict(cfg.model.head.decoder, sigma=3)
    classic.train_dataloader.dataset.pipeline[-1:] = [dict(type='GenerateTarget', encoder=encoder)]
    with pytest.raises(ValueError, match=r"encoder of GenerateTarget is .*'sigma': 3.*, model.head.decoder is"):
        check_targets(classic)
    cfg.model.data_preprocessor.codec.sigma = 3
    with pytest.raises(ValueError, match=r"model.data_preprocessor.codec is .*'sigma': 3"):
        check_config(cfg, ('train',))


def test_a_wrong_clip_is_named(cfg):
    cfg.model.backbone.clip = dict(model_name='ViT-B/16')
    with pytest.raises(ValueError, match='Close to it: ViT-B-16'):
        check_config(cfg, ('test',))


@cache
def num_keypoints(metainfo_file: str) -> int:
    return parse_pose_metainfo(dict(from_file=metainfo_file))['num_keypoints']


def test_the_readme_is_finished():
    assert '@@' not in (ROOT / 'README.md').read_text(encoding='utf-8')


def test_leaves_are_short():
    assert ROOT / 'configs/ap10k/clamp_vitb.py' in LEAVES
    lines = {path.name: len(path.read_text().splitlines()) for path in LEAVES}
    assert {name: count for name, count in lines.items() if count > 20} == {}


# the others: test_novel_protocol.py, test_union_configs.py
WHOLE = [path for path in LEAVES if '_novel' not in path.stem and path.parent.name != 'union']


@pytest.mark.parametrize('path', slow_except(WHOLE, *WHOLE[::6]), ids=lambda path: f'{path.parent.name}/{path.stem}')
def test_leaf_config(path, monkeypatch):
    """Everything in a leaf agrees, and the metainfo is MMPose's: MMPose looks for it from the working folder first."""
    monkeypatch.chdir(ROOT)
    cfg = Config.fromfile(path)
    check_sizes(cfg.model)
    check_targets(cfg)
    assert cfg.train_dataloader.dataset.pipeline[-1].type == 'PackKeypointInputs'
    assert cfg.test_dataloader == cfg.val_dataloader
    assert cfg.test_evaluator == cfg.val_evaluator
    assert_recipe(cfg, path.stem)
    k = 20 if path.parent.name == 'animalpose' else 17
    head = cfg.model.head
    assert head.out_channels == k
    if head.type == 'CLAMPHead':
        assert len(set(head.prompt_learner.keypoint_names)) == k
        text_encoder = head.prompt_learner.text_encoder  # a trainable matrix has none, the released ones are their own
        clip = cfg.model.backbone.clip
        if '_random-text' in path.stem:
            clip = clip | dict(pretrained=dict(clip.pretrained, text=None))
        assert text_encoder is None or path.stem.endswith('_released') or text_encoder == clip
    for split in SPLITS:
        dataset = cfg[f'{split}_dataloader'].dataset
        metainfo = DATASETS.get(dataset.type).METAINFO
        assert not Path(metainfo['from_file']).exists()
        assert num_keypoints(metainfo['from_file']) == k
        affine = next(step for step in dataset.pipeline if step.type.endswith('TopdownAffine'))
        size = cfg.model.backbone.get('input_size', affine.input_size)  # MMPose's ResNet takes any
        assert tuple(affine.input_size) == tuple(size) == tuple(head.decoder.input_size)
    for split in SPLITS[1:]:
        dataset = cfg[f'{split}_dataloader'].dataset
        assert cfg[f'{split}_evaluator'].ann_file == dataset.data_root + dataset.ann_file
