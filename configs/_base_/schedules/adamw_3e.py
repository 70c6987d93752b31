# As adamw_6e.py, half as long
_base_ = './adamw_6e.py'

train_cfg = dict(max_epochs=3, val_interval=3)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=30),
    dict(type='CosineAnnealingLR', T_max=3, begin=0, end=3, convert_to_iter_based=True),
]
