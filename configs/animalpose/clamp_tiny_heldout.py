# CLAMP on Animal-Pose, small, trained without five keypoints, to ask for them by name: tools/evaluate_prompts.py
_base_ = [
    '../_base_/models/clamp_tiny.py',
    '../_base_/datasets/animalpose_128x128_heldout.py',
    '../_base_/schedules/adamw_14e.py',
]

model = dict(
    data_preprocessor=dict(codec=_base_.codec),
    head=dict(
        out_channels=len(_base_.keypoint_names),
        decoder=_base_.codec,
        prompt_learner=dict(keypoint_names=_base_.keypoint_names),
        upsample='bilinear',  # the score map itself is to show where; deconvolutions mix the prompts' maps
    ),
)
train_cfg = dict(max_epochs=24, val_interval=24)
param_scheduler = _base_.param_scheduler
param_scheduler[1].update(end=24, T_max=24)
default_hooks = dict(checkpoint=dict(save_best=None))
