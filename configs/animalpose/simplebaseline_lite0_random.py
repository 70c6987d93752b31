# SimpleBaseline on Animal-Pose with EfficientNet-Lite0 of random weights: what ImageNet's are worth
_base_ = './simplebaseline_lite0.py'

model = dict(backbone=dict(clip=dict(pretrained=None)))
