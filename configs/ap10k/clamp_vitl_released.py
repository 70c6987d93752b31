# For the authors' released ViT-L/14 checkpoint, converted by tools/convert_checkpoint.py, which holds all CLIP weights.
# Its text encoder knows 13 positions: [SOT], 8 context tokens, a name of up to 3 tokens, [EOT].
# Its text encoder has 8 heads, where CLIP's has 12.
_base_ = './clamp_vitl.py'

text_encoder = dict(
    _delete_=True,
    embed_dim=768,
    quick_gelu=True,
    vision_cfg=dict(),
    text_cfg=dict(context_length=13, width=768, heads=8, layers=12),
)
model = dict(backbone=dict(clip=dict(pretrained=None)), head=dict(prompt_learner=dict(text_encoder=text_encoder)))
