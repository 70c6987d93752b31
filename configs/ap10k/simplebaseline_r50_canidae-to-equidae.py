# SimpleBaseline, CLIP's ResNet-50, trained on Canidae and tested on Equidae of AP-10K (Table 10)
# python tools/make_splits.py zeroshot --train-family Canidae --test-family Equidae \
#     --train-ann data/ap10k/annotations/ap10k-train-split1.json \
#     --val-ann data/ap10k/annotations/ap10k-val-split1.json
_base_ = './simplebaseline_r50.py'

val_ann = 'annotations/splits/ap10k-val-split1_Canidae-to-Equidae.json'
train_dataloader = dict(dataset=dict(ann_file='annotations/splits/ap10k-train-split1_Canidae-to-Equidae.json'))
val_dataloader = test_dataloader = dict(dataset=dict(ann_file=val_ann))
val_evaluator = test_evaluator = dict(ann_file=_base_.data_root + val_ann)
default_hooks = dict(checkpoint=dict(save_best=None))  # an epoch chosen on Equidae would not be zero-shot
