import copy

import pytest
import torch
from open_clip.model import _build_vision_tower
from timm.layers import AttentionPoolLatent

from clamp.models.clip_backbone import CLIPBackbone
from clamp.models.image_towers import IMAGE_TOWERS, DenseTimm, image_tower_kind, image_tower_layout, resize_positions
from tests.repository import slow_except
from tests.tiny_models import TEXT_CFG, make_nonzero, random_clip, tiny_clip
from tests.tiny_timm import KINDS, tiny_timm_clip

CLIPA = dict(layers=2, width=32, head_width=16, patch_size=8, image_size=32, pool_type='avg', no_ln_pre=True)


def backbone_of(kind: str, **kwargs) -> tuple[CLIPBackbone, torch.Tensor]:
    clip = tiny_timm_clip(kind)
    size = clip['vision_cfg']['image_size']
    backbone = CLIPBackbone(clip, input_size=(size, size), **kwargs)
    make_nonzero(backbone.tower)
    return backbone, torch.randn(2, 3, size, size)


@pytest.fixture(params=slow_except(KINDS, 'convnext', 'siglip', 'eva'))
def timm_kind(request) -> str:
    return request.param


def test_global_embed_is_open_clips(timm_kind):
    backbone, images = backbone_of(timm_kind)
    clip = tiny_timm_clip(timm_kind)
    reference = _build_vision_tower(clip['embed_dim'], clip['vision_cfg'])
    reference.load_state_dict(backbone.tower.state_dict())
    global_embed, image_embeds, feature_map = backbone.eval()(images)
    torch.testing.assert_close(global_embed, reference.eval()(images), atol=1e-4, rtol=1e-4)
    _, stride, channels = KINDS[timm_kind]
    grid = (images.shape[-1] // stride,) * 2
    assert image_embeds.shape == (2, clip['embed_dim'], *grid)
    assert feature_map.shape == (2, channels, *grid)
    assert image_tower_layout(clip) == (stride, channels)


@pytest.mark.parametrize('kind', ['convnext', 'efficientnet', 'swin', 'vitamin', 'fastvit'])
def test_mean_pooling_is_linear_so_the_embeds_of_a_uniform_image_are_that_of_the_image(kind):
    """Where all positions are alike, the mean is each of them, and so is its embedding."""
    backbone, _ = backbone_of(kind)
    dense = backbone.eval().dense
    one = torch.randn(1, KINDS[kind][2])
    features = dict(swin=one[:, None, None].expand(-1, 2, 2, -1), vitamin=one[:, None].expand(-1, 16, -1))
    features = features.get(kind, one[..., None, None].expand(-1, -1, 2, 2))
    global_embed, image_embeds = dense.embeds(features)
    torch.testing.assert_close(image_embeds, global_embed[:, None].expand_as(image_embeds), atol=1e-5, rtol=1e-4)


def test_embeds_of_attention_pooling_are_its_values_projected():
    """MaskCLIP's way, written out: value and output projection, then the pooler's MLP, without the softmax."""
    backbone, images = backbone_of('siglip')
    trunk = backbone.eval().tower.trunk
    _, image_embeds, _ = backbone(images)
    pool = trunk.attn_pool
    assert isinstance(pool, AttentionPoolLatent)
    tokens = trunk.forward_features(images)
    values = pool.proj(pool.kv(tokens)[..., pool.kv.out_features // 2 :])
    expected = values + pool.mlp(pool.norm(values))
    torch.testing.assert_close(image_embeds.flatten(2).transpose(1, 2), expected, atol=1e-5, rtol=1e-4)


def test_every_parameter_is_used_with_and_without_embeds(timm_kind):
    for with_embeds in (True, False):
        backbone, images = backbone_of(timm_kind, with_embeds=with_embeds)
        sum(output.square().sum() for output in backbone.train()(images)).backward()
        unused = [name for name, parameter in backbone.named_parameters() if parameter.grad is None]
        assert unused == [], with_embeds


def test_same_feature_map_without_embeds(timm_kind):
    backbone, images = backbone_of(timm_kind)
    bare, _ = backbone_of(timm_kind, with_embeds=False)
    bare.load_state_dict(backbone.state_dict(), strict=False)
    torch.testing.assert_close(bare.eval()(images)[-1], backbone.eval()(images)[-1])


def test_oblong_inputs_and_tables_of_positions(timm_kind):
    """A tower is built for 3x2 cells and loads the weights of CLIP's own size."""
    backbone, _ = backbone_of(timm_kind)
    stride = KINDS[timm_kind][1]
    oblong = CLIPBackbone(tiny_timm_clip(timm_kind), input_size=(2 * stride, 3 * stride))
    missing = oblong.load_state_dict(backbone.state_dict(), strict=False).missing_keys
    assert missing == []
    assert oblong.eval()(torch.randn(1, 3, 3 * stride, 2 * stride))[1].shape[-2:] == (3, 2)
    if oblong.dense.position_table:
        own, theirs = (b.tower.get_parameter(b.dense.position_table)[0] for b in (oblong, backbone))
        torch.testing.assert_close(own, resize_positions(theirs, backbone.dense.grid_size, (3, 2)))


@pytest.mark.filterwarnings('ignore::UserWarning')  # timm's own
def test_a_table_of_relative_positions_is_stretched():
    """Of 4x4 cells, 7x7 offsets and three rows of the class token, to one of 3x2 cells, 5x3 offsets."""
    square, _ = backbone_of('relpos')
    down, right = torch.meshgrid(torch.arange(-3.0, 4), torch.arange(-3.0, 4), indexing='ij')
    class_token = torch.full((3, 2), 9.0)
    name = 'trunk.blocks.0.attn.rel_pos.relative_position_bias_table'
    with torch.no_grad():
        table = torch.stack([down, right], dim=-1).flatten(0, 1)
        square.tower.get_parameter(name).copy_(torch.cat([table, class_token]))
    oblong = CLIPBackbone(tiny_timm_clip('relpos'), input_size=(16, 24))
    oblong.load_state_dict(square.state_dict())
    table, kept = oblong.tower.get_parameter(name).split([15, 3])
    torch.testing.assert_close(kept, class_token)
    down, right = table.view(5, 3, 2).unbind(-1)  # what was linear in one direction still grows in that one alone
    for grid in (down, right.T):
        torch.testing.assert_close(grid, grid[:, :1].expand_as(grid), atol=1e-4, rtol=0)
        torch.testing.assert_close(grid, -grid.flip(0), atol=1e-4, rtol=0)
        assert (grid[1:] > grid[:-1] + 0.5).all()


def test_copies_have_weights_of_their_own(timm_kind):
    backbone, images = backbone_of(timm_kind)
    other = copy.deepcopy(backbone.eval())
    before = backbone(images)[0]
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.mul_(1.5)
    torch.testing.assert_close(backbone(images)[0], before)
    assert not torch.allclose(other(images)[0], before)
    assert other.dense.tower is other.tower


def test_a_timm_vit_takes_the_size_it_was_built_for_alone():
    backbone, _ = backbone_of('siglip')
    with pytest.raises(ValueError, match=r'built for an input_size of \(32, 32\) \(W, H\), the images are \(40, 32\)'):
        backbone(torch.randn(1, 3, 32, 40))
    with pytest.raises(ValueError, match='Cells of 8 pixels do not tile an input of 36x32'):
        CLIPBackbone(tiny_timm_clip('eva'), input_size=(36, 32))


def test_stochastic_depth_is_timms():
    backbone, images = backbone_of('eva', drop_path_rate=0.9)
    same = images[:1].expand(16, -1, -1, -1)
    embeds = backbone.train()(same)[0]
    assert len({tuple(row) for row in embeds.mul(1e3).round().tolist()}) > 1
    clip = tiny_timm_clip('efficientnet') | dict(vision_cfg=dict(timm_model_name='densenet121', image_size=64))
    with pytest.raises(ValueError, match=r'drop_path_rate=0\.5'):
        CLIPBackbone(clip, input_size=(64, 64), drop_path_rate=0.5)


def test_gradient_checkpointing_where_there_is_no_batch_norm():
    gradients = []
    for with_cp in (False, True):
        torch.manual_seed(0)
        backbone, _ = backbone_of('convnext', with_cp=with_cp)
        sum(output.sum() for output in backbone.train()(torch.ones(1, 3, 64, 64))).backward()
        gradients.append({name: parameter.grad for name, parameter in backbone.named_parameters()})
    torch.testing.assert_close(*gradients)
    with pytest.raises(ValueError, match='batch norms would count each batch twice'):
        backbone_of('efficientnet', with_cp=True)


@pytest.mark.parametrize('final_ln_after_pool', [False, True])
def test_average_pooled_vit(final_ln_after_pool):
    """CLIPA's: the norm comes before or after the mean, and each position gets norm and projection."""
    clip = dict(embed_dim=24, text_cfg=TEXT_CFG, vision_cfg=CLIPA | dict(final_ln_after_pool=final_ln_after_pool))
    backbone = CLIPBackbone(clip, input_size=(32, 32)).eval()
    tower = make_nonzero(random_clip(clip).visual)
    backbone.tower.load_state_dict(tower.state_dict())
    images = torch.randn(2, 3, 32, 32)
    global_embed, image_embeds, _ = backbone(images)
    torch.testing.assert_close(global_embed, tower(images), atol=1e-4, rtol=1e-4)
    tokens = tower.transformer(tower._embeds(images))
    expected = tower.ln_post(tokens[:, 3]) @ tower.proj
    torch.testing.assert_close(image_embeds[:, :, 0, 2], expected, atol=1e-4, rtol=1e-4)


def test_the_table_of_kinds():
    assert image_tower_kind(tiny_timm_clip('eva')) is DenseTimm is IMAGE_TOWERS[0]
    assert {image_tower_kind(tiny_clip(kind)) for kind in ('vit', 'resnet')} == set(IMAGE_TOWERS[1:])
    with pytest.raises(ValueError, match='coca_ViT-B-32 is of no kind known here: CoCa pools'):
        image_tower_kind(dict(model_name='coca_ViT-B-32'))
    clip = tiny_timm_clip('eva') | dict(vision_cfg=dict(timm_model_name='convnext_bse'))
    with pytest.raises(ValueError, match=r"timm knows no timm_model_name='convnext_bse'\. Close to it: convnext_"):
        image_tower_layout(clip)


@pytest.mark.parametrize(
    ('name', 'layout'),
    [
        ('RN50x4-quickgelu', (32, 2560)),
        ('ViT-L-14-336-quickgelu', (14, 1024)),
        ('ViT-B-16-SigLIP2', (16, 768)),
        ('MobileCLIP2-S4', (64, 4096)),
        ('convnext_base_w', (32, 1024)),
        ('ViTamin-L2-384', (16, 1024)),
        ('PE-Core-L-14-336', (14, 1024)),
    ],
)
def test_stride_and_channels_of_open_clips_models(name, layout):
    assert image_tower_layout(dict(model_name=name)) == layout
