"""Tiny towers of timm, one of each kind that open_clip's models have, and their sizes as a CLIP in a config."""

from timm.models import register_model
from timm.models.convnext import ConvNeXt
from timm.models.eva import Eva
from timm.models.fastvit import FastVit
from timm.models.swin_transformer import SwinTransformer
from timm.models.vision_transformer import VisionTransformer
from timm.models.vision_transformer_relpos import VisionTransformerRelPos


def _register(name: str, cls: type, **sizes) -> None:
    def build(pretrained: bool = False, pretrained_cfg=None, pretrained_cfg_overlay=None, cache_dir=None, **kwargs):
        model = cls(**sizes | kwargs)
        model.default_cfg = dict(pool_size=None if hasattr(model, 'num_prefix_tokens') else (2, 2))
        return model

    build.__name__, build.__module__ = name, __name__
    register_model(build)


__all__ = []  # timm's register_model adds to it
VIT = dict(img_size=32, patch_size=8, embed_dim=32, depth=2, num_heads=2)
_register('tiny_convnext', ConvNeXt, depths=(1, 1, 1, 1), dims=(4, 8, 12, 16))
_register('tiny_fastvit', FastVit, layers=(1, 1, 1, 1), embed_dims=(8, 8, 16, 16), mlp_ratios=(2,) * 4)
_register(
    'tiny_swin', SwinTransformer, img_size=64, embed_dim=8, depths=(1, 1, 1, 1), num_heads=(2,) * 4, window_size=2
)
_register('tiny_vit', VisionTransformer, **VIT)
_register('tiny_vit_no_class', VisionTransformer, **VIT, class_token=False, global_pool='avg', fc_norm=True)
_register('tiny_siglip', VisionTransformer, **VIT, class_token=False, global_pool='map')
_register('tiny_eva', Eva, **VIT, use_rot_pos_emb=True, qkv_fused=True, global_pool='token')
_register('tiny_pe', Eva, **VIT, use_rot_pos_emb=True, global_pool='map', attn_type='rope', ref_feat_shape=(4, 4))
_register('tiny_relpos', VisionTransformerRelPos, **VIT, class_token=True, global_pool='avg', rel_pos_type='bias')

# the towers' names with pool and projection as open_clip's configs have them, the stride and the channels C
KINDS = dict(
    convnext=(dict(timm_model_name='tiny_convnext', timm_pool='', timm_proj='linear'), 32, 16),
    convnext_mlp=(dict(timm_model_name='tiny_convnext', timm_pool='', timm_proj='mlp'), 32, 16),
    fastvit=(dict(timm_model_name='tiny_fastvit', timm_pool='avg', timm_proj=None), 32, 32),
    efficientnet=(dict(timm_model_name='test_efficientnet', timm_pool='avg', timm_proj='linear'), 32, 256),
    swin=(dict(timm_model_name='tiny_swin', timm_pool='', timm_proj='linear'), 32, 64),
    vitamin=(dict(timm_model_name='tiny_vit_no_class', timm_pool='', timm_proj='linear'), 8, 32),
    mobileclip_b=(dict(timm_model_name='tiny_vit', timm_pool='token', timm_proj=None), 8, 32),
    siglip=(dict(timm_model_name='tiny_siglip', timm_pool='map', timm_proj='none'), 8, 32),
    eva=(dict(timm_model_name='tiny_eva', timm_pool='token', timm_proj=None), 8, 32),
    pe=(dict(timm_model_name='tiny_pe', timm_pool='map', timm_proj=None), 8, 32),
    relpos=(dict(timm_model_name='tiny_relpos', timm_pool='', timm_proj='linear'), 8, 32),
)


def tiny_timm_clip(kind: str, **kwargs) -> dict:
    """Config of a CLIP with a tiny image tower of timm, for inputs of 32x32 (ViTs) or 64x64."""
    vision_cfg, stride, channels = KINDS[kind]
    embed_dim = channels if vision_cfg['timm_proj'] == 'none' else 24  # SigLIP has no projection
    text_cfg = dict(width=32, heads=2, layers=2, context_length=20, vocab_size=49408)
    size = 64 if stride == 32 else 32
    return dict(embed_dim=embed_dim, vision_cfg=vision_cfg | dict(image_size=size), text_cfg=text_cfg) | kwargs
