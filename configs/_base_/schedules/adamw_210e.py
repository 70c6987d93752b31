_base_ = '../default_runtime.py'

train_cfg = dict(max_epochs=210, val_interval=10)

optim_wrapper = dict(
    constructor='GroupedOptimWrapperConstructor',
    optimizer=dict(type='AdamW', lr=5e-4, weight_decay=1e-4, fused=True),
)

param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=500),
    dict(type='MultiStepLR', milestones=[170, 200], gamma=0.1, by_epoch=True, begin=0, end=210),
]

auto_scale_lr = dict(base_batch_size=128)
