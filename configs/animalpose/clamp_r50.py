# CLAMP, ResNet-50 on Animal-Pose (Table 4)
_base_ = [
    '../_base_/models/clamp_r50.py',
    '../_base_/datasets/animalpose_256x256.py',
    '../_base_/schedules/adamw_210e.py',
]

model = dict(
    data_preprocessor=dict(codec=_base_.codec),
    head=dict(
        out_channels=len(_base_.keypoint_names),
        decoder=_base_.codec,
        prompt_learner=dict(keypoint_names=_base_.keypoint_names),
    ),
)
