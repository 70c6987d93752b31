# SimpleBaseline, CLIP's ResNet-50, trained on Canidae and tested on Equidae of Animal-Pose, as Table 10 on AP-10K
# python tools/make_splits.py zeroshot --train-family Canidae --test-family Equidae \
#     --train-ann data/animalpose/annotations/animalpose_train.json \
#     --val-ann data/animalpose/annotations/animalpose_val.json
_base_ = './simplebaseline_r50.py'

val_ann = 'annotations/splits/animalpose_val_Canidae-to-Equidae.json'
train_dataloader = dict(dataset=dict(ann_file='annotations/splits/animalpose_train_Canidae-to-Equidae.json'))
val_dataloader = test_dataloader = dict(dataset=dict(ann_file=val_ann))
val_evaluator = test_evaluator = dict(ann_file=_base_.data_root + val_ann)
default_hooks = dict(checkpoint=dict(save_best=None))  # an epoch chosen on Equidae would not be zero-shot
