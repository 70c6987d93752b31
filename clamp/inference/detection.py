"""Boxes of animals for images that have none."""

import urllib.error

import numpy as np
import torch
import torchvision

from .device import check_device

# of the 80 classes of COCO
ANIMALS = ('bird', 'cat', 'dog', 'horse', 'sheep', 'cow', 'elephant', 'bear', 'zebra', 'giraffe')
MOST_OVERLAP = 0.7  # IoU of boxes of two animals


class AnimalDetector:
    """torchvision's Faster R-CNN with a ResNet-50 (COCO box AP 46.7), of which the ten classes of animals are kept.

    Args:
        weights (str, optional): File of its weights. Defaults to None: torchvision's cache, or a download.
        score_threshold (float): Boxes of lower scores are left out. Defaults to 0.5.
        device (str, optional): Defaults to None, the GPU if there is one.

    Raises:
        FileNotFoundError: If the weights are not on this machine and cannot be fetched.
        ValueError: If the file is not of this detector.
    """

    def __init__(self, weights: str | None = None, score_threshold: float = 0.5, device: str | None = None):
        known = torchvision.models.detection.FasterRCNN_ResNet50_FPN_V2_Weights.COCO_V1
        state_dict = read_weights(known, weights)
        self.model = torchvision.models.detection.fasterrcnn_resnet50_fpn_v2(weights=None, weights_backbone=None)
        try:
            self.model.load_state_dict(state_dict)
        except (RuntimeError, TypeError, AttributeError) as error:
            raise ValueError(f'{weights} does not hold the weights of fasterrcnn_resnet50_fpn_v2.') from error
        self.classes = [known.meta['categories'].index(name) for name in ANIMALS]
        self.score_threshold = score_threshold
        self.device = check_device(device)
        self.model.to(self.device).eval()

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """Detect the animals of an image.

        Args:
            image (np.ndarray): (H, W, 3), uint8, RGB.

        Returns:
            np.ndarray: (N, 4): x, y, width, height, in pixels; the surest first.
        """
        pixels = torch.from_numpy(np.ascontiguousarray(image)).to(self.device).permute(2, 0, 1) / 255
        with torch.inference_mode():
            found = self.model([pixels])[0]
        of_animals = torch.isin(found['labels'], torch.tensor(self.classes, device=self.device))
        wanted = of_animals & (found['scores'] >= self.score_threshold)
        boxes, scores = found['boxes'][wanted], found['scores'][wanted]
        # torchvision's is for each class: one animal may be a cow and a sheep
        corners = boxes[torchvision.ops.nms(boxes, scores, MOST_OVERLAP)].cpu().numpy()
        return np.hstack([corners[:, :2], corners[:, 2:] - corners[:, :2]])


def read_weights(known: torchvision.models.WeightsEnum, path: str | None) -> dict:
    """Return the state dict of a file, or without one of torchvision's own weights.

    Raises:
        FileNotFoundError: If it is not there and cannot be fetched.
        ValueError: If the file cannot be read.
    """
    cache = f'{torch.hub.get_dir()}/checkpoints/{known.url.rsplit("/", 1)[1]}'
    try:
        if path is None:
            return known.get_state_dict(progress=True)
        return torch.load(path, map_location='cpu', weights_only=True)
    except (FileNotFoundError, urllib.error.URLError, ConnectionError, TimeoutError) as error:
        raise FileNotFoundError(
            f'There are no weights of the detector ({path or error}). Fetch {known.url} elsewhere and '
            f'put it at {cache}, or give its path: --detector FILE. Without a detector, tools/predict.py takes boxes '
            'from a COCO file (--boxes FILE), from --box X,Y,WIDTH,HEIGHT, or the whole image.'
        ) from error
    except Exception as error:
        raise ValueError(f'The weights {path or cache} cannot be read: {str(error).splitlines()[0]}') from error
