# CLAMP with EfficientNet-Lite0 (ImageNet) and MiniLM
# On 20 animals of each species of Animal-Pose: 240 iterations
# python tools/make_splits.py fewshot data/animalpose/annotations/animalpose_train.json --shots 20 --seed 0
# Another draw: --seed 1 there, and SPLIT_SEED=1 in the environment of tools/train.py
_base_ = './clamp_lite0-minilm.py'

train_ann = 'annotations/splits/animalpose_train_20shot-seed{{$SPLIT_SEED:0}}.json'
train_dataloader = dict(dataset=dict(ann_file=train_ann))
train_cfg = dict(max_epochs=60, val_interval=60)
param_scheduler = _base_.param_scheduler
param_scheduler[1].update(end=60, T_max=60)
default_hooks = dict(checkpoint=dict(interval=30))
work_dir = 'work_dirs/animalpose/{{fileBasenameNoExtension}}-seed{{$SPLIT_SEED:0}}'
