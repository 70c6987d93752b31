# Small pretrained models: six epochs of batch 32
_base_ = './adamw_14e.py'

train_cfg = dict(max_epochs=6, val_interval=6)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=30),
    dict(type='CosineAnnealingLR', T_max=6, begin=0, end=6, convert_to_iter_based=True),
]
default_hooks = dict(checkpoint=dict(save_best=None))  # the last epoch counts
