# CLAMP, ResNet-50, trained on Bovidae and tested on Felidae of Animal-Pose, as Table 10 on AP-10K
# python tools/make_splits.py zeroshot --train-family Bovidae --test-family Felidae \
#     --train-ann data/animalpose/annotations/animalpose_train.json \
#     --val-ann data/animalpose/annotations/animalpose_val.json
_base_ = './clamp_r50.py'

val_ann = 'annotations/splits/animalpose_val_Bovidae-to-Felidae.json'
train_dataloader = dict(dataset=dict(ann_file='annotations/splits/animalpose_train_Bovidae-to-Felidae.json'))
val_dataloader = test_dataloader = dict(dataset=dict(ann_file=val_ann))
val_evaluator = test_evaluator = dict(ann_file=_base_.data_root + val_ann)
default_hooks = dict(checkpoint=dict(save_best=None))  # an epoch chosen on Felidae would not be zero-shot
