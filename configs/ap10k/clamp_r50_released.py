# For the authors' released ResNet-50 checkpoint, converted by tools/convert_checkpoint.py, which holds CLIP's weights.
# Its text encoder knows 13 positions: [SOT], 8 context tokens, a name of up to 3 tokens, [EOT].
_base_ = './clamp_r50.py'

text_encoder = dict(
    _delete_=True,
    embed_dim=1024,
    quick_gelu=True,
    vision_cfg=dict(),
    text_cfg=dict(context_length=13, width=512, heads=8, layers=12),
)
model = dict(backbone=dict(clip=dict(pretrained=None)), head=dict(prompt_learner=dict(text_encoder=text_encoder)))
