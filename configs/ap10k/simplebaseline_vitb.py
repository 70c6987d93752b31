# SimpleBaseline, CLIP's ViT-B/16 on AP-10K (Table 1)
_base_ = [
    '../_base_/models/simplebaseline_vitb.py',
    '../_base_/datasets/ap10k_256x256.py',
    '../_base_/schedules/adamw_210e.py',
]

model = dict(
    data_preprocessor=dict(codec=_base_.codec),
    head=dict(out_channels=len(_base_.keypoint_names), decoder=_base_.codec),
)
optim_wrapper = dict(paramwise_cfg=dict(custom_keys=dict(backbone=dict(lr_mult=0.1))))
