import json

import cv2
import numpy as np
import pytest

from clamp.datasets.synthetic.video import SIZE, generate_video, write_video


@pytest.mark.slow
def test_two_animals_walk_and_cross():
    frames = list(generate_video(0, 130))
    assert all(image.shape == (SIZE[1], SIZE[0], 3) and image.dtype == np.uint8 for image, _ in frames)
    left = {number: [] for number in (1, 2)}
    for _, animals in frames:
        assert {animal['track_id'] for animal in animals} == {1, 2}
        for animal in animals:
            x, y, width, height = animal['bbox']
            points = np.array(animal['keypoints']).reshape(17, 3)
            points = points[points[:, 2] > 0]
            assert (points[:, 0] >= x - 1).all()
            assert (points[:, 0] <= x + width).all()
            assert (points[:, 1] >= y - 1).all()
            assert (points[:, 1] <= y + height).all()
            left[animal['track_id']].append(x)
    first, second = np.array(left[1]), np.array(left[2])
    assert first[0] < second[0]
    assert first[-1] > second[-1]  # they have passed each other
    assert np.abs(np.diff(first)).max() < 12


def test_a_video_is_a_function_of_its_seed():
    [(one, found)], [(two, again)], [(other, _)] = (list(generate_video(seed, 1)) for seed in (0, 0, 1))
    assert np.array_equal(one, two)
    assert found == again
    assert not np.array_equal(one, other)


def test_a_video_is_written_with_its_truth(tmp_path):
    truth = json.loads(write_video(tmp_path / 'new/walk.mp4', 0, 3).read_text())
    assert [(image['file_name'], image['frame']) for image in truth['images']] == [('walk.mp4', i) for i in range(3)]
    assert [one['track_id'] for one in truth['annotations']] == [2, 1] * 3  # the nearer first
    video = cv2.VideoCapture(str(tmp_path / 'new/walk.mp4'))
    assert [video.read()[0] for _ in range(4)] == [True] * 3 + [False]
    with pytest.raises(FileExistsError, match=r'walk.mp4 is there already'):
        write_video(tmp_path / 'new/walk.mp4', 0, 3)
