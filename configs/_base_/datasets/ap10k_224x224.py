# AP-10K at 224x224, for ViT-L/14.
_base_ = './ap10k_256x256.py'

codec = dict(input_size=(224, 224))

train_pipeline = _base_.train_pipeline
train_pipeline[5].update(input_size=(224, 224))  # TopdownAffine
val_pipeline = _base_.val_pipeline
val_pipeline[2].update(input_size=(224, 224))

train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=val_pipeline))
test_dataloader = val_dataloader
