# CLAMP, ViT-B/16, on 10% of COCO's training images with people (Table 11)
# python tools/make_splits.py fraction data/coco/annotations/person_keypoints_train2017.json --percent 10 --seed 0
# Another draw: --seed 1 there, and SPLIT_SEED=1 in the environment of tools/train.py
_base_ = './clamp_vitb.py'

train_ann = 'annotations/splits/person_keypoints_train2017_10pct-seed{{$SPLIT_SEED:0}}.json'
train_dataloader = dict(dataset=dict(ann_file=train_ann))
work_dir = 'work_dirs/coco/{{fileBasenameNoExtension}}-seed{{$SPLIT_SEED:0}}'
