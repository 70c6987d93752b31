"""The configs of docs/protocols.md: the command in their header makes their files, and AP is that of these files."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from mmpose.registry import DATASETS, METRICS

from tests.repository import ROOT, header_command, load_tool, slow_except

MADE = sorted(path for path in (ROOT / 'configs').rglob('*_*_*.py') if 'make_splits.py' in path.read_text())
LEAVES = [path for path in MADE if '_novel' not in path.stem]  # these: test_novel_protocol.py
FAMILIES = {
    'cow': 'Bovidae', 'sheep': 'Bovidae', 'dog': 'Canidae', 'fox': 'Canidae', 'cat': 'Felidae', 'horse': 'Equidae',
    'mouse': 'Cricetidae',
}  # fmt: skip


make_splits = load_tool('make_splits')


def make_animals(images: list[tuple[str, ...]], k: int, start: int, one_category: bool) -> dict:
    """A COCO dict: the animals of each image, by species, side by side; AP-10K's layout or Animal-Pose's."""
    rng, species = np.random.default_rng(start), list(FAMILIES)
    coco = dict(images=[], annotations=[])
    for image_id, animals in enumerate(images, start):
        coco['images'].append(dict(id=image_id, file_name=f'{image_id}.jpg', width=400, height=200))
        for place, name in enumerate(animals):
            size = rng.uniform((50, 40), (180, 190)) if rng.random() < 0.7 else rng.uniform(35, 70, 2)
            corner = np.array([200 * place + 5, 5])
            visible = rng.choice([0, 1, 2], k, p=[0.2, 0.2, 0.6])
            visible[0] = 2
            points = (corner + size * rng.random((k, 2))).round(1) * (visible > 0)[:, None]
            ann = dict(id=10 * image_id + place, image_id=image_id, category_id=species.index(name) + 1, iscrowd=0)
            ann.update(bbox=[*corner.tolist(), *size.tolist()], area=float(size.prod()))
            ann.update(keypoints=np.c_[points, visible].ravel().tolist(), num_keypoints=int((visible > 0).sum()))
            if one_category:
                ann.update(category_id=1, species=name, family=FAMILIES[name])
            coco['annotations'].append(ann)
    categories = [('animal', 'animal')] if one_category else FAMILIES.items()
    coco['categories'] = [dict(id=i, name=name, supercategory=family) for i, (name, family) in enumerate(categories, 1)]
    return coco


def write(coco: dict, path: Path) -> dict:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(coco))
    return coco


def test_every_protocol_has_its_configs():
    counts = Counter((path.parent.name, path.stem.split('_')[-1].split('-')[0]) for path in LEAVES)
    pairs = dict(ap10k=dict(bovidae=6, canidae=6), animalpose=dict(bovidae=10, canidae=10))
    assert counts == {
        ('ap10k', '20shot'): 5,
        ('animalpose', '20shot'): 11,
        ('animalpose', 'tuning'): 2,
        **{(data, family): number for data, families in pairs.items() for family, number in families.items()},
        **{('coco', f'{percent}pct'): 2 for percent in (1, 2, 3, 5, 10)},
    }


@pytest.mark.slow
@pytest.mark.parametrize('path', LEAVES, ids=lambda path: f'{path.parent.name}/{path.stem}')
def test_the_command_in_the_header_makes_the_files(path, tmp_path, monkeypatch, capsys):
    """For the seed of the header and, where there is a draw, for another one chosen by SPLIT_SEED."""
    monkeypatch.chdir(tmp_path)
    argv = header_command(path)
    starts = dict(train=1, val=1000)
    for word in filter(lambda word: word.endswith('.json'), argv):
        part = 'val' if 'val' in Path(word).name else 'train'
        animals = [(name,) for name in FAMILIES for _ in range(30)]
        write(make_animals(animals, 3, starts[part], path.parent.name == 'animalpose'), tmp_path / word)
    seeds = ['0', '3'] if '--seed' in argv else [None]
    folders = set()
    for seed in seeds:
        if seed:
            argv[argv.index('--seed') + 1] = seed
            monkeypatch.setenv('SPLIT_SEED', seed)
        assert make_splits.main(argv) == 0
        cfg = Config.fromfile(path)
        made = {str(file.relative_to(tmp_path)) for file in tmp_path.rglob('splits/*') if 'manifest' not in file.name}
        loaders = [cfg[f'{part}_dataloader'].dataset for part in ('train', 'val', 'test')]
        named = [dataset.data_root + dataset.ann_file for dataset in loaders]
        assert named[0] in made
        tested_apart = '-to-' in path.stem or path.stem.endswith('_tuning')
        assert all((name in made) == tested_apart for name in named[1:])
        folders.add(cfg.get('work_dir'))
    assert len(folders) == len(seeds)  # draws are not mixed in one folder


@pytest.mark.parametrize('library', slow_except(['xtcocotools', 'pycocotools'], 'xtcocotools'))
@pytest.mark.parametrize('data', ['ap10k', 'animalpose'])
@pytest.mark.parametrize('pair', ['bovidae-to-canidae', 'canidae-to-felidae'])
def test_ap_of_a_family_is_that_of_the_full_predictions(data, pair, library, tmp_path, monkeypatch):
    """Loader and metric of a zero-shot config, against COCOeval on the whole validation part, restricted by hand.

    With AP-10K's categories the restriction is COCOeval's own ``catIds``; with the one of Animal-Pose it is a filter.
    """
    tools = [pytest.importorskip(f'{library}.{name}') for name in ('coco', 'cocoeval')]
    monkeypatch.chdir(tmp_path)
    path = ROOT / f'configs/{data}/clamp_r50_{pair}.py'
    cfg, argv = Config.fromfile(path), header_command(path)
    train, val = (tmp_path / word for word in argv if word.endswith('.json'))
    images = [('dog', 'cow'), ('fox', 'cat'), ('sheep',), ('cat', 'dog'), ('dog', 'fox'), ('horse', 'cat')] * 6
    k = cfg.model.head.out_channels
    write(make_animals([(name,) for name in FAMILIES], k, 1, data == 'animalpose'), train)
    coco = write(make_animals(images, k, 1000, data == 'animalpose'), val)
    assert make_splits.main(argv) == 0
    predictions = predict(coco, k)

    dataset = DATASETS.build(cfg.test_dataloader.dataset | dict(pipeline=[]))
    metric = METRICS.build(cfg.test_evaluator)
    metric.dataset_meta = dataset.metainfo
    for info in map(dataset.get_data_info, range(len(dataset))):
        points, scores = predictions[info['id']]
        metric.process({}, [dict(
            {key: info[key] for key in ('id', 'img_id', 'category_id')},
            pred_instances=dict(keypoints=points[None], keypoint_scores=scores[None]),
            gt_instances=dict(bbox_scores=np.ones(1, np.float32)),
        )])  # fmt: skip
    ours = metric.evaluate(len(dataset))

    family = pair.split('-to-')[1].capitalize()
    whole = evaluate(coco, predictions, dataset.metainfo['sigmas'], None, *tools)
    stats = evaluate(coco, predictions, dataset.metainfo['sigmas'], family, *tools)
    names = ['AP', 'AP .5', 'AP .75', 'AP (M)', 'AP (L)', 'AR']
    np.testing.assert_allclose([ours[f'coco/{name}'] for name in names], stats[:6], atol=1e-9)
    assert 0.2 < stats[0] < 0.9
    assert abs(stats[0] - whole[0]) > 1e-3  # the family's AP is not that of all animals


def predict(coco: dict, k: int) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """Made-up keypoints (k, 2) and scores (k,) of every animal, by annotation id: the truth and some noise."""
    rng = np.random.default_rng(0)
    return {
        ann['id']: (
            np.reshape(ann['keypoints'], (k, 3))[:, :2]
            + rng.normal(0, rng.uniform(0.02, 0.12) * ann['area'] ** 0.5, (k, 2)),
            rng.uniform(0.05, 1, k),
        )
        for ann in coco['annotations']
    }


def evaluate(coco: dict, predictions: dict, sigmas: np.ndarray, family: str | None, coco_tools, eval_tools) -> list:
    """COCOeval's statistics of one family, or of all animals; the score is the mean of a pose's scores above 0.2."""
    one_category = len(coco['categories']) == 1
    kept = [ann for ann in coco['annotations'] if not (one_category and family) or ann['family'] == family]
    results = [
        dict(
            image_id=ann['image_id'],
            category_id=ann['category_id'],
            keypoints=np.c_[points, scores].ravel().tolist(),
            score=float(scores[scores > 0.2].mean()),
        )
        for ann in kept
        for points, scores in [predictions[ann['id']]]
    ]
    truth = coco_tools.COCO()
    truth.dataset = {**coco, 'annotations': [dict(ann) for ann in kept]}
    truth.createIndex()
    extra = (np.array(sigmas),) if eval_tools.__name__.startswith('x') else ()
    evaluation = eval_tools.COCOeval(truth, truth.loadRes(results), 'keypoints', *extra)
    evaluation.params.kpt_oks_sigmas = np.array(sigmas)
    if family and not one_category:
        evaluation.params.catIds = [c['id'] for c in coco['categories'] if c['supercategory'] == family]
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return list(evaluation.stats)
