import logging

import numpy as np
from mmengine.logging import print_log
from mmpose.datasets.transforms import LoadImage
from mmpose.registry import TRANSFORMS


@TRANSFORMS.register_module()
class LoadTrainImage(LoadImage):
    """Load an image; in its place, if the file is missing or broken, let the data set take another sample.

    One bad file should not end a training of days, nor go unnoticed: each is named in the log once per worker.
    For training only: an evaluation that leaves images out would report an AP of something else.

    As the first step of a pipeline it also seeds the augmentation, where the sampler is a :class:`SeededSampler`.
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.reported: set[str] = set()

    def transform(self, results: dict) -> dict | None:
        """Return the results with ``img`` (H, W, 3), or None if it cannot be read."""
        if (seed := getattr(results.get('sample_idx'), 'seed', None)) is not None:
            np.random.seed(seed)  # noqa: NPY002  MMPose's transforms draw from numpy's global generator
        try:
            return super().transform(results)
        except Exception as error:
            if (path := results['img_path']) not in self.reported:
                self.reported.add(path)
                print_log(f'Broken image, another sample takes its place: {path} ({error})', 'current', logging.WARNING)
            return None
