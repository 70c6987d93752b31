_base_ = 'mmpose::_base_/default_runtime.py'

custom_imports = dict(imports=['clamp'])

default_hooks = dict(
    logger=dict(interval=50),
    checkpoint=dict(interval=10, max_keep_ckpts=2, save_best='coco/AP', rule='greater'),
)

custom_hooks = [dict(type='SyncBuffersHook'), dict(type='EpochSeedHook')]  # a resumed run equals one that was not cut off
