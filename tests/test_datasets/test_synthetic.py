import json

import cv2
import numpy as np
import pytest

from clamp.datasets.synthetic import (
    KEYPOINT_NAMES,
    MIN_KEYPOINTS,
    SPECIES,
    dataset,
    draw_animal,
    generate_dataset,
    generate_sample,
    view_matrix,
)
from clamp.datasets.synthetic.body import Cone
from clamp.datasets.synthetic.render import Camera, _ray_cone, draw_yaw

SIZE = (96, 80)  # (W, H)


@pytest.fixture(scope='module')
def samples():
    return [generate_sample(0, 'train', index) for index in range(2 * len(SPECIES))]


@pytest.fixture
def small(monkeypatch):
    """Replaces the drawing by an empty picture: what is tested is the writing."""
    fake = np.zeros((8, 8, 3), np.uint8)
    monkeypatch.setattr(dataset, 'generate_sample', lambda seed, split, index: (fake, [{'id': index}]))


def _files(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob('*') if path.is_file()}


def test_a_sample_is_a_function_of_seed_split_and_index(samples):
    image, annotations = generate_sample(0, 'train', 3)
    np.testing.assert_array_equal(image, samples[3][0])
    assert json.dumps(annotations) == json.dumps(samples[3][1])
    poses = [
        a['keypoints'] for args in ((1, 'train', 3), (0, 'val', 3), (0, 'train', 13)) for a in generate_sample(*args)[1]
    ]
    assert annotations[0]['keypoints'] not in poses


def test_annotations_are_ap10ks(samples):
    for image, annotations in samples:
        h, w = image.shape[:2]
        assert image.dtype == np.uint8
        assert 240 <= max(h, w) <= 400
        for annotation in annotations:
            x, y, v = np.array(annotation['keypoints']).reshape(17, 3).T
            assert set(v) <= {0, 2}
            assert (v > 0).sum() == annotation['num_keypoints'] >= MIN_KEYPOINTS
            assert not x[v == 0].any()
            assert not y[v == 0].any()
            left, top, width, height = annotation['bbox']
            assert annotation['area'] == width * height > 0
            assert min(left, top) >= 0
            assert left + width <= w
            assert top + height <= h
            x, y = x[v > 0], y[v > 0]
            assert ((x >= 0) & (x < w) & (y >= 0) & (y < h)).all()
            assert ((x >= left - 3) & (x <= left + width + 3) & (y >= top - 3) & (y <= top + height + 3)).all()


def test_species_take_turns(samples):
    found = [annotations[0]['category_id'] for _, annotations in samples]
    assert found == 2 * [spec.category_id for spec in SPECIES]
    assert {spec.family for spec in SPECIES} >= {'Bovidae', 'Canidae', 'Felidae', 'Equidae'}


@pytest.mark.parametrize(('yaw', 'near', 'far'), [(0, 'right', 'left'), (180, 'left', 'right')])
def test_an_animal_facing_right_shows_its_right_side(yaw, near, far):
    for seed, spec in enumerate(SPECIES):
        animal = draw_animal(np.random.default_rng(seed), spec, SIZE, yaw=yaw)
        points = dict(zip(KEYPOINT_NAMES, animal.keypoints))
        distance = dict(zip(KEYPOINT_NAMES, animal.distance))
        assert (points['neck'][0] > points['root_of_tail'][0]) == (yaw == 0)
        for joint in ('shoulder', 'elbow', 'front_paw', 'hip', 'knee', 'back_paw'):
            assert distance[f'{near}_{joint}'] > distance[f'{far}_{joint}']
        for joint in ('shoulder', 'hip'):  # the body is in front of the far ones
            assert points[f'{far}_{joint}'][2] == 0


def test_the_viewer_before_the_animal_sees_its_left_on_the_right():
    toward = view_matrix(yaw=-90, elevation=0)
    assert toward @ [0, 1, 0] == pytest.approx([1, 0, 0])  # the animal's left is right in the image
    assert toward @ [1, 0, 0] == pytest.approx([0, 0, 1])  # it faces the viewer
    assert toward @ [0, 0, 1] == pytest.approx([0, -1, 0])  # up is up


def test_a_ray_meets_a_round_cone_where_it_should():
    camera = Camera(view_matrix(0, 0), np.zeros(3), SIZE)
    cone = Cone(np.zeros(3), np.array([4.0, 0, 0]), 1, 1, 0, 0)
    depth = _ray_cone(np.array([0, 0, 4, 9]), np.array([[0]]), camera, cone)
    assert depth[0].tolist() == [1, 1, 1, -np.inf]


def test_most_animals_are_seen_from_the_side():
    rng = np.random.default_rng(0)
    along = np.abs(np.cos(np.radians([draw_yaw(rng) for _ in range(2000)])))
    assert 0.65 < (along > np.cos(np.radians(40))).mean() < 0.85
    assert (along < 0.3).mean() > 0.03  # and some from the front or from behind


def test_dataset_is_readable_and_the_same_with_any_number_of_workers(tmp_path):
    assert generate_dataset(tmp_path / 'a', 9, 1, seed=5, num_workers=1)
    assert generate_dataset(tmp_path / 'b', 9, 1, seed=5, num_workers=2)
    assert _files(tmp_path / 'a') == _files(tmp_path / 'b')
    ids = {}
    for split in ('train', 'val'):
        data = json.loads((tmp_path / 'a' / 'annotations' / f'ap10k-{split}-split1.json').read_text())
        ids[split] = {image['id'] for image in data['images']}, {a['id'] for a in data['annotations']}
        assert {a['image_id'] for a in data['annotations']} == ids[split][0]
        assert data['categories'][0]['keypoints'] == list(KEYPOINT_NAMES)
        for image in data['images']:
            shape = cv2.imread(str(tmp_path / 'a' / 'data' / image['file_name'])).shape
            assert shape == (image['height'], image['width'], 3)
    assert [len(ids[split][0]) for split in ids] == [9, 1]
    assert not ids['train'][0] & ids['val'][0]
    assert not ids['train'][1] & ids['val'][1]


def test_complete_data_is_left_alone(tmp_path, small):
    assert generate_dataset(tmp_path, 2, 1, num_workers=1)
    before = _files(tmp_path)
    assert not generate_dataset(tmp_path, 2, 1, num_workers=1)
    with pytest.raises(FileExistsError, match='--force'):
        generate_dataset(tmp_path, 1, 1)
    assert _files(tmp_path) == before
    assert generate_dataset(tmp_path, 1, 1, force=True, num_workers=1)
    assert len(list((tmp_path / 'data').iterdir())) == 2


@pytest.mark.parametrize('force', [False, True])
@pytest.mark.parametrize('name', ['data/000000000001.jpg', 'annotations/ap10k-train-split1.json', 'notes.txt'])
def test_other_files_are_never_touched(tmp_path, small, name, force):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text('{"info": {"description": "AP-10k"}}')
    before = _files(tmp_path)
    with pytest.raises(FileExistsError, match='something other'):
        generate_dataset(tmp_path, 1, 1, force=force)
    assert _files(tmp_path) == before


@pytest.mark.parametrize('num_workers', [1, 2])
def test_an_interrupted_run_is_never_taken_for_a_complete_one(tmp_path, small, monkeypatch, num_workers):
    whole = dataset.generate_sample

    def stop_at_the_last(seed, split, index):
        if split == 'val':
            raise KeyboardInterrupt
        return whole(seed, split, index)

    monkeypatch.setattr(dataset, 'generate_sample', stop_at_the_last)
    with pytest.raises(KeyboardInterrupt):
        generate_dataset(tmp_path, 8, 1, num_workers=num_workers)
    monkeypatch.setattr(dataset, 'generate_sample', whole)
    assert list((tmp_path / 'data').iterdir())
    assert not list((tmp_path / 'annotations').iterdir())
    assert generate_dataset(tmp_path, 8, 1, num_workers=num_workers)
    assert not generate_dataset(tmp_path, 8, 1, num_workers=num_workers)
