import pickle

import cv2
import numpy as np
import pytest
from mmpose.registry import DATA_SAMPLERS

from clamp.datasets.loading import LoadTrainImage
from clamp.datasets.sampler import SeededIndex


def sampler(seed: int = 3, epoch: int = 0):
    sampler = DATA_SAMPLERS.build(dict(type='SeededSampler', dataset=range(5), seed=seed))
    sampler.set_epoch(epoch)
    return sampler


def test_indices_are_those_of_mmengine_and_carry_seed_epoch_and_index():
    stock = DATA_SAMPLERS.build(dict(type='DefaultSampler', dataset=range(5), seed=3))
    stock.set_epoch(2)
    indices = list(sampler(epoch=2))
    assert indices == list(stock)
    assert [index.seed for index in indices] == [(3, 2, int(index)) for index in indices]


def test_an_index_reaches_a_worker_with_its_seed():
    index = pickle.loads(pickle.dumps(SeededIndex(7, (1, 2, 7))))
    assert (index, index.seed) == (7, (1, 2, 7))
    assert [10, 11][SeededIndex(1, (0,))] == 11


def test_a_repeated_data_set_keeps_the_seed():
    """MMEngine's RepeatDataset takes the index modulo the number of samples."""
    place = SeededIndex(7, (1, 2, 7)) % 5
    assert (place, place.seed) == (2, (1, 2, 7))


@pytest.fixture
def image(tmp_path) -> str:
    cv2.imwrite(str(tmp_path / 'a.png'), np.zeros((2, 2, 3), np.uint8))
    return str(tmp_path / 'a.png')


def test_augmentation_follows_from_seed_epoch_and_index_alone(image):
    def draw(index: int) -> float:
        LoadTrainImage().transform(dict(img_path=image, sample_idx=index))
        return np.random.random()  # noqa: NPY002

    first = {int(index): draw(index) for index in sampler()}
    again = {int(index): draw(index) for index in reversed(list(sampler()))}
    assert first == again
    assert len({*first.values(), *(draw(index) for index in sampler(epoch=1)), *map(draw, sampler(seed=4))}) == 15
    np.random.seed(0)  # noqa: NPY002
    expected = np.random.random()  # noqa: NPY002
    np.random.seed(0)  # noqa: NPY002
    assert draw(3) == expected  # a plain index leaves the generator alone
