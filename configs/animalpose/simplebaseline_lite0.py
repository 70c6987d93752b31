# SimpleBaseline on Animal-Pose with EfficientNet-Lite0 of ImageNet, at 128x128
_base_ = [
    '../_base_/models/simplebaseline_lite0.py',
    '../_base_/datasets/animalpose_128x128.py',
    '../_base_/schedules/adamw_6e.py',
]

model = dict(
    data_preprocessor=dict(codec=_base_.codec),
    head=dict(out_channels=len(_base_.keypoint_names), decoder=_base_.codec),
)
optim_wrapper = dict(optimizer=dict(lr=4e-3))  # chosen on a part of train: docs/results.md
