"""Weight files of every format are written here from random weights; nothing is fetched."""

import warnings

import open_clip
import pytest
import torch
from mmpose.registry import MODELS
from open_clip.model import _build_text_tower, _build_vision_tower
from safetensors.torch import save_file

from clamp.models.clip import clip_config, load_tower
from clamp.models.clip_weights import read_weights
from tests.tiny_models import TEXT_CFG, random_clip, tiny_clip, tiny_head


def torchscript(tensors: dict) -> torch.jit.ScriptModule:
    """A scripted module whose state dict is ``tensors``, nested as their dotted names say."""
    root = torch.nn.Module()
    for name, tensor in tensors.items():
        *path, leaf = name.split('.')
        module = root
        for part in path:
            if not hasattr(module, part):
                module.add_module(part, torch.nn.Module())
            module = getattr(module, part)
        module.register_buffer(leaf, tensor)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        return torch.jit.script(root)


def save_openai(tensors: dict, path: str) -> None:
    """Write OpenAI's format: TorchScript in half precision, with three numbers among the weights."""
    numbers = {name: torch.tensor(32) for name in ('input_resolution', 'context_length', 'vocab_size')}
    half = {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in tensors.items()}
    torch.jit.save(torchscript(half | numbers), path)


FORMATS = {
    'openai.pt': save_openai,
    'open_clip.pt': lambda tensors, path: torch.save(tensors, path),
    'trained.pt': lambda tensors, path: torch.save(
        {'epoch': 3, 'state_dict': {f'module.{name}': tensor for name, tensor in tensors.items()}}, path
    ),
    'two_towers.bin': lambda tensors, path: torch.save(
        open_clip.model.convert_to_custom_text_state_dict(tensors), path
    ),
    'open_clip.safetensors': lambda tensors, path: save_file(
        {name: tensor.contiguous() for name, tensor in tensors.items()}, path
    ),
}


@pytest.fixture(autouse=True)
def _nothing_read_before():
    read_weights.cache_clear()
    yield
    read_weights.cache_clear()


def towers(clip: dict) -> dict:
    """Both towers of a CLIP by the prefix of their weights, with random weights of their own."""
    config = clip_config(clip)
    return {
        'visual.': _build_vision_tower(config['embed_dim'], config['vision_cfg'], config['quick_gelu']),
        'text.': _build_text_tower(config['embed_dim'], config['text_cfg'], config['quick_gelu']),
    }


@pytest.mark.parametrize(('filename', 'kind'), [*((name, 'vit') for name in FORMATS), ('openai.pt', 'resnet')])
def test_every_format_gives_both_towers_and_is_read_once(filename, kind, tmp_path):
    clip = tiny_clip(kind, quick_gelu=True, pretrained=str(tmp_path / filename))
    reference = random_clip(clip)
    FORMATS[filename](reference.state_dict(), clip['pretrained'])
    ours = towers(clip)
    for prefix, tower in ours.items():
        load_tower(tower, clip, prefix)
    assert read_weights.cache_info()[:2] == (1, 1)  # hits, misses

    size = clip['vision_cfg']['image_size']
    images, tokens = torch.randn(2, 3, size, size), torch.randint(1, 999, (2, TEXT_CFG['context_length']))
    tolerance = dict(atol=0.02, rtol=0.02) if filename == 'openai.pt' else dict(atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(ours['visual.'].eval()(images), reference.encode_image(images), **tolerance)
    torch.testing.assert_close(ours['text.'].eval()(tokens), reference.encode_text(tokens), **tolerance)
    assert all(parameter.dtype == torch.float32 for tower in ours.values() for parameter in tower.parameters())


def test_a_file_that_changed_is_read_again(tmp_path):
    clip = tiny_clip(pretrained=str(tmp_path / 'clip.pt'))
    tower = towers(clip)['visual.']
    for seed in (1, 2):
        torch.manual_seed(seed)
        reference = random_clip(clip)
        torch.save(reference.state_dict(), clip['pretrained'])
        load_tower(tower, clip, 'visual.')
        torch.testing.assert_close(tower.proj, reference.visual.proj)


def test_without_pretrained_nothing_is_touched():
    tower = towers(tiny_clip())['visual.']
    before = tower.proj.clone()
    load_tower(tower, tiny_clip(pretrained=None), 'visual.')
    assert torch.equal(tower.proj, before)


def test_openais_archive_needs_quickgelu(tmp_path):
    clip = tiny_clip(pretrained=str(tmp_path / 'openai.pt'))
    save_openai(random_clip(clip).state_dict(), clip['pretrained'])
    with pytest.raises(ValueError, match=r'clip has GELU .*openai\.pt.* trained with QuickGELU.* Use quick_gelu=True'):
        load_tower(towers(clip)['visual.'], clip, 'visual.')
    with pytest.raises(ValueError, match="Use model_name='ViT-B-16-quickgelu'"):
        load_tower(torch.nn.Module(), dict(model_name='ViT-B-16', pretrained=clip['pretrained']), 'visual.')


def test_a_model_reads_its_clip_once_and_lets_go_of_it(monkeypatch, tmp_path):
    clip = tiny_clip(pretrained=str(tmp_path / 'clip.pt'))
    reference = random_clip(clip)
    torch.save(reference.state_dict(), clip['pretrained'])
    reads = []
    load = open_clip.factory.load_state_dict
    monkeypatch.setattr(open_clip.factory, 'load_state_dict', lambda path: reads.append(path) or load(path))
    head = tiny_head()
    head['prompt_learner']['text_encoder'] = clip
    backbone = dict(type='CLIPBackbone', clip=clip, input_size=(32, 32))
    model = MODELS.build(dict(type='TopdownPoseEstimator', backbone=backbone, head=head))
    model.init_weights()
    assert reads == [clip['pretrained']]
    torch.testing.assert_close(model.backbone.tower.proj, reference.visual.proj)
    torch.testing.assert_close(model.head.prompt_learner.text_encoder.tower.text_projection, reference.text_projection)
    assert read_weights.cache_info().currsize == 0


def test_a_known_file_tells_its_activation(monkeypatch, tmp_path):
    clip = tiny_clip(quick_gelu=True, pretrained=str(tmp_path / 'known.pt'))
    torch.save(random_clip(clip).state_dict(), clip['pretrained'])
    tower = towers(clip)['visual.']
    load_tower(tower, clip, 'visual.')  # a file that nobody knows says nothing of its activation
    read_weights.cache_clear()
    monkeypatch.setattr('clamp.models.clip_weights.known_weights', lambda: {'known.pt': ('', False)})
    with pytest.raises(ValueError, match=r'has QuickGELU .*known\.pt.* trained with GELU.* Use quick_gelu=False'):
        load_tower(tower, clip, 'visual.')


@pytest.mark.parametrize('filename', FORMATS)
@pytest.mark.parametrize('part', [0, 0.5, 0.99])
def test_a_file_cut_short_is_named(filename, part, tmp_path):
    clip, path = tiny_clip(quick_gelu=True), tmp_path / filename
    FORMATS[filename](random_clip(clip).state_dict(), str(path))
    content = path.read_bytes()
    path.write_bytes(content[: int(part * len(content))])
    with pytest.raises(ValueError, match=rf'{filename} cannot be read as CLIP weights; it may be cut short'):
        load_tower(towers(clip)['visual.'], clip | dict(pretrained=str(path)), 'visual.')


def test_weights_of_another_model_are_refused(tmp_path):
    path = str(tmp_path / 'vit.pt')
    torch.save(random_clip(tiny_clip('vit')).state_dict(), path)
    deeper = tiny_clip('vit', pretrained=path)
    deeper['vision_cfg'] = deeper['vision_cfg'] | dict(layers=3)
    wider = tiny_clip('vit', pretrained=path)
    wider['vision_cfg'] = wider['vision_cfg'] | dict(width=64)
    for other, reason in (
        (tiny_clip('resnet', pretrained=path), r'size mismatch for conv1\.weight'),
        (deeper, r'transformer\.resblocks\.2\.'),
        (wider, 'size mismatch .*the shape in current model is torch.Size[^.]*. Does'),
    ):
        with pytest.raises(ValueError, match=rf'vit\.pt does not hold the visual tower of .*{reason}'):
            load_tower(towers(other)['visual.'], other, 'visual.')


def test_unknown_names_list_the_near_ones():
    with pytest.raises(ValueError, match=r"no model_name='ViT-B/16'\. Close to it: .*\bViT-B-16\b"):
        clip_config(dict(model_name='ViT-B/16'))
    with pytest.raises(ValueError, match='Close to it: none'):
        clip_config(dict(model_name='%%%'))


def test_sizes_in_place_of_a_name():
    clip = tiny_clip()
    assert clip_config(clip) == clip | dict(quick_gelu=False)
    assert clip_config(tiny_clip(quick_gelu=True, pretrained='x.pt')) == clip | dict(quick_gelu=True)
    for wrong in (clip | dict(depth=3), {key: clip[key] for key in ('embed_dim', 'vision_cfg')}, {}):
        with pytest.raises(ValueError, match='names no model'):
            clip_config(wrong)


@pytest.mark.parametrize(
    ('name', 'tag', 'right'),
    [
        ('ViT-B-16', 'openai', 'ViT-B-16-quickgelu'),
        ('RN50', 'openai', 'RN50-quickgelu'),
        ('ViT-L-14-336', 'openai', 'ViT-L-14-336-quickgelu'),
        ('ViT-B-16-quickgelu', 'laion2b_s34b_b88k', 'ViT-B-16'),
        ('ViT-L-14-quickgelu', 'datacomp_xl_s13b_b90k', 'ViT-L-14'),
    ],
)
def test_the_activation_is_that_of_the_weights(name, tag, right):
    with pytest.raises(ValueError, match=rf"{tag}.*Use model_name='{right}'\."):
        clip_config(dict(model_name=name, pretrained=tag))
    config = clip_config(dict(model_name=right, pretrained=tag))
    assert config['quick_gelu'] == right.endswith('-quickgelu')
