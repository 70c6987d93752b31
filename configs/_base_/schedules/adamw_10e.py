# Small pretrained models: ten epochs of batch 32
_base_ = './adamw_14e.py'

train_cfg = dict(max_epochs=10, val_interval=10)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=30),
    dict(type='CosineAnnealingLR', T_max=10, begin=0, end=10, convert_to_iter_based=True),
]
