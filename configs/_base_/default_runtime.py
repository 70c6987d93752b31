_base_ = 'mmpose::_base_/default_runtime.py'

custom_imports = dict(imports=['clamp.register'])

default_hooks = dict(
    runtime_info=dict(type='DeferredRuntimeInfoHook'),
    logger=dict(interval=50),
    compile=dict(type='CompileHook', enable=False),  # tools/train.py --compile
    matmul_precision=dict(type='MatmulPrecisionHook', precision='highest'),  # 'high' is TF32
    checkpoint=dict(interval=10, max_keep_ckpts=2, save_best='coco/AP', rule='greater'),
)

env_cfg = dict(cudnn_benchmark=True)  # inputs are of one size

# the second: a resumed run equals one that was not cut off
custom_hooks = [
    dict(type='SyncBuffersHook'),
    dict(type='EpochSeedHook'),
]
