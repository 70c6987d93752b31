"""The model that comes with the package: complete, small, and what its card says."""

import json
import re

import numpy as np

from clamp.datasets.synthetic.sample import generate_sample
from clamp.datasets.vocabulary import KNOWN
from clamp.inference import PosePredictor
from clamp.pretrained import DEFAULT


def test_it_is_small_and_says_how_good_it_is_and_what_it_is_made_of():
    assert sum(path.stat().st_size for path in DEFAULT.iterdir()) < 15e6
    card, metrics = (DEFAULT / 'README.md').read_text(), json.loads((DEFAULT / 'metrics.json').read_text())
    for name, value in metrics.items():
        assert f'| {name} | {value:.4g} |' in card
    assert re.search(r'## Licence\n\nApache-2\.0.*Animal-Pose.*state no licence', card, re.S)
    assert (DEFAULT / 'example.jpg').is_file()
    assert '](example.jpg)' in card


def test_it_predicts_at_once():
    predictor = PosePredictor.from_pretrained(device='cpu')
    assert predictor.keypoint_names[:5] == ['left eye', 'right eye', 'left ear base', 'right ear base', 'nose']
    image, [animal] = generate_sample(0, 'train', 2)
    [[pose]] = predictor([image], [[animal['bbox']]])
    assert pose.keypoints.shape == (20, 2)
    assert np.isfinite(pose.keypoints).all()
    assert 0 < pose.scores.max() < 1.5
    # a drawn animal: the names that AP-10K has too, each where it is, but for one paw, which it finds at the other one
    truth = dict(zip(KNOWN['ap10k'], np.reshape(animal['keypoints'], (17, 3))[:, :2]))
    off = {
        name: np.hypot(*(place - truth[name])) / max(animal['bbox'][2:])
        for name, place in zip(predictor.keypoint_names, pose.keypoints)
        if name in truth
    }
    assert len(off) == 8
    assert [name for name, distance in off.items() if distance > 0.1] == ['right front paw']
