# As clamp_lite0-minilm_pets-farm.py, on "pets" alone, in as many steps
_base_ = [
    '../_base_/models/clamp_lite0-minilm.py',
    '../_base_/datasets/pets_128x128.py',
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
optim_wrapper = dict(optimizer=dict(lr=2e-3))
