from collections.abc import Iterator, Sequence

import numpy as np
import torch
from mmcv.transforms import Compose
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import init_default_scope
from mmpose.datasets.datasets.utils import parse_pose_metainfo
from mmpose.registry import MODELS

from .. import register  # noqa: F401
from ..checkpoints import load_weights
from ..checks import check_config, read_config
from ..datasets.keypoint_choice import describe_names
from ..datasets.metainfo import dataset_metainfo
from ..keypoint_names import check_names, mirror_images, names_of
from ..model_checks import check_keypoint_number
from ..onnx.estimator import ONNXHead, onnx_estimator
from ..pretrained import default_model, find_model
from ..settings import override
from .device import check_device
from .pose import Image, Pose, animals, batched, check_list, clip_box
from .score_map import ScoreMap, cells_to_image


class PosePredictor:
    """Predict poses with a config and a checkpoint of it, whatever the model.

    Images go through the config's own test pipeline, so that keypoints are those of ``tools/test.py``. CLIP's weights
    are not needed: a checkpoint holds everything.

    Args:
        config (str | Config): A config of this project, or its path.
        checkpoint (str): Path of a checkpoint, or of what ``tools/export_onnx.py`` made of it (.onnx), which has no
            score maps, runs on the CPU, and predicts the keypoints that it was exported with.
        device (str, optional): Such as ``'cuda:1'``. Defaults to None, the GPU if there is one.
        cfg_options (dict, optional): Settings of the config to override. Defaults to None.

    Attributes:
        cfg (Config): The config.
        model (nn.Module): The MMPose model, in evaluation mode.
        metainfo (dict): MMPose's description of the keypoints: flip pairs, skeleton, colours, sigmas.
        keypoint_names (list[str]): The K names: the prompts, if the model has them, else the data set's.

    Raises:
        FileNotFoundError: If config or checkpoint is not there.
        ValueError: If the config is inconsistent, or the checkpoint is broken or of another model.
    """

    def __init__(
        self, config: str | Config, checkpoint: str, device: str | None = None, cfg_options: dict | None = None
    ):
        self.cfg = config if isinstance(config, Config) else read_config(config)
        override(self.cfg, cfg_options or {})
        init_default_scope(self.cfg.get('default_scope', 'mmpose'))
        dataset = self.cfg.test_dataloader.dataset
        check_config(self.cfg, ())
        check_keypoint_number(self.cfg.model, dataset)
        self.metainfo = dataset_metainfo(dataset)
        names = names_of(self.cfg.model.head) or self.cfg.get('keypoint_names')
        self.keypoint_names = list(names or self.metainfo['keypoint_id2name'].values())
        if len(self.keypoint_names) != self.metainfo['num_keypoints']:
            raise ValueError(
                f'The data set has {self.metainfo["num_keypoints"]} keypoints, but there are '
                f'{len(self.keypoint_names)} keypoint_names: {", ".join(map(str, self.keypoint_names))}.'
            )
        self._own = self.keypoint_names, self.metainfo
        # a KeypointConverter would convert annotations, of which there are none here
        self.pipeline = Compose([step for step in dataset.pipeline if step['type'] != 'KeypointConverter'])
        exported = str(checkpoint).endswith('.onnx')
        if exported:
            self.model = MODELS.build(onnx_estimator(self.cfg.model, checkpoint, any_names=True))
            if (asked := self.model.backbone.values['prompts']) not in (None, self.keypoint_names):
                mirrors = [asked[index] for index in self.model.backbone.values['flip_indices']]
                self.keypoint_names, self.metainfo = asked, parse_pose_metainfo(describe_names(asked, mirrors))
        else:
            self.model = MODELS.build(self.cfg.model)
            load_weights(self.model, checkpoint)
        self.model.to(check_device(device)).eval()

    @classmethod
    def from_pretrained(
        cls,
        name: str | None = None,
        device: str | None = None,
        cfg_options: dict | None = None,
        revision: str | None = None,
    ) -> 'PosePredictor':
        """Load a published model.

        Args:
            name (str, optional): A folder that ``tools/publish.py`` wrote, or ``'owner/name'`` on the Hugging Face
                hub. Defaults to None, the small model that comes with the package.
            device, cfg_options: As of the class.
            revision (str, optional): Branch, tag or commit on the hub. Defaults to None, its main branch.

        Raises:
            FileNotFoundError: If it is not there, or on the hub, which cannot be reached.
            ValueError: If it is no published model, or its config could run code.
        """
        return cls(*find_model(name or default_model(), revision=revision), device, cfg_options)

    def set_keypoint_names(self, names: Sequence[str]) -> None:
        """Predict these keypoints from now on, any number of them, trained on or not.

        Args:
            names (Sequence[str]): P names; what was K everywhere becomes P. The model's own have their skeleton back.

        Raises:
            ValueError: If the model predicts its own K alone, there is no name, one is empty, or one makes too long a
                prompt.
        """
        head = self.model.head
        if not hasattr(head, 'set_keypoint_names'):
            raise ValueError(
                f'{type(head).__name__} predicts its own keypoints alone: {", ".join(self.keypoint_names)}. Others can '
                'be asked of OpenVocabularyHead (docs/novel_keypoints.md), and are constants once it is exported.'
            )
        own, metainfo = self._own
        mirrors = mirror_images(check_names(names), own, metainfo['flip_indices'])
        metainfo = metainfo if list(names) == own else parse_pose_metainfo(describe_names(names, mirrors))
        head.set_keypoint_names(names, mirrors)
        self.keypoint_names, self.metainfo = list(names), metainfo

    def __call__(
        self, images: Sequence[Image], boxes: Sequence[np.ndarray | None] | None = None, batch_size: int = 32
    ) -> list[list[Pose]]:
        """Predict the poses of all animals of some images.

        Args:
            images (Sequence[np.ndarray | Image | str]): RGB images (H, W, 3), uint8, Pillow's images, or paths.
            boxes (Sequence[np.ndarray], optional): For each image its animals' boxes (N, 4): x, y, width, height, in
                pixels. None, for an image or for all, takes the whole image as one box. Defaults to None.
            batch_size (int): How many animals go through the network at once. Defaults to 32.

        Returns:
            list[list[Pose]]: For each image, a pose for each of its boxes.

        Raises:
            FileNotFoundError, ValueError: If an image cannot be read, or an array or a box is malformed.
        """
        images = check_list(images)
        poses: list[list[Pose]] = [[] for _ in images]
        for indices, crop_boxes, batch in self._batches(images, boxes, batch_size):
            with torch.inference_mode():
                samples = self.model.test_step(batch)
            for index, box, sample in zip(indices, crop_boxes, samples):
                found = sample.pred_instances
                poses[index].append(Pose(box, found.keypoints[0], found.keypoint_scores[0]))
        return poses

    def score_maps(
        self,
        images: Sequence[Image],
        boxes: Sequence[np.ndarray | None] | None = None,
        texts: Sequence[str] | None = None,
        batch_size: int = 32,
    ) -> list[list[ScoreMap]]:
        """Compute the score maps of any texts. How unknown texts are encoded: see :class:`PromptLearner`.

        Args:
            images, boxes, batch_size: As in :meth:`__call__`.
            texts (Sequence[str], optional): P texts, trained on or not. Defaults to None, the K keypoint names.

        Returns:
            list[list[ScoreMap]]: For each image, a score map for each of its boxes.

        Raises:
            ValueError: If the model has no prompts, or a text makes too long a prompt; and as :meth:`__call__`.
        """
        texts = self.check_texts(self.keypoint_names if texts is None else texts)
        images = check_list(images)
        maps: list[list[ScoreMap]] = [[] for _ in images]
        for indices, _, batch in self._batches(images, boxes, batch_size):
            with torch.inference_mode():
                data = self.model.data_preprocessor(batch, False)
                values, _ = self.model.head.compute_score_map(self.model.extract_feat(data['inputs']), texts)
            for index, sample, value in zip(indices, data['data_samples'], values.float().cpu().numpy()):
                corners = sample.gt_instances.bboxes[0]
                box = np.concatenate([corners[:2], corners[2:] - corners[:2]])
                maps[index].append(ScoreMap(box, texts, value, cells_to_image(sample.metainfo, value.shape[1:])))
        return maps

    def check_texts(self, texts: Sequence[str]) -> list[str]:
        """Return the texts as a list.

        Raises:
            ValueError: If the model has no prompts, there is no text, or a text makes too long a prompt.
        """
        head = self.model.head
        if not hasattr(head, 'compute_score_map'):
            exported = 'In an exported model they are constants: give the checkpoint (.pth) that it was made of.'
            help_ = exported if isinstance(head, ONNXHead) else 'Use a config of CLAMP.'
            raise ValueError(f'{type(head).__name__} has no prompts, hence no score maps. {help_}')
        if isinstance(texts, str) or not len(texts):
            raise ValueError(f'texts={texts!r} should be a list of at least one text.')
        with torch.inference_mode():
            head.prompt_learner.encode_prompts(head.prompt_learner.new_texts(texts))
        return list(texts)

    def _batches(self, images: Sequence[Image], boxes: Sequence | None, batch_size: int) -> Iterator[tuple]:
        """Yield the images' indices, the boxes and the collated batch, for ``batch_size`` animals at a time."""
        crops = ((index, box, self.sample(pixels, box)) for index, pixels, box in animals(images, boxes))
        for batch in batched(crops, batch_size):
            indices, crop_boxes, samples = zip(*batch)
            yield indices, crop_boxes, pseudo_collate(samples)

    def sample(self, image: np.ndarray, box: np.ndarray, **entries) -> dict:
        """Return an animal as the config's test pipeline makes it, of image, box and what else is named."""
        corners = clip_box(box, *image.shape[1::-1])
        bgr = np.ascontiguousarray(image[..., ::-1])
        return self.pipeline(
            dict(
                img=bgr,
                bbox=corners[None].astype(np.float32),
                bbox_score=np.ones(1, np.float32),
                **{key: self.metainfo[key] for key in ('dataset_name', 'flip_indices', 'skeleton_links')},
                **entries,
            )
        )
