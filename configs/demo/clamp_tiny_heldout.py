# CLAMP on generated animals, trained without five keypoints, to ask for them by name: tools/evaluate_prompts.py
_base_ = [
    '../_base_/models/clamp_tiny.py',
    '../_base_/datasets/demo_128x128_heldout.py',
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
default_hooks = dict(checkpoint=dict(save_best=None))
