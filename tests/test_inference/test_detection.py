import urllib.error

import numpy as np
import pytest
import torch
import torchvision

from clamp.inference import detection
from clamp.inference.detection import AnimalDetector


@pytest.fixture
def detector(monkeypatch):
    """A detector that sees a person, a sure dog, which may be a sheep, and a doubtful horse."""

    class Found(torch.nn.Module):
        def load_state_dict(self, state_dict):
            if state_dict:
                raise RuntimeError('Unexpected key')

        def forward(self, images):
            assert images[0].shape == (3, 10, 20)
            assert images[0].max() <= 1
            boxes = torch.tensor([[1.0, 2, 11, 8], [0, 0, 4, 6], [2, 2, 3, 3], [0, 0, 4, 5]])
            scores = torch.tensor([0.9, 0.8, 0.3, 0.6])
            return [dict(boxes=boxes, labels=torch.tensor([1, 18, 19, 20]), scores=scores)]

    monkeypatch.setattr(torchvision.models.detection, 'fasterrcnn_resnet50_fpn_v2', lambda **_: Found())
    monkeypatch.setattr(detection, 'read_weights', lambda known, path: dict(x=1) if path else {})
    return AnimalDetector


def test_only_sure_animals_are_kept(detector):
    image = np.full((10, 20, 3), 255, np.uint8)
    assert detector(device='cpu')(image).tolist() == [[0, 0, 4, 6]]
    assert detector(device='cpu', score_threshold=0.2)(image).tolist() == [[0, 0, 4, 6], [2, 2, 1, 1]]


def test_a_device_that_is_not_there_is_one_error(detector):
    for device in ('gpu', 'cuda:77'):
        with pytest.raises(ValueError, match=f'The device {device} cannot be used: '):
            detector(device=device)


def test_weights_of_another_model(detector):
    with pytest.raises(ValueError, match=r'other.pth does not hold the weights of fasterrcnn'):
        detector('other.pth', device='cpu')


def test_absent_weights_name_the_alternatives(monkeypatch, tmp_path):
    def offline(*_, **__):
        raise urllib.error.URLError('no route')

    monkeypatch.setattr(torchvision.models._api, 'load_state_dict_from_url', offline)
    with pytest.raises(FileNotFoundError, match=r'no route.*https://.*pth.*--boxes FILE.*whole image'):
        AnimalDetector()
    with pytest.raises(FileNotFoundError, match=r'no.pth.*--detector FILE'):
        AnimalDetector(str(tmp_path / 'no.pth'))
    (tmp_path / 'broken.pth').write_bytes(b'123')
    with pytest.raises(ValueError, match=r'broken.pth cannot be read'):
        AnimalDetector(str(tmp_path / 'broken.pth'))
