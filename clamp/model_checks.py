"""Checks of a config's model: whether its parts fit each other and the data set's keypoints."""

import inspect

from mmengine.config import Config
from mmpose.registry import MODELS

from .datasets.metainfo import dataset_metainfo, dataset_of
from .models import CLIPBackbone, OpenVocabularyHead
from .models.image_towers import image_tower_layout


def check_sizes(model: dict) -> None:
    """Check that a head fits the CLIP image tower before it, and the heatmaps those of its codec.

    Raises:
        ValueError: If a head with prompts is put on a backbone of MMPose, or input sizes, channels or the number of
            deconvolutions do not fit.
    """
    kind = MODELS.get(model.backbone.type)
    is_clip = inspect.isclass(kind) and issubclass(kind, CLIPBackbone)
    if not is_clip and model.head.get('prompt_learner') and (kind.__module__ if kind else '').startswith('mmpose.'):
        raise ValueError(
            f'{model.head.type} needs the embeddings of an image beside its feature map, which {model.backbone.type} '
            'has not: take a CLIPBackbone, with any image tower (docs/clip_models.md).'
        )
    if not is_clip or not model.head.get('decoder'):
        return
    stride, channels = image_tower_layout(model.backbone.clip)
    codec, head = model.head.decoder, model.head
    upscale = 2 ** len(head.get('deconv_out_channels', (256, 256, 256)) or ())
    heatmap_size = [side // stride * upscale for side in codec.input_size]
    wanted = [
        ('backbone.input_size', list(model.backbone.get('input_size', (256, 256))), list(codec.input_size)),
        ('head.in_channels', head.in_channels, channels),
        ("the codec's heatmap_size", list(codec.heatmap_size), heatmap_size),
    ]
    for name, got, expected in wanted:
        if got != expected:
            raise ValueError(
                f'{name} is {got}, but should be {expected}: the image tower has a stride of {stride} and {channels} '
                f"channels, the input is {'x'.join(map(str, codec.input_size))}, and each of the head's deconvolutions "
                'doubles the size. See deconv_out_channels and deconv_kernel_sizes.'
            )


def check_targets(cfg: Config) -> None:
    """Check that the targets, drawn by the data preprocessor or by the pipeline, are of the head's codec and names.

    Raises:
        ValueError: If nobody draws them, or they are of another codec or of other names.
    """
    codec = cfg.model.head.get('decoder')
    steps = {step['type']: step for step in dataset_of(cfg, 'train').get('pipeline', [])}
    places = {}
    if 'GenerateTarget' in steps:
        places['encoder of GenerateTarget'] = steps['GenerateTarget']['encoder']
    if 'PackKeypointInputs' in steps:
        places['model.data_preprocessor.codec'] = cfg.model.get('data_preprocessor', {}).get('codec')
    for place, found in places.items():
        if found != codec:
            raise ValueError(f'{place} is {found}, model.head.decoder is {codec}. Both are the codec of the data set.')
    named = cfg.model.get('data_preprocessor', {}).get('keypoint_names')  # that of open-vocabulary heads has them
    own = cfg.model.head.get('prompt_learner', {}).get('keypoint_names') or []
    kind = MODELS.get(cfg.model.head.type)
    takes_any = inspect.isclass(kind) and issubclass(kind, OpenVocabularyHead)
    if named is not None and (not takes_any or list(named) != list(own)):
        raise ValueError(
            f'model.data_preprocessor makes targets of {", ".join(named)} for an OpenVocabularyHead, but model.head is '
            f'a {cfg.model.head.type} of {", ".join(own or ["no names"])}. Both take keypoint_names of the data set.'
        )


def check_keypoint_number(model: dict, dataset: dict) -> None:
    """Check that data set, head and keypoint names mean the same number of keypoints, K.

    Raises:
        ValueError: If they do not, naming all three.
    """
    k_data = dataset_metainfo(dataset)['num_keypoints']
    asked = model.head.get('test_names')
    if asked and dataset.get('test_mode'):
        if len(asked) != k_data:
            raise ValueError(
                f'model.head.test_names asks for {len(asked)} keypoints ({", ".join(asked)}), but the data set '
                f'{dataset["type"]} has {k_data}. Name them in its order.'
            )
        return
    k_head = model.head.out_channels
    names = model.head.get('prompt_learner', {}).get('keypoint_names')
    if twice := [name for name in names or () if names.count(name) > 1]:
        raise ValueError(f'keypoint_names has {twice[0]!r} twice. A keypoint is known by its name: give each its own.')
    if k_data == k_head == (k_data if names is None else len(names)):
        return
    raise ValueError(
        f'The number of keypoints differs: the data set {dataset["type"]} has {k_data}, model.head.out_channels is '
        f'{k_head}, and there are {"no" if names is None else len(names)} keypoint_names'
        f'{"" if names is None else " (" + ", ".join(names) + ")"}. All three follow from keypoint_names in '
        'configs/_base_/datasets/ and from the metainfo of the data set.'
    )
