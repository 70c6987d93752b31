# The generated data of tools/make_demo_data.py: AP-10K's layout and keypoints, small images, mild augmentation.
_base_ = './ap10k_256x256.py'

data_root = 'data/demo/'
codec = dict(input_size=(128, 128), heatmap_size=(32, 32), sigma=2)

train_pipeline = [
    dict(type='LoadTrainImage'),
    dict(type='GetBBoxCenterScale'),
    dict(type='RandomFlip', direction='horizontal'),
    dict(type='FastRandomBBoxTransform', shift_factor=0.1, scale_factor=(0.8, 1.25), rotate_factor=30),
    dict(type='FastTopdownAffine', input_size=codec['input_size']),
    dict(type='PackKeypointInputs'),
]
val_pipeline = [
    dict(type='LoadImage'),
    dict(type='GetBBoxCenterScale'),
    dict(type='TopdownAffine', input_size=codec['input_size']),
    dict(type='PackPoseInputs'),
]

train_dataloader = dict(batch_size=32, num_workers=2, dataset=dict(data_root=data_root, pipeline=train_pipeline))
val_dataloader = dict(num_workers=2, dataset=dict(data_root=data_root, pipeline=val_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=data_root + 'annotations/ap10k-val-split1.json')
test_evaluator = val_evaluator
