import pytest
import torch
from mmengine.runner import load_checkpoint
from mmengine.runner.checkpoint import get_state_dict, save_checkpoint

from clamp.models.clip_backbone import CLIPBackbone
from clamp.models.image_towers import resize_positions
from tests.tiny_models import random_clip, tiny_clip


def backbone_and_clip(kind: str, **kwargs):
    """Return our backbone with the weights of open_clip's model, and that model."""
    clip = tiny_clip(kind)
    size = clip['vision_cfg']['image_size']
    backbone = CLIPBackbone(clip, input_size=(size, size), **kwargs).eval()
    reference = random_clip(clip)
    backbone.tower.load_state_dict(reference.visual.state_dict(), strict=False)
    return backbone, reference, torch.randn(2, 3, size, size)


def test_global_embed_is_open_clips_image_embedding(kind):
    backbone, reference, images = backbone_and_clip(kind)
    global_embed, _, _ = backbone(images)
    torch.testing.assert_close(global_embed, reference.encode_image(images), atol=1e-4, rtol=1e-4)


def test_shapes_and_feature_map_last(kind):
    backbone, _, images = backbone_and_clip(kind)
    shapes = [tuple(output.shape) for output in backbone(images)]
    grid, channels = ((4, 4), 32) if kind == 'vit' else ((2, 2), 256)
    assert shapes == [(2, 24), (2, 24, *grid), (2, channels, *grid)]


def test_vit_embeds_are_projected_block_outputs():
    backbone, reference, images = backbone_and_clip('vit')
    _, image_embeds, feature_map = backbone(images)
    tower = reference.visual
    tokens = tower.transformer(tower._embeds(images))[:, 1:]
    torch.testing.assert_close(feature_map.flatten(2).transpose(1, 2), tokens, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(image_embeds[0, :, 1, 2], tower.ln_post(tokens[0, 6]) @ tower.proj, atol=1e-5, rtol=1e-4)


def test_resnet_embed_is_open_clips_pooling_with_that_position_as_query():
    backbone, reference, images = backbone_and_clip('resnet')
    _, image_embeds, feature_map = backbone(images)
    pool = reference.visual.attnpool
    tokens = feature_map.flatten(2).permute(2, 0, 1)
    tokens = torch.cat([tokens.mean(0, keepdim=True), tokens]) + pool.positional_embedding[:, None]
    attended, _ = torch.nn.functional.multi_head_attention_forward(
        tokens[3:4], tokens, tokens, tokens.shape[-1], pool.num_heads, None,
        torch.cat([pool.q_proj.bias, pool.k_proj.bias, pool.v_proj.bias]), None, None, False, 0,
        pool.c_proj.weight, pool.c_proj.bias, use_separate_proj_weight=True, q_proj_weight=pool.q_proj.weight,
        k_proj_weight=pool.k_proj.weight, v_proj_weight=pool.v_proj.weight, need_weights=False,
    )  # fmt: skip
    torch.testing.assert_close(image_embeds[:, :, 1, 0], attended[0], atol=1e-4, rtol=1e-4)


def test_without_embeds_every_parameter_is_used(kind):
    backbone, _, images = backbone_and_clip(kind, with_embeds=False)
    (feature_map,) = backbone(images)
    feature_map.sum().backward()
    assert all(parameter.grad is not None for parameter in backbone.parameters())


def test_with_embeds_every_parameter_is_used(kind):
    backbone, _, images = backbone_and_clip(kind)
    sum(output.sum() for output in backbone(images)).backward()
    assert all(parameter.grad is not None for parameter in backbone.parameters())


def test_same_features_at_both_settings(kind):
    backbone, _, images = backbone_and_clip(kind)
    bare = CLIPBackbone(tiny_clip(kind), input_size=tuple(images.shape[-1:]) * 2, with_embeds=False).eval()
    bare.load_state_dict(backbone.state_dict(), strict=False)
    torch.testing.assert_close(bare(images)[-1], backbone(images)[-1])


def test_input_size_may_differ_and_be_oblong(kind):
    backbone, _, _ = backbone_and_clip(kind)
    stride = 8 if kind == 'vit' else 32
    _, image_embeds, feature_map = backbone(torch.randn(1, 3, 3 * stride, 5 * stride))
    assert image_embeds.shape == (1, 24, 3, 5)
    assert feature_map.shape[-2:] == (3, 5)


def test_clip_weights_are_resized_to_the_input_size(kind):
    clip = tiny_clip(kind)
    stride = 8 if kind == 'vit' else 32
    backbone = CLIPBackbone(clip, input_size=(6 * stride, 3 * stride))
    tower = random_clip(clip).visual
    backbone.tower.load_state_dict(tower.state_dict())
    source = tower if kind == 'vit' else tower.attnpool
    loaded = backbone.tower if kind == 'vit' else backbone.tower.attnpool
    assert loaded.positional_embedding.shape[0] == 1 + 6 * 3
    torch.testing.assert_close(loaded.positional_embedding[0], source.positional_embedding[0])


@pytest.mark.parametrize('keep', ['file', 'state_dict', 'bare'])
def test_positions_of_as_many_cells_in_another_grid_are_resized(kind, keep, tmp_path):
    """A checkpoint of 6x2 cells in a model of 2x6: as long a table, of other places. The grid is kept beside it."""
    stride = 8 if kind == 'vit' else 32
    upright, flat = (CLIPBackbone(tiny_clip(kind), (w * stride, h * stride)) for w, h in ((2, 6), (6, 2)))
    tables = [(b.tower if kind == 'vit' else b.tower.attnpool).positional_embedding for b in (upright, flat)]
    wanted = resize_positions(tables[0].detach(), (6, 2), (2, 6))
    if keep == 'file':  # as MMEngine saves and loads
        save_checkpoint(dict(state_dict=get_state_dict(upright)), str(tmp_path / 'epoch_1.pth'))
        load_checkpoint(flat, str(tmp_path / 'epoch_1.pth'))
    elif keep == 'state_dict':
        flat.load_state_dict(upright.state_dict())
    else:  # nothing tells the grid
        flat.load_state_dict(dict(upright.state_dict()))
        wanted = tables[0]
    torch.testing.assert_close(tables[1], wanted)


def test_clips_own_grid_is_resized_to_one_of_as_many_cells(tmp_path):
    clip = tiny_clip('vit', pretrained=str(tmp_path / 'clip.pt'))  # 4x4 cells
    reference = random_clip(clip)
    torch.save(reference.state_dict(), clip['pretrained'])
    backbone = CLIPBackbone(clip, input_size=(64, 16))  # 2x8
    backbone.init_weights()
    wanted = resize_positions(reference.visual.positional_embedding, (4, 4), (2, 8))
    torch.testing.assert_close(backbone.tower.positional_embedding, wanted)


def test_resize_positions_by_hand():
    # a class token, then a 1x2 grid with values 0 and 4; half-pixel centres put 4 columns at 0, 1, 3, 4
    table = torch.tensor([[9.0], [0.0], [4.0]])
    resized = resize_positions(table, (1, 2), (1, 4))
    assert resized.flatten().tolist() == [9, 0, 1, 3, 4]
    assert resize_positions(table, (1, 2), (1, 2)) is table


def test_patches_that_do_not_tile_are_an_error():
    with pytest.raises(ValueError, match='Cells of 8 pixels do not tile an input of 36x32'):
        CLIPBackbone(tiny_clip('vit'), input_size=(36, 32))
    backbone = CLIPBackbone(tiny_clip('vit'), input_size=(32, 32))
    with pytest.raises(ValueError, match='do not tile'):
        backbone(torch.randn(1, 3, 30, 32))


def test_stochastic_depth_drops_samples_and_only_in_training():
    clip = tiny_clip('vit')
    backbone = CLIPBackbone(clip, input_size=(32, 32), drop_path_rate=0.5)
    images = torch.randn(1, 3, 32, 32).expand(64, -1, -1, -1)
    outputs = backbone.train()(images)[0]
    # only the second of two blocks drops, each of its branches for half the samples: 4 different outcomes
    distinct = {tuple(row) for row in (outputs * 1e3).round().tolist()}
    assert len(distinct) == 4
    outputs = backbone.eval()(images)[0]
    torch.testing.assert_close(outputs, outputs[:1].expand_as(outputs), atol=1e-5, rtol=1e-4)


def test_stochastic_depth_keeps_the_parameter_names():
    plain = CLIPBackbone(tiny_clip('vit'), input_size=(32, 32))
    deep = CLIPBackbone(tiny_clip('vit'), input_size=(32, 32), drop_path_rate=0.4)
    assert plain.state_dict().keys() == deep.state_dict().keys()


def test_gradient_checkpointing_gives_the_same_gradients():
    """Stochastic depth included: what is computed again draws the same numbers again."""
    images, gradients = torch.randn(4, 3, 32, 32), []
    backbone = CLIPBackbone(tiny_clip('vit'), input_size=(32, 32), drop_path_rate=0.5)
    checkpointed = CLIPBackbone(tiny_clip('vit'), input_size=(32, 32), drop_path_rate=0.5, with_cp=True)
    checkpointed.load_state_dict(backbone.state_dict())
    for model in (backbone, checkpointed):
        calls = []
        model.tower.transformer.resblocks[1].register_forward_pre_hook(lambda *_: calls.append(1))  # noqa: B023
        torch.manual_seed(1)
        sum(output.sum() for output in model.train()(images)).backward()
        gradients.append({name: parameter.grad for name, parameter in model.named_parameters()})
        assert len(calls) == (2 if model is checkpointed else 1)
    torch.testing.assert_close(gradients[1], gradients[0])
    with pytest.raises(ValueError, match='with_cp=True is not for this tower: its batch norms'):
        CLIPBackbone(tiny_clip('resnet'), input_size=(64, 64), with_cp=True)


def test_another_size_has_positions_in_its_own_grid(kind):
    """Wide images: a table resized beforehand, as the weights are loaded, is the one resized in each call."""
    backbone, _, _ = backbone_and_clip(kind)
    stride = 8 if kind == 'vit' else 32
    other = CLIPBackbone(tiny_clip(kind), input_size=(5 * stride, 3 * stride)).eval()
    other.load_state_dict(backbone.state_dict())
    images = torch.randn(1, 3, 3 * stride, 5 * stride)
    for ours, theirs in zip(backbone(images), other(images)):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)
