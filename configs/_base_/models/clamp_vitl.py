# CLAMP with CLIP's ViT-L/14, at 224x224. A leaf config adds the keypoint names, K and the codec of its data set.
_base_ = './clamp_vitb.py'

clip = dict(model_name='ViT-L-14-quickgelu')
model = dict(
    backbone=dict(clip=clip, input_size=(224, 224)),
    head=dict(in_channels=1024, prompt_learner=dict(text_encoder=clip), spatial_loss=dict(loss_weight=1.0)),
)
