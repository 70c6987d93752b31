"""Photographs that are planted in another data set: as they are, mirrored, cut out; and others, which are not found."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from clamp.datasets.shared_images import find_shared, read_list, write_list


def photograph(seed: int) -> np.ndarray:
    """Blobs of many sizes, which no other seed has: (240, 320, 3), uint8."""
    rng = np.random.default_rng(seed)
    image = np.full((240, 320, 3), 128, np.uint8)
    for radius in np.geomspace(60, 2, 160):
        x, y = rng.integers(0, (320, 240)).tolist()
        cv2.circle(image, (x, y), round(radius), rng.integers(0, 256, 3).tolist(), -1, cv2.LINE_AA)
    return image


@pytest.fixture
def folders(tmp_path) -> tuple[dict[str, Path], dict[str, Path]]:
    """Three photographs; and among three others, each of these in another way."""
    planted = dict(
        again=cv2.resize(photograph(0), (200, 150), interpolation=cv2.INTER_AREA),
        mirrored=photograph(1)[:, ::-1],
        cut=photograph(2)[40:200, 60:260],
    )
    one = {f'{i}.jpg': photograph(i) for i in range(3)}
    other = {f'{name}.jpg': image for name, image in planted.items()} | {f'{i}.jpg': photograph(i) for i in (7, 8, 9)}
    found = []
    for name, images in (('one', one), ('other', other)):
        (tmp_path / name).mkdir()
        for file, image in images.items():
            cv2.imwrite(str(tmp_path / name / file), image, [cv2.IMWRITE_JPEG_QUALITY, 80])
        found.append({file: tmp_path / name / file for file in images})
    return tuple(found)


def test_planted_photographs_are_found_and_no_others(folders):
    pairs, broken = find_shared(*folders)
    assert {(pair.image, pair.other): pair.how for pair in pairs} == {
        ('0.jpg', 'again.jpg'): 'same',
        ('1.jpg', 'mirrored.jpg'): 'mirrored, same',
        ('2.jpg', 'cut.jpg'): 'holds it',
    }
    assert broken == []


def test_a_data_set_has_no_photograph_twice_because_it_is_compared_with_itself(folders):
    assert find_shared(folders[0], folders[0])[0] == []


def test_what_is_no_image_is_named(folders, tmp_path):
    images, others = folders
    (tmp_path / 'text.jpg').write_text('no image')
    assert find_shared(images, others | {'text.jpg': tmp_path / 'text.jpg'})[1] == ['text.jpg']


def test_a_list_names_each_image_once_and_another_file_is_refused(folders, tmp_path):
    write_list(tmp_path / 'list.json', find_shared(*folders)[0], 'one', 'other')
    assert read_list(tmp_path / 'list.json') == ['0.jpg', '1.jpg', '2.jpg']
    (tmp_path / 'other.json').write_text(json.dumps(dict(images=[])))
    with pytest.raises(ValueError, match=r'other\.json is no list of tools/check_dataset\.py --against'):
        read_list(tmp_path / 'other.json')
