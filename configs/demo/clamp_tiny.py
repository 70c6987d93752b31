# CLAMP on generated animals, from scratch: a few minutes on two CPU cores
_base_ = ['../_base_/models/clamp_tiny.py', '../_base_/datasets/demo_128x128.py', '../_base_/schedules/adamw_14e.py']

model = dict(
    data_preprocessor=dict(codec=_base_.codec),
    head=dict(
        out_channels=len(_base_.keypoint_names),
        decoder=_base_.codec,
        prompt_learner=dict(keypoint_names=_base_.keypoint_names),
    ),
)
