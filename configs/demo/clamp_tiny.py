# CLAMP on generated animals, with a small CLIP of random weights: a few minutes on two CPU cores
_base_ = ['../_base_/models/clamp_r50.py', '../_base_/datasets/demo_128x128.py', '../_base_/schedules/demo.py']

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
        out_channels=len(_base_.keypoint_names),
        deconv_out_channels=(64, 64, 64),
        upsample_channels=None,
        decoder=_base_.codec,
        prompt_learner=dict(
            keypoint_names=_base_.keypoint_names, text_encoder=clip, cross_attention=dict(width=128, num_layers=1)
        ),
    ),
)
