"""Run a test as tools/test.py does, and keep what the report shows."""

import contextlib
import io
import tempfile
from dataclasses import dataclass, field

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmpose.evaluation import CocoMetric
from mmpose.registry import METRICS
from tqdm import tqdm
from xtcocotools.coco import COCO

from ..checkpoints import load_weights
from ..models.clamp_head import cosine_similarity

CROP = 192  # longest side of the pictures in the report, in pixels
MAP = 16  # longest side of a map, in cells


@METRICS.register_module()
class ReportMetric(CocoMetric):
    """MMPose's ``CocoMetric`` that keeps the detections it evaluates, in ``detections`` (see :func:`.match`)."""

    def results2json(self, keypoints: dict[int, list], outfile_prefix: str) -> None:
        """Keep the detections that are left after NMS, with their scores, and write them as ``CocoMetric`` does."""
        self.detections = [
            dict(
                annotation_id=item['id'],
                image_id=image_id,
                bbox=item['bbox'],
                keypoints=item['keypoints'],
                score=item['score'],
            )
            for image_id, items in keypoints.items()
            for item in items
        ]
        super().results2json(keypoints, outfile_prefix)


@dataclass
class Run:
    """A tested model. N animals in the order of the loader, K keypoints, (h, w) a map.

    Args:
        name (str): What the report calls it.
        source (str): Its config and checkpoint.
        metrics (dict[str, float]): As ``tools/test.py`` prints them.
        coco (COCO): The truth.
        metainfo (dict): The data set's.
        use_area (bool): As in ``CocoMetric``.
        detections (list[dict]): What was evaluated, as :func:`.match` takes it.
        annotation_ids (list[int]): N.
        keypoints (np.ndarray): (N, K, 2), (x, y) in pixels of the image.
        keypoint_scores (np.ndarray): (N, K).
        regions (np.ndarray): (N, 2, 2), centre and size (x, y) of the network's input in pixels of the image.
        crops (list[bytes]): N pictures of the network's input, JPEG.
        maps (np.ndarray): (N, K, h, w) uint8, each map stretched from its lowest to its highest value.
        map_name (str): What the maps are.
    """

    name: str
    source: str
    metrics: dict[str, float]
    coco: COCO
    metainfo: dict
    use_area: bool
    detections: list[dict]
    annotation_ids: list[int]
    keypoints: np.ndarray
    keypoint_scores: np.ndarray
    regions: np.ndarray
    crops: list[bytes]
    maps: np.ndarray
    map_name: str


@dataclass
class CollectHook(Hook):
    """Keep predictions, pictures and maps of a test.

    The maps are the score map (eq. 3-4) of a head with a prompt learner, and heatmaps of other heads, which need
    ``output_heatmaps`` in the model's ``test_cfg``. The fields are those of :class:`Run`, batch by batch for the maps.

    Args:
        bgr (bool): Whether the loader's images are BGR.
    """

    bgr: bool
    annotation_ids: list = field(default_factory=list)
    keypoints: list = field(default_factory=list)
    keypoint_scores: list = field(default_factory=list)
    regions: list = field(default_factory=list)
    crops: list = field(default_factory=list)
    maps: list = field(default_factory=list)

    def before_test(self, runner: Runner) -> None:
        """Listen to the prompt learner, which sees the two sides of the score map."""
        if learner := getattr(runner.model.head, 'prompt_learner', None):
            learner.register_forward_hook(self._keep_score_map)

    def before_test_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None) -> None:
        """Forget the score map of the last batch."""
        self.score_map = None

    def _keep_score_map(self, learner, args: tuple[torch.Tensor, torch.Tensor], text_embeds: torch.Tensor) -> None:
        if self.score_map is None:  # MMPose's own estimator calls a second time, for the mirror images
            self.score_map = cosine_similarity(args[1], text_embeds)

    def after_test_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None, outputs=None) -> None:
        """Keep a batch."""
        maps = self.score_map
        if maps is None:
            maps = torch.stack([torch.as_tensor(sample.pred_fields.heatmaps) for sample in outputs])
        self.maps.append(stretch(maps[: len(outputs)]))  # after them come those of the flip test's mirror images
        for image, sample in zip(data_batch['inputs'], outputs):
            self.annotation_ids.append(int(sample.metainfo['id']))
            self.keypoints.append(sample.pred_instances.keypoints[0])
            self.keypoint_scores.append(sample.pred_instances.keypoint_scores[0])
            self.regions.append((sample.metainfo['input_center'], sample.metainfo['input_scale']))
            self.crops.append(encode(image.numpy().transpose(1, 2, 0), self.bgr))


class ProgressHook(Hook):
    """Show how far a test is, in the place of MMEngine's lines."""

    def before_test(self, runner: Runner) -> None:
        """Begin."""
        self.bar = tqdm(total=len(runner.test_dataloader), desc='testing', unit='batch', disable=None)

    def after_test_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None, outputs=None) -> None:
        """Count a batch."""
        self.bar.update()

    def after_test(self, runner: Runner) -> None:
        """End."""
        self.bar.close()


def stretch(maps: torch.Tensor) -> np.ndarray:
    """Make (B, K, h, w) uint8 of maps (B, K, H, W): at most ``MAP`` cells wide, and each from 0 to 255."""
    height, width = maps.shape[-2:]
    scale = min(1, MAP / max(height, width))
    maps = F.adaptive_max_pool2d(maps.float(), (round(height * scale), round(width * scale)))  # peaks stay
    low, high = maps.amin((2, 3), keepdim=True), maps.amax((2, 3), keepdim=True)
    return ((maps - low) / (high - low).clamp(min=1e-6) * 255).round().byte().cpu().numpy()


def encode(image: np.ndarray, bgr: bool) -> bytes:
    """Make a JPEG of at most ``CROP`` pixels of a network input (H, W, 3)."""
    scale = min(1, CROP / max(image.shape[:2]))
    image = cv2.resize(image if bgr else image[..., ::-1], None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return cv2.imencode('.jpg', image, [cv2.IMWRITE_JPEG_QUALITY, 75])[1].tobytes()


def check_test(cfg: Config) -> None:
    """Check that a config's test is what the report is made of.

    Raises:
        ValueError: If the test is none of COCO keypoints in true boxes, or the head is asked for other names.
    """
    evaluator = cfg.test_evaluator
    if (
        isinstance(evaluator, list)
        or evaluator.get('type') != 'CocoMetric'
        or evaluator.get('iou_type', 'keypoints') != 'keypoints'
    ):
        raise ValueError(f'The report is made of one CocoMetric of keypoints, but test_evaluator is {evaluator}.')
    if boxes := cfg.test_dataloader.dataset.get('bbox_file'):
        raise ValueError(
            f'The report needs the true boxes, but test_dataloader has the bbox_file {boxes}: set it to None.'
        )
    head = cfg.model.head
    if (names := head.get('test_names')) and list(names) != list(head.prompt_learner.keypoint_names):
        raise ValueError('The report is of the names that a model was trained on: leave test_names out of the head.')


def collect(cfg: Config, checkpoint: str, name: str, source: str) -> Run:
    """Test a model on the test set of its config.

    Args:
        cfg (Config): A config that :func:`check_test` has passed. It is changed.
        checkpoint (str): Path.
        name (str): What the report calls the run.
        source (str): What it says of where it comes from.

    Raises:
        ValueError: If the checkpoint is of another model.
    """
    cfg.test_evaluator.type = 'ReportMetric'
    if not cfg.model.head.get('prompt_learner'):
        cfg.model.setdefault('test_cfg', {}).output_heatmaps = True
    cfg.load_from = None  # loaded below
    cfg.log_level = 'WARNING'  # MMEngine would print the config, of both models
    with tempfile.TemporaryDirectory() as cfg.work_dir:
        cfg.visualizer.update(name=cfg.work_dir, vis_backends=[])  # one of its own: MMEngine keeps them by name
        runner = Runner.from_cfg(cfg)
        load_weights(runner.model, checkpoint)
        kept = CollectHook(bgr=cfg.model.data_preprocessor.get('bgr_to_rgb', False))
        runner.register_hook(kept)
        runner.register_hook(ProgressHook())
        with contextlib.redirect_stdout(io.StringIO()):  # xtcocotools prints its steps, and a table
            metrics = runner.test()
    metric = runner.test_evaluator.metrics[0]
    return Run(
        name=name,
        source=source,
        metrics=metrics,
        coco=metric.coco,
        metainfo=metric.dataset_meta,
        use_area=metric.use_area,
        detections=metric.detections,
        annotation_ids=kept.annotation_ids,
        keypoints=np.stack(kept.keypoints),
        keypoint_scores=np.stack(kept.keypoint_scores),
        regions=np.array(kept.regions),
        crops=kept.crops,
        maps=np.concatenate(kept.maps),
        map_name='score map' if cfg.model.head.get('prompt_learner') else 'heatmap',
    )
