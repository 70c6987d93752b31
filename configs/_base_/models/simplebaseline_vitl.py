# SimpleBaseline with the image tower of CLIP's ViT-L/14, at 224x224. A leaf config adds K and the codec.
_base_ = './simplebaseline_vitb.py'

model = dict(
    backbone=dict(clip=dict(model_name='ViT-L-14-quickgelu'), input_size=(224, 224)), head=dict(in_channels=1024)
)
