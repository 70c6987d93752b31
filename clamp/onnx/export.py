"""A trained model as one ONNX graph, from raw pixels to heatmaps or keypoints."""

import copy
import json
from collections.abc import Sequence
from itertools import chain

import numpy as np
import torch
from mmengine.structures import InstanceData
from mmpose.structures import PoseDataSample
from torch import Tensor, nn

from .. import __version__
from ..keypoint_names import mirror_names, mirrored
from ..models import PromptLearner
from .graph import load_session

LARGEST = 2**31  # bytes of a protobuf message
TOLERANCE = 1e-4  # most that a heatmap, whose peaks are about 1, may differ between ONNX and PyTorch


class ExportedEstimator(nn.Module):
    """What is in the graph: normalisation, image tower, head and, if wanted, flip test and decoding.

    Notation: B batch, K keypoints, (H, W) input, (H', W') heatmap.

    Args:
        model (TopdownHeatmapEstimator): The trained model, in evaluation mode. It is not changed; weights are shared.
            A head that is asked by name has the names that it is asked for.
        flip_indices (list[int], optional): The mirror image of each of the K keypoints. With them the heatmaps are a
            mean over the image and its mirror image (flip test), as ``model.test_cfg`` has it. Defaults to None.
        decode (bool): Whether to give keypoints and scores too, as MMPose's ``MSRAHeatmap`` decodes them.

    Raises:
        ValueError: If ``decode`` is wanted, and the model's codec is another one.
    """

    def __init__(self, model: nn.Module, flip_indices: list[int] | None = None, decode: bool = False):
        super().__init__()
        codec = model.head.decoder
        if decode and (type(codec).__name__ != 'MSRAHeatmap' or codec.unbiased):
            raise ValueError(
                f'Only MSRAHeatmap (unbiased=False) can be decoded in the graph, not {type(codec).__name__}. Leave '
                '--decode out, and decode the heatmaps outside.'
            )
        self.model = fold_prompts(model)
        self.flip_indices, self.decode = flip_indices, decode
        self.register_buffer('mean', model.data_preprocessor.mean)  # (3, 1, 1)
        self.register_buffer('std', model.data_preprocessor.std)
        self.register_buffer('cell_size', torch.as_tensor(codec.scale_factor))  # (2,), in pixels of the input

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, Tensor, Tensor]:
        """Estimate poses.

        Args:
            images (Tensor): (B, 3, H, W), RGB in 0..255, uint8.

        Returns:
            Tensor | tuple: heatmaps (B, K, H', W'); with ``decode`` keypoints (B, K, 2), (x, y) in pixels of the
            input, scores (B, K) and heatmaps.
        """
        images = (images.float() - self.mean) / self.std
        if self.flip_indices is None:
            heatmaps = self.model.head(self.model.backbone(images))
        else:
            heatmaps = self.model.flip_test(images, self.flip_indices)
        if not self.decode:
            return heatmaps
        keypoints, scores = decode_heatmaps(heatmaps)
        return keypoints * self.cell_size, scores, heatmaps


def fold_prompts(model: nn.Module) -> nn.Module:
    """Return a copy of a model with its encoded prompts as constants: neither text encoder nor tokenizer is left.

    The copy shares all tensors with the model. Models without prompts are copied as they are. It answers to the names
    trained on, to those that the model is asked for, and to the mirror images of these.

    Raises:
        ValueError: If the prompt learner has a ``forward`` of its own, which would be lost.
    """
    tensors = chain(model.parameters(), model.buffers())
    model = copy.deepcopy(model, memo={id(tensor): tensor for tensor in tensors})
    learner = getattr(model.head, 'prompt_learner', None)
    if learner is not None:
        if type(learner).forward is not PromptLearner.forward:
            raise ValueError(
                f'{type(learner).__name__} has a forward of its own. What is exported is the forward of PromptLearner '
                'over constant prompts: override encode_texts alone.'
            )
        asked = model.head.asked_names
        mirrors = getattr(model.head, 'mirror_names', None) or map(mirrored, asked)
        model.head.prompt_learner = FoldedPrompts(learner, [*asked, *mirrors])
    return model.eval()


class FoldedPrompts(PromptLearner):
    """A prompt learner whose encoded prompts are constants.

    Args:
        learner (PromptLearner): Of a trained model.
        texts (Sequence[str]): What it can be asked for besides the K names.
    """

    def __init__(self, learner: PromptLearner, texts: Sequence[str] = ()):
        new = learner.new_texts(texts)
        prompts = learner.encode_prompts(new).detach()  # (K + number of new texts, D)
        super().__init__(
            learner.keypoint_names, None, prompt_encoder=None, cross_attention=None, embed_dim=prompts.shape[1]
        )
        self.context = nn.Parameter(prompts)
        self.cross_attention = learner.cross_attention
        self._rows = {text: row for row, text in enumerate([*learner.keypoint_names, *new])}

    def encode_prompts(self, new: tuple[str, ...] = ()) -> Tensor:
        """Return the prompts of the K names and of texts that were known when they became constants."""
        return self.context[[self._rows[text] for text in (*self.keypoint_names, *new)]]


def decode_heatmaps(heatmaps: Tensor) -> tuple[Tensor, Tensor]:
    """Decode heatmaps as ``mmpose.codecs.MSRAHeatmap`` does: the highest cell, moved by 1/4 towards its higher side.

    Args:
        heatmaps (Tensor): (B, K, H', W').

    Returns:
        tuple[Tensor, Tensor]: Keypoints (B, K, 2), (x, y) in cells, (-1, -1) where no cell is above 0; and scores
        (B, K), the height of the highest cell.
    """
    height, width = heatmaps.shape[-2:]
    flat = heatmaps.flatten(2)  # (B, K, H' W')
    scores, cells = flat.max(dim=2)
    x, y = cells % width, cells // width

    def shift(step: int) -> Tensor:
        after, before = (
            flat.gather(2, (cells + offset).clamp(0, height * width - 1)[..., None])[..., 0] for offset in (step, -step)
        )
        return torch.sign(after - before) * 0.25  # (B, K)

    dx = shift(1) * ((x > 1) & (x < width - 1) & (y > 0))
    dy = shift(width) * ((y > 1) & (y < height - 1) & (x > 0))
    keypoints = torch.stack([x + dx, y + dy], dim=-1)
    return torch.where(scores[..., None] > 0, keypoints, -1.0), scores


def box_padding(pipeline: list[dict], decode: bool) -> float:
    """Return by how much a test pipeline extends boxes.

    Raises:
        ValueError: If ``decode`` is wanted and the pipeline cuts animals out by UDP, which a graph alone does not.
    """
    if decode and any(step.get('use_udp') for step in pipeline):
        raise ValueError('TopdownAffine has use_udp=True: leave --decode out, and name the config beside the graph.')
    boxes = [step for step in pipeline if step['type'].endswith('GetBBoxCenterScale')]
    return boxes[0].get('padding', 1.25) if boxes else 1.25


def export_onnx(
    model: nn.Module, metainfo: dict, flip_test: bool = False, decode: bool = False, padding: float = 1.25
) -> bytes:
    """Export a model; the graph takes batches of any size.

    Args:
        model (TopdownHeatmapEstimator): As in :class:`ExportedEstimator`, on the CPU.
        metainfo (dict): That of the keypoints, parsed by MMPose.
        flip_test (bool): Whether the flip test is in the graph.
        decode (bool): Whether keypoints and scores are outputs too.
        padding (float): How much boxes are extended before animals are cut out, which the file says. Defaults to 1.25.

    Returns:
        bytes: The file. :func:`metadata` is in it.

    Raises:
        ValueError: If the model cannot be decoded in the graph, has a prompt learner whose prompts are no constants, or
            is larger than such a file may be.
    """
    estimator = ExportedEstimator(model, metainfo['flip_indices'] if flip_test else None, decode)
    size = sum(tensor.numel() * tensor.element_size() for tensor in chain(estimator.parameters(), estimator.buffers()))
    if size >= LARGEST:
        raise ValueError(f'The graph would be {size / 1e9:.1f} GB, but an ONNX file holds {LARGEST / 1e9:.1f} GB.')
    width, height = model.head.decoder.input_size
    images = torch.zeros(2, 3, height, width, dtype=torch.uint8)  # a batch of 1 would be taken for a constant
    batch = torch.export.Dim('batch')
    # strict: the other way of tracing takes len(images), an int in Python, for a constant
    program = torch.export.export(estimator, (images,), dynamic_shapes=dict(images={0: batch}), strict=True)
    outputs = ['keypoints', 'scores', 'heatmaps'] if decode else ['heatmaps']
    onnx = torch.onnx.export(program, input_names=['images'], output_names=outputs, verbose=False)
    onnx.model.metadata_props.update(metadata(model, metainfo, flip_test, decode, padding))
    return onnx.model_proto.SerializeToString()


def metadata(model: nn.Module, metainfo: dict, flip_test: bool, decode: bool, padding: float) -> dict[str, str]:
    """Return what somebody needs to use the graph without this package, each value as JSON."""
    codec, preprocessor = model.head.decoder, model.data_preprocessor
    prompts = getattr(model.head, 'asked_names', None)
    mirrors = getattr(model.head, 'mirror_names', None) or mirror_names(prompts or (), metainfo['flip_indices'])
    values = dict(
        clamp_version=__version__,
        dataset=metainfo['dataset_name'],
        keypoint_names=list(metainfo['keypoint_id2name'].values()),
        prompts=prompts,
        mirror_names=mirrors,
        sigmas=np.asarray(metainfo['sigmas'], dtype=float).round(6).tolist(),
        flip_indices=metainfo['flip_indices'],
        skeleton_links=metainfo['skeleton_links'],
        input_size=list(map(int, codec.input_size)),  # (W, H)
        padding=padding,  # of boxes
        heatmap_size=list(map(int, codec.heatmap_size)),
        mean=preprocessor.mean.flatten().tolist(),  # both are applied in the graph
        std=preprocessor.std.flatten().tolist(),
        channel_order='RGB',
        flip_test=flip_test,
        decoded=decode,
    )
    return {name: json.dumps(value) for name, value in values.items()}


def verify(file: bytes, model: nn.Module, metainfo: dict, flip_test: bool, batch_size: int) -> float:
    """Compare a graph, in ONNX Runtime, with the whole test path of MMPose on random images.

    Args:
        file (bytes): The graph of :func:`export_onnx`.
        model (TopdownPoseEstimator): What it was made of.
        metainfo (dict): As in :func:`export_onnx`.
        flip_test (bool): Likewise.
        batch_size (int): How many images.

    Returns:
        float: The largest difference of two heatmaps.

    Raises:
        ValueError: If it is above ``TOLERANCE``, or keypoints are not what the model's codec decodes from the heatmaps.
    """
    width, height = model.head.decoder.input_size
    images = np.random.default_rng(0).integers(0, 256, (batch_size, 3, height, width), dtype=np.uint8)
    session = load_session(file, torch.get_num_threads())
    outputs = dict(zip((output.name for output in session.get_outputs()), session.run(None, dict(images=images))))
    expected = predict_heatmaps(model, images, metainfo['flip_indices'], flip_test)
    difference = float(np.abs(outputs['heatmaps'] - expected).max())
    if not difference <= TOLERANCE:
        raise ValueError(f'The heatmaps of ONNX Runtime and PyTorch differ by {difference:.1e} for batch {batch_size}.')
    if 'keypoints' in outputs:
        decoded = zip(*map(model.head.decoder.decode, outputs['heatmaps']))
        for name, values in zip(('keypoints', 'scores'), map(np.concatenate, decoded)):
            if not np.allclose(outputs[name], values, rtol=0, atol=TOLERANCE):
                raise ValueError(f'The {name} in the graph are not those that MMPose decodes from its heatmaps.')
    return difference


def predict_heatmaps(model: nn.Module, images: np.ndarray, flip_indices: list[int], flip_test: bool) -> np.ndarray:
    """Return the heatmaps (B, K, H', W') of a model in PyTorch, by MMPose's whole test path.

    Args:
        model (TopdownPoseEstimator): In evaluation mode.
        images (np.ndarray): (B, 3, H, W), RGB in 0..255, uint8.
        flip_indices (list[int]): The mirror image of each of the K keypoints.
        flip_test (bool): Whether to average with the mirror image.
    """
    size = np.array(images.shape[:1:-1])  # (W, H)
    metainfo = dict(input_size=size, input_center=size / 2, input_scale=size, flip_indices=flip_indices)
    box = InstanceData(bboxes=np.zeros((1, 4)), bbox_scores=np.ones(1))
    data = dict(
        inputs=[torch.from_numpy(image[::-1].copy()) for image in images],  # BGR, as MMPose loads them
        data_samples=[PoseDataSample(metainfo=metainfo, gt_instances=box) for _ in images],
    )
    test_cfg, model.test_cfg = model.test_cfg, dict(model.test_cfg, flip_test=flip_test, output_heatmaps=True)
    with torch.inference_mode():
        samples = model.test_step(data)
    model.test_cfg = test_cfg
    return np.stack([sample.pred_fields.heatmaps.numpy() for sample in samples])
