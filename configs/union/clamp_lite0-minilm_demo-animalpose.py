# CLAMP with the small pretrained pair, one model on the generated animals and Animal-Pose: three epochs of both
_base_ = [
    '../_base_/models/clamp_lite0-minilm.py',
    '../_base_/datasets/demo-animalpose_128x128.py',
    '../_base_/schedules/adamw_3e.py',
]

model = dict(
    data_preprocessor=dict(codec=_base_.codec),
    head=dict(
        out_channels=len(_base_.keypoint_names),
        decoder=_base_.codec,
        prompt_learner=dict(keypoint_names=_base_.keypoint_names),
    ),
)
optim_wrapper = dict(optimizer=dict(lr=2e-3))  # as configs/animalpose/clamp_lite0-minilm.py
