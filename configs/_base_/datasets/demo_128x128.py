# The generated data of tools/make_demo_data.py: AP-10K's layout and keypoints, small images.
_base_ = './ap10k_256x256.py'

data_root = 'data/demo/'
codec = dict(input_size=(128, 128), heatmap_size=(32, 32), sigma=1.5)

train_pipeline = _base_.train_pipeline
train_pipeline[5].update(input_size=(128, 128))  # TopdownAffine
train_pipeline[6].encoder.update(codec)
val_pipeline = _base_.val_pipeline
val_pipeline[2].update(input_size=(128, 128))

train_dataloader = dict(batch_size=32, num_workers=2, dataset=dict(data_root=data_root, pipeline=train_pipeline))
val_dataloader = dict(num_workers=2, dataset=dict(data_root=data_root, pipeline=val_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=data_root + 'annotations/ap10k-val-split1.json')
test_evaluator = val_evaluator
