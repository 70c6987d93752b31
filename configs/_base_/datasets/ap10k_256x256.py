# AP-10K, split 1: 7,023 train and 995 val images. As in the paper, val is also the test set.
# The prompts: change the names freely, their order is the data set's.
keypoint_names = [
    'left eye', 'right eye', 'nose', 'neck', 'tail root',
    'left shoulder', 'left elbow', 'left front paw', 'right shoulder', 'right elbow', 'right front paw',
    'left hip', 'left knee', 'left back paw', 'right hip', 'right knee', 'right back paw',
]  # fmt: skip

codec = dict(type='MSRAHeatmap', input_size=(256, 256), heatmap_size=(64, 64), sigma=2)

train_pipeline = [
    dict(type='LoadTrainImage'),
    dict(type='GetBBoxCenterScale'),
    dict(type='RandomFlip', direction='horizontal'),
    dict(type='RandomHalfBody'),
    dict(type='FastRandomBBoxTransform'),
    dict(type='FastTopdownAffine', input_size=codec['input_size']),
    dict(type='PackKeypointInputs'),  # the data preprocessor draws the targets
]
val_pipeline = [
    dict(type='LoadImage'),
    dict(type='GetBBoxCenterScale'),
    dict(type='TopdownAffine', input_size=codec['input_size']),
    dict(type='PackPoseInputs'),
]

data_root = 'data/ap10k/'

train_dataloader = dict(
    batch_size=128,
    num_workers=8,
    persistent_workers=True,
    pin_memory=True,
    collate_fn=dict(type='default_collate'),
    sampler=dict(type='SeededSampler', shuffle=True),
    dataset=dict(
        type='AP10KDataset',
        data_root=data_root,
        data_mode='topdown',
        ann_file='annotations/ap10k-train-split1.json',
        data_prefix=dict(img='data/'),
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=64,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False, round_up=False),
    dataset=dict(
        type='AP10KDataset',
        data_root=data_root,
        data_mode='topdown',
        ann_file='annotations/ap10k-val-split1.json',
        data_prefix=dict(img='data/'),
        test_mode=True,
        pipeline=val_pipeline,
    ),
)
test_dataloader = val_dataloader

val_evaluator = dict(type='CocoMetric', ann_file=data_root + 'annotations/ap10k-val-split1.json')
test_evaluator = val_evaluator
