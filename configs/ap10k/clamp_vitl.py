# CLAMP, ViT-L/14 on AP-10K (Table 9)
_base_ = ['../_base_/models/clamp_vitl.py', '../_base_/datasets/ap10k_224x224.py', '../_base_/schedules/adamw_210e.py']

model = dict(
    data_preprocessor=dict(codec=_base_.codec),
    head=dict(
        out_channels=len(_base_.keypoint_names),
        decoder=_base_.codec,
        prompt_learner=dict(keypoint_names=_base_.keypoint_names),
    ),
)
optim_wrapper = dict(paramwise_cfg=dict(custom_keys=dict(backbone=dict(lr_mult=0.1))))
