# Animal-Pose: the annotations of tools/prepare_animalpose.py, or MMPose's prebuilt ones, which have the same names.
# The prompts: change the names freely, their order is the data set's (MMPose's order).
keypoint_names = [
    'left eye', 'right eye', 'left ear base', 'right ear base', 'nose', 'throat', 'tail base', 'withers',
    'left front elbow', 'right front elbow', 'left back elbow', 'right back elbow',
    'left front knee', 'right front knee', 'left back knee', 'right back knee',
    'left front paw', 'right front paw', 'left back paw', 'right back paw',
]  # fmt: skip

codec = dict(type='MSRAHeatmap', input_size=(256, 256), heatmap_size=(64, 64), sigma=2)

train_pipeline = [
    dict(type='LoadTrainImage'),
    dict(type='GetBBoxCenterScale'),
    dict(type='RandomFlip', direction='horizontal'),
    dict(type='RandomHalfBody'),
    dict(type='RandomBBoxTransform'),
    dict(type='TopdownAffine', input_size=codec['input_size']),
    dict(type='GenerateTarget', encoder=codec),
    dict(type='PackPoseInputs', pack_transformed=True),
]
val_pipeline = [
    dict(type='LoadImage'),
    dict(type='GetBBoxCenterScale'),
    dict(type='TopdownAffine', input_size=codec['input_size']),
    dict(type='PackPoseInputs'),
]

data_root = 'data/animalpose/'

train_dataloader = dict(
    batch_size=128,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type='AnimalPoseDataset',
        data_root=data_root,
        data_mode='topdown',
        ann_file='annotations/animalpose_train.json',
        data_prefix=dict(img=''),
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=64,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False, round_up=False),
    dataset=dict(
        type='AnimalPoseDataset',
        data_root=data_root,
        data_mode='topdown',
        ann_file='annotations/animalpose_val.json',
        data_prefix=dict(img=''),
        test_mode=True,
        pipeline=val_pipeline,
    ),
)
test_dataloader = val_dataloader

val_evaluator = dict(type='CocoMetric', ann_file=data_root + 'annotations/animalpose_val.json')
test_evaluator = val_evaluator
