"""Conversion of the authors' checkpoints, and parity with what their code computes on the same weights."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmpose.codecs import MSRAHeatmap
from mmpose.registry import MODELS

from tools import convert_checkpoint as tool

PARITY = Path(__file__).parents[3] / 'shared/parity'
needs_parity = pytest.mark.skipif(not PARITY.is_dir(), reason='the fixtures of the released code are not here')


def released_attention(width: int = 2) -> dict[str, torch.Tensor]:
    name = 'context_decoder.decoder.1.cross_attn.'
    return {f'{name}{key}_proj.weight': torch.full((width, width), i + 1.0) for i, key in enumerate('qkv')}


def test_renames_each_kind_of_entry():
    learner = 'head.prompt_learner.'
    assert [tool.rename(name) for name in (
        'logit_scale', 'gamma', 'backbone.layer1.0.conv1.weight', 'keypoint_head.final_layer.bias',
        'upconv_head.deconv_layers.0.weight', 'text_encoder.ln_final.bias', 'prompt_encoder.ln_final.weight',
        'context_decoder.memory_proj.1.bias', 'context_decoder.decoder.2.self_attn.proj.bias',
        'context_decoder.decoder.0.cross_attn.proj.weight', 'context_decoder.decoder.0.norm3.weight',
        'context_decoder.decoder.0.mlp.3.weight', 'ema.weight',
    )] == [
        'head.feature_loss.logit_scale', f'{learner}cross_attention.gamma', 'backbone.tower.layer1.0.conv1.weight',
        'head.final_layer.bias', 'head.upsample.deconv_layers.0.weight', f'{learner}text_encoder.tower.ln_final.bias',
        f'{learner}prompt_encoder.ln_final.weight', f'{learner}cross_attention.memory_proj.1.bias',
        f'{learner}cross_attention.layers.2.self_attn.out_proj.bias',
        f'{learner}cross_attention.layers.0.multihead_attn.out_proj.weight',
        f'{learner}cross_attention.layers.0.norm3.weight', f'{learner}cross_attention.layers.0.linear2.weight', None,
    ]  # fmt: skip


def test_changes_values_where_the_released_code_differs():
    released = {
        'contexts': torch.tensor([[[1.0, 2.0], [3.0, 4.0]]]),
        'backbone.class_embedding': torch.tensor([0.5, -1.0]),
        'text_projection': torch.ones(2, 2),
        'prompt_encoder.positional_embedding': torch.full((3, 2), torch.nan),
        'prompt_encoder.text_projection': torch.ones(2, 2),
        'oddity': torch.ones(1),
        **released_attention(),
    }
    converted, unknown = tool.convert(released)
    assert unknown == ['oddity']
    attention = 'head.prompt_learner.cross_attention.layers.1.multihead_attn.in_proj_'
    assert {name: tensor.tolist() for name, tensor in converted.items()} == {
        'head.prompt_learner.context': [[1, 2], [3, 4]],
        'backbone.tower.class_embedding': [1, -2],
        f'{attention}weight': [[1, 1], [1, 1], [2, 2], [2, 2], [3, 3], [3, 3]],
        f'{attention}bias': [0, 0, 0, 0, 0, 0],
    }


def test_lists_all_that_does_not_fit():
    model = torch.nn.Linear(2, 3)
    with pytest.raises(ValueError, match='not of the model') as error:
        tool.check_entries({'weight': torch.ones(3, 3), 'scale': torch.ones(1)}, ['oddity'], model)
    assert str(error.value).splitlines()[1:] == [
        '  unknown: oddity',
        '  not in our model: scale',
        '  missing: bias (3,)',
        '  another shape: weight is (3, 3), the config wants (3, 2)',
    ]


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (dict(state_dict={'backbone.tower.conv1.weight': torch.ones(1)}), 'no released CLAMP checkpoint'),
        (dict(weights={}), 'no state_dict'),
        (None, 'cannot be read'),
    ],
)
def test_refuses_other_files_and_writes_nothing(tmp_path, content, message):
    source, out = tmp_path / 'old.pth', tmp_path / 'new.pth'
    torch.save(content, source) if content else source.write_bytes(b'PK\x03\x04cut short')
    with pytest.raises(SystemExit, match=message):
        tool.main([str(source), str(out)])
    assert list(tmp_path.iterdir()) == [source]


def test_overwrites_nothing(tmp_path, capsys):
    out = tmp_path / 'new.pth'
    out.write_text('precious')
    (tmp_path / 'old.pth').touch()
    with pytest.raises(SystemExit):
        tool.main([str(tmp_path / 'old.pth'), str(out)])
    assert 'is there already' in capsys.readouterr().err
    assert out.read_text() == 'precious'


def seeded():
    """The module that makes the fixtures' weights and inputs."""
    spec = importlib.util.spec_from_file_location('seeded', PARITY / 'seeded.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(params=[('r50', 'res50', 8), ('vitb', 'ViTB', 16)], scope='module', ids=['r50', 'vitb'])
def released(request, tmp_path_factory):
    """Our model with a converted checkpoint, the inputs, and what the released code computes of them."""
    name, fixture, grid = request.param
    folder = tmp_path_factory.mktemp(name)
    torch.save(dict(state_dict=seeded().seeded_state_dict(PARITY / f'{fixture}_keys.json')), folder / 'old.pth')
    tool.main([str(folder / 'old.pth'), str(folder / 'new.pth')])
    model = MODELS.build(Config.fromfile(tool.CONFIG.format(name)).model).eval()
    model.load_state_dict(torch.load(folder / 'new.pth', weights_only=True)['state_dict'])
    (folder / 'old.pth').unlink(), (folder / 'new.pth').unlink()
    images, keypoints, cells = seeded().seeded_inputs(256, grid)
    with torch.no_grad():
        yield model, model.backbone(images), keypoints, cells, grid, np.load(PARITY / f'{fixture}.npz')


def assert_parity(ours, theirs) -> None:
    """Within 1e-4 of the largest value."""
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    assert ours.shape == theirs.shape
    assert np.abs(ours - theirs).max() <= 1e-4 * np.abs(theirs).max()


@needs_parity
@pytest.mark.slow
@torch.no_grad()
def test_features_prompts_and_maps_are_the_released_codes(released):
    model, feats, _, _, _, theirs = released
    head = model.head
    learner = head.prompt_learner
    global_embed, image_embeds, feature_map = feats
    assert_parity(global_embed, theirs['global_embed'])
    assert_parity(image_embeds[:, ::4], theirs['image_embeds'])
    assert_parity(feature_map.mean((2, 3)), theirs['feature_map_mean'])
    assert_parity(learner.text_encoder(learner.context), theirs['text_embeds'])
    assert_parity(learner.encode_prompts(), theirs['encoded_prompts'])
    heatmaps, score_map, text_embeds = head._forward(feats)
    assert_parity(text_embeds, theirs['prompt_embeds'])
    assert_parity(score_map, theirs['score_map'])
    assert_parity(heatmaps[:1], theirs['heatmaps'])
    assert_parity(head.upsample((score_map[:1],)), theirs['upsampled_score_map'])


@needs_parity
@pytest.mark.slow
@torch.no_grad()
def test_losses_are_the_released_codes(released):
    model, feats, keypoints, cells, grid, theirs = released
    head = model.head
    codec = MSRAHeatmap(input_size=(256, 256), heatmap_size=(64, 64), sigma=2)
    targets = torch.stack([torch.from_numpy(codec.encode(points[None].numpy())['heatmaps']) for points in keypoints])
    weights = torch.ones(keypoints.shape[:2])
    heatmaps, score_map, text_embeds = head._forward(feats)
    assert_parity(head.loss_module(heatmaps, targets, weights), theirs['loss_kpt'])
    assert_parity(head.spatial_loss(head.upsample((score_map,)), targets, weights), theirs['loss_spatial_weighted'])
    centres = (cells + 0.5) / grid  # the released code takes whole cells
    loss = head.feature_loss(feats[1], text_embeds, centres.float(), weights) / head.feature_loss.loss_weight
    assert_parity(loss, theirs['loss_feature'])


def vitl_keys() -> list[tuple[str, list[int]]]:
    """Names and shapes of a released ViT-L/14 checkpoint, by the rules of ViT-B's."""

    def blocks(prefix: str, width: int, number: int) -> list:
        shapes = [('attn.in_proj_weight', [3 * width, width]), ('attn.in_proj_bias', [3 * width])]
        shapes += [('attn.out_proj.weight', [width, width]), ('attn.out_proj.bias', [width])]
        shapes += [(f'{norm}.{kind}', [width]) for norm in ('ln_1', 'ln_2') for kind in ('weight', 'bias')]
        shapes += [('mlp.c_fc.weight', [4 * width, width]), ('mlp.c_fc.bias', [4 * width])]
        shapes += [('mlp.c_proj.weight', [width, 4 * width]), ('mlp.c_proj.bias', [width])]
        return [(f'{prefix}.transformer.resblocks.{i}.{name}', shape) for i in range(number) for name, shape in shapes]

    def pair(name: str, *shape: int) -> list:
        return [(f'{name}.weight', list(shape)), (f'{name}.bias', [shape[0]])]

    keys = [('logit_scale', []), ('text_projection', [768, 768]), ('contexts', [1, 8, 768]), ('gamma', [768])]
    keys += [('backbone.class_embedding', [1024]), ('backbone.positional_embedding', [257, 1024])]
    keys += [('backbone.proj', [1024, 768]), ('backbone.conv1.weight', [1024, 3, 14, 14])]
    keys += pair('backbone.ln_pre', 1024) + blocks('backbone', 1024, 24) + pair('backbone.ln_post', 1024)
    for head, inputs, channels in (('keypoint_head', 1041, 256), ('upconv_head', 17, 17)):
        for layer, first in ((0, inputs), (3, channels)):
            keys += [(f'{head}.deconv_layers.{layer}.weight', [first, channels, 4, 4])]
            norm = f'{head}.deconv_layers.{layer + 1}'
            keys += [*pair(norm, channels), (f'{norm}.running_mean', [channels]), (f'{norm}.running_var', [channels])]
            keys += [(f'{norm}.num_batches_tracked', [])]
        keys += pair(f'{head}.final_layer', 17, channels, 1, 1)
    keys += [('text_encoder.positional_embedding', [13, 768]), ('text_encoder.text_projection', [768, 768])]
    keys += [*blocks('text_encoder', 768, 12), ('text_encoder.token_embedding.weight', [49408, 768])]
    keys += pair('text_encoder.ln_final', 768)
    decoder = 'context_decoder.'
    keys += pair(f'{decoder}memory_proj.0', 768) + pair(f'{decoder}memory_proj.1', 256, 768)
    keys += pair(f'{decoder}memory_proj.2', 256)
    keys += pair(f'{decoder}text_proj.0', 768) + pair(f'{decoder}text_proj.1', 256, 768)
    for i in range(3):
        layer = f'{decoder}decoder.{i}.'
        for attention in ('self_attn', 'cross_attn'):
            keys += [(f'{layer}{attention}.{x}_proj.weight', [256, 256]) for x in 'qkv']
            keys += pair(f'{layer}{attention}.proj', 256, 256)
        keys += [entry for norm in (1, 2, 3) for entry in pair(f'{layer}norm{norm}', 256)]
        keys += pair(f'{layer}mlp.0', 1024, 256) + pair(f'{layer}mlp.3', 256, 1024)
    keys += pair(f'{decoder}out_proj.0', 256) + pair(f'{decoder}out_proj.1', 768, 256)
    keys += [('prompt_encoder.positional_embedding', [17, 768]), ('prompt_encoder.text_projection', [768, 768])]
    return keys + blocks('prompt_encoder', 768, 1) + pair('prompt_encoder.ln_final', 768)


@pytest.mark.slow
@torch.no_grad()
def test_vitl_converts_with_its_eight_text_heads(tmp_path):
    generator = torch.Generator().manual_seed(0)
    released = {}
    for name, shape in vitl_keys():
        noise = torch.randn(shape, generator=generator) * 0.02
        released[name] = noise.abs() + 1 if name.endswith(('running_var', 'ln_1.weight')) else noise
        if name.endswith('num_batches_tracked'):
            released[name] = torch.zeros([], dtype=torch.long)
    assert len(released) == 567  # as the released model has
    config = tool.find_config(released)
    assert config == 'configs/ap10k/clamp_vitl_released.py'
    converted, unknown = tool.convert(released)
    model = MODELS.build(Config.fromfile(config).model).eval()
    tool.check_entries(converted, unknown, model)
    model.load_state_dict(converted)
    learner = model.head.prompt_learner
    prompts = learner.text_encoder(learner.context)
    blocks = learner.text_encoder.tower.transformer.resblocks
    assert [block.attn.num_heads for block in blocks] == [8] * 12
    for block in blocks:
        block.attn.num_heads, block.attn.head_dim = 12, 64  # CLIP's own
    assert (prompts - learner.text_encoder(learner.context)).abs().max() > 1e-3
    assert model.head(model.backbone(torch.randn(1, 3, 224, 224, generator=generator))).shape == (1, 17, 64, 64)
