# CLAMP with the small pretrained pair, to choose settings on a part of train held out for it
# Val is not looked at
# python tools/make_splits.py holdout data/animalpose/annotations/animalpose_train.json --percent 20
_base_ = './clamp_lite0-minilm.py'

splits = 'annotations/splits/animalpose_train_holdout20pct-seed0-'
train_dataloader = dict(dataset=dict(ann_file=splits + 'train.json'))
val_dataloader = test_dataloader = dict(dataset=dict(ann_file=splits + 'val.json'))
val_evaluator = test_evaluator = dict(ann_file=_base_.data_root + splits + 'val.json')
train_cfg = dict(max_epochs=3, val_interval=3)
param_scheduler = _base_.param_scheduler
param_scheduler[1].update(end=3, T_max=3)
