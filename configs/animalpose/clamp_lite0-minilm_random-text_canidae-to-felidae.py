# CLAMP, MiniLM with random weights: the same parts without what was learned from language
# Trained on Canidae and tested on Felidae of Animal-Pose: about 400 iterations
# python tools/make_splits.py zeroshot --train-family Canidae --test-family Felidae \
#     --train-ann data/animalpose/annotations/animalpose_train.json \
#     --val-ann data/animalpose/annotations/animalpose_val.json
_base_ = './clamp_lite0-minilm_random-text.py'

val_ann = 'annotations/splits/animalpose_val_Canidae-to-Felidae.json'
train_dataloader = dict(dataset=dict(ann_file='annotations/splits/animalpose_train_Canidae-to-Felidae.json'))
val_dataloader = test_dataloader = dict(dataset=dict(ann_file=val_ann))
val_evaluator = test_evaluator = dict(ann_file=_base_.data_root + val_ann)
train_cfg = dict(max_epochs=10, val_interval=10)
param_scheduler = _base_.param_scheduler
param_scheduler[1].update(end=10, T_max=10)
