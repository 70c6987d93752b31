# SimpleBaseline on Animal-Pose, small and from scratch: half an hour of CPU time
_base_ = [
    '../_base_/models/simplebaseline_tiny.py',
    '../_base_/datasets/animalpose_128x128.py',
    '../_base_/schedules/adamw_14e.py',
]

model = dict(
    data_preprocessor=dict(codec=_base_.codec),
    head=dict(out_channels=len(_base_.keypoint_names), decoder=_base_.codec),
)
train_cfg = dict(max_epochs=24, val_interval=4)
param_scheduler = _base_.param_scheduler
param_scheduler[1].update(end=24, T_max=24)
