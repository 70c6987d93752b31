"""An exported model in the place of the one that it was made of: MMPose tests it as any other."""

from .. import compat  # isort: skip  # noqa: F401  (before MMPose's models)

import torch
from mmengine.model import BaseModule
from mmengine.structures import InstanceData, PixelData
from mmpose.models.heads import HeatmapHead
from mmpose.registry import MODELS
from torch import Tensor

from ..keypoint_names import names_of
from .graph import open_graph


def onnx_estimator(model: dict, path: str, any_names: bool = False) -> dict:
    """Return the config of a pose estimator that runs an exported model.

    Args:
        model (dict): The ``model`` of the config that it was exported with: its codec, its flip test (unless that is
            in the graph) and the order of colours are kept.
        path (str): The file.
        any_names (bool): Whether it may predict other keypoints than the config's, as what was made of a head that is
            asked by name can; without the flip test, if one of them has no counterpart there. Defaults to False.

    Raises:
        FileNotFoundError: If the file is not there.
        ValueError: If it is no graph of ``tools/export_onnx.py``, or one of another input size or other keypoints.
    """
    _, values = open_graph(path)
    codec, head, k = model['head']['decoder'], model['head'], len(values['keypoint_names'])
    any_names = any_names and bool(values['prompts'])
    prompts = names_of(head)
    wanted = [('input size', values['input_size'], list(codec['input_size']))]
    if not any_names:
        wanted += [
            ('number of keypoints', k, len(head.get('test_names') or range(head['out_channels']))),
            ('list of keypoint names', values['prompts'], prompts),
        ]
    for name, got, expected in wanted:
        if got != expected:
            raise ValueError(f'The {name} of {path} is {got}, that of the config {expected}: use the config it is of.')
    preprocessor, test_cfg = model['data_preprocessor'], model['test_cfg']
    alone = any_names and not set(values['mirror_names']) <= set(values['prompts'])
    no_flip = values['flip_test'] or values['decoded'] or alone  # it is in the graph; what is decoded has no mean
    return dict(
        type='TopdownPoseEstimator',  # MMPose's own, as ours decodes the heatmaps itself whatever the head has decoded
        data_preprocessor=dict(preprocessor, mean=[0, 0, 0], std=[1, 1, 1]),  # the graph has its own
        backbone=dict(type='ONNXBackbone', path=path),
        head=dict(
            type='ONNXHead', in_channels=k, out_channels=k, deconv_out_channels=None, final_layer=None, decoder=codec
        ),
        test_cfg=dict(test_cfg, flip_test=test_cfg.get('flip_test', False) and not no_flip),
    )


@MODELS.register_module()
class ONNXBackbone(BaseModule):
    """A graph of :func:`clamp.onnx.export.export_onnx`, run by ONNX Runtime on the CPU.

    Args:
        path (str): The file.

    Attributes:
        values (dict): What the file says of itself (see :func:`.graph.open_graph`).
    """

    def __init__(self, path: str):
        super().__init__()
        self.session, self.values = open_graph(path, threads=torch.get_num_threads())

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Run the graph.

        Args:
            images (Tensor): (B, 3, H, W), RGB in 0..255.

        Returns:
            tuple[Tensor, ...]: Its outputs, heatmaps (B, K, H', W') last; before them, if it decodes, keypoints
            (B, K, 2) and scores (B, K).
        """
        outputs = self.session.run(None, dict(images=images.to('cpu', torch.uint8).numpy()))
        return tuple(torch.from_numpy(output).to(images.device) for output in outputs)


@MODELS.register_module()
class ONNXHead(HeatmapHead):
    """MMPose's head without layers: it decodes the heatmaps of the graph, or takes what the graph has decoded."""

    def predict(self, feats: tuple[Tensor, ...], batch_data_samples: list, test_cfg: dict = {}):  # noqa: B006
        """Return the poses of a batch (see :meth:`mmpose.models.HeatmapHead.predict`)."""
        if test_cfg.get('flip_test') or len(feats) == 1:
            return super().predict(feats, batch_data_samples, test_cfg)
        keypoints, scores = (output.cpu().numpy() for output in feats[:2])
        poses = [InstanceData(keypoints=k[None], keypoint_scores=s[None]) for k, s in zip(keypoints, scores)]
        if not test_cfg.get('output_heatmaps'):
            return poses
        return poses, [PixelData(heatmaps=heatmaps) for heatmaps in feats[-1]]
