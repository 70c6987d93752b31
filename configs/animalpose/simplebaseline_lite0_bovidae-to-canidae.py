# SimpleBaseline with EfficientNet-Lite0 of ImageNet
# Trained on Bovidae and tested on Canidae of Animal-Pose: about 400 iterations
# python tools/make_splits.py zeroshot --train-family Bovidae --test-family Canidae \
#     --train-ann data/animalpose/annotations/animalpose_train.json \
#     --val-ann data/animalpose/annotations/animalpose_val.json
_base_ = './simplebaseline_lite0.py'

val_ann = 'annotations/splits/animalpose_val_Bovidae-to-Canidae.json'
train_dataloader = dict(dataset=dict(ann_file='annotations/splits/animalpose_train_Bovidae-to-Canidae.json'))
val_dataloader = test_dataloader = dict(dataset=dict(ann_file=val_ann))
val_evaluator = test_evaluator = dict(ann_file=_base_.data_root + val_ann)
train_cfg = dict(max_epochs=12, val_interval=12)
param_scheduler = _base_.param_scheduler
param_scheduler[1].update(end=12, T_max=12)
