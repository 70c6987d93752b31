# CLAMP at 128x128 with two small pretrained towers that were never trained together: EfficientNet-Lite0 (ImageNet) and
# the sentence encoder MiniLM. python tools/prepare_lite_weights.py makes their files.
_base_ = './clamp_r50.py'

clip = dict(
    _delete_=True,
    embed_dim=384,
    vision_cfg=dict(timm_model_name='tf_efficientnet_lite0', timm_pool='avg', timm_proj='linear', image_size=128),
    text_cfg=dict(hf_model_name='weights/all-MiniLM-L6-v2', hf_pooler_type='mean_pooler', hf_proj_type=None),
    pretrained=dict(image='weights/efficientnet_lite0.safetensors', text='weights/all-MiniLM-L6-v2'),
)
model = dict(
    backbone=dict(clip=clip, input_size=(128, 128)),
    head=dict(
        in_channels=1280,
        deconv_out_channels=(64, 64, 64),
        upsample_channels=None,
        # as HeatmapHead's own; torch's, which is the default, makes loss_spatial drown loss_kpt for the first epochs
        upsample_init_cfg=[
            dict(type='Normal', layer=['Conv2d', 'ConvTranspose2d'], std=0.001),
            dict(type='Constant', layer='BatchNorm2d', val=1),
        ],
        prompt_learner=dict(text_encoder=clip),
        spatial_loss=dict(loss_weight=0.05),
    ),
)
