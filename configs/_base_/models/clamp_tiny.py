# CLAMP at 128x128 with a small CLIP of random weights, to train from scratch in minutes.
_base_ = './clamp_r50.py'

clip = dict(
    _delete_=True,
    embed_dim=128,
    vision_cfg=dict(layers=(1, 1, 1, 1), width=16, image_size=128),
    text_cfg=dict(width=64, heads=2, layers=2),
)
model = dict(
    backbone=dict(clip=clip, input_size=(128, 128)),
    head=dict(
        in_channels=512,
        deconv_out_channels=(48, 48, 48),
        upsample_channels=None,
        prompt_learner=dict(text_encoder=clip, cross_attention=dict(width=128, num_layers=1)),
        # at the 0.4 of a pretrained CLIP it drowns loss_kpt while a small random one finds its feet
        spatial_loss=dict(loss_weight=0.05),
    ),
)
