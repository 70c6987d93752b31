# SimpleBaseline, CLIP's ResNet-50, trained on Bovidae and tested on Canidae of Animal-Pose, as Table 3 on AP-10K
# python tools/make_splits.py zeroshot --train-family Bovidae --test-family Canidae \
#     --train-ann data/animalpose/annotations/animalpose_train.json \
#     --val-ann data/animalpose/annotations/animalpose_val.json
_base_ = './simplebaseline_r50.py'

val_ann = 'annotations/splits/animalpose_val_Bovidae-to-Canidae.json'
train_dataloader = dict(dataset=dict(ann_file='annotations/splits/animalpose_train_Bovidae-to-Canidae.json'))
val_dataloader = test_dataloader = dict(dataset=dict(ann_file=val_ann))
val_evaluator = test_evaluator = dict(ann_file=_base_.data_root + val_ann)
default_hooks = dict(checkpoint=dict(save_best=None))  # an epoch chosen on Canidae would not be zero-shot
