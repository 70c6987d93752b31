# SimpleBaseline at 128x128 with EfficientNet-Lite0 of ImageNet, the image tower of clamp_lite0-minilm.py.
_base_ = './simplebaseline_r50.py'

model = dict(
    backbone=dict(
        clip=dict(
            _delete_=True,
            embed_dim=384,
            vision_cfg=dict(timm_model_name='tf_efficientnet_lite0', timm_pool='avg', image_size=128),
            text_cfg=dict(),
            pretrained=dict(image='weights/efficientnet_lite0.safetensors'),
        ),
        input_size=(128, 128),
    ),
    head=dict(in_channels=1280, deconv_out_channels=(64, 64, 64)),
)
