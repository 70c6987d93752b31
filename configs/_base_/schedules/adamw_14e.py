# Small models from scratch: a higher learning rate, decayed along a cosine
_base_ = './adamw_210e.py'

train_cfg = dict(max_epochs=14, val_interval=7)
optim_wrapper = dict(optimizer=dict(lr=2e-3))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=30),
    dict(type='CosineAnnealingLR', T_max=14, begin=0, end=14, convert_to_iter_based=True),
]
default_hooks = dict(logger=dict(interval=20), checkpoint=dict(interval=1, max_keep_ckpts=2))
auto_scale_lr = dict(base_batch_size=32)
