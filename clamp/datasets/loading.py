import logging

from mmengine.logging import print_log
from mmpose.datasets.transforms import LoadImage
from mmpose.registry import TRANSFORMS


@TRANSFORMS.register_module()
class LoadTrainImage(LoadImage):
    """Load an image; in its place, if the file is missing or broken, let the data set take another sample.

    One bad file should not end a training of days, nor go unnoticed: each is named in the log once per worker.
    For training only: an evaluation that leaves images out would report an AP of something else.
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.reported: set[str] = set()

    def transform(self, results: dict) -> dict | None:
        """Return the results with ``img`` (H, W, 3), or None if it cannot be read."""
        try:
            return super().transform(results)
        except Exception as error:
            if (path := results['img_path']) not in self.reported:
                self.reported.add(path)
                print_log(f'Broken image, another sample takes its place: {path} ({error})', 'current', logging.WARNING)
            return None
