# CLAMP, ResNet-50, on 20 animals of each species of Animal-Pose, as Table 2 on AP-10K
# python tools/make_splits.py fewshot data/animalpose/annotations/animalpose_train.json --shots 20 --seed 0
# Another draw: --seed 1 there, and SPLIT_SEED=1 in the environment of tools/train.py
_base_ = './clamp_r50.py'

train_ann = 'annotations/splits/animalpose_train_20shot-seed{{$SPLIT_SEED:0}}.json'
train_dataloader = dict(batch_size=64, dataset=dict(ann_file=train_ann))
auto_scale_lr = dict(base_batch_size=64)
work_dir = 'work_dirs/animalpose/{{fileBasenameNoExtension}}-seed{{$SPLIT_SEED:0}}'
