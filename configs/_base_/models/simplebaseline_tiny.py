# SimpleBaseline at 128x128 with the image tower of clamp_tiny.py.
_base_ = './simplebaseline_r50.py'

model = dict(
    backbone=dict(
        clip=dict(
            _delete_=True,
            embed_dim=128,
            vision_cfg=dict(layers=(1, 1, 1, 1), width=16, image_size=128),
            text_cfg=dict(),
        ),
        input_size=(128, 128),
    ),
    head=dict(in_channels=512, deconv_out_channels=(48, 48, 48)),
)
