# COCO's people, with AP-10K's pipelines and sizes. Tested on val2017 with its ground-truth boxes, not detected ones.
_base_ = './ap10k_256x256.py'

# The prompts: change the names freely, their order is the data set's.
keypoint_names = [
    'nose', 'left eye', 'right eye', 'left ear', 'right ear', 'left shoulder', 'right shoulder',
    'left elbow', 'right elbow', 'left wrist', 'right wrist', 'left hip', 'right hip',
    'left knee', 'right knee', 'left ankle', 'right ankle',
]  # fmt: skip

data_root = 'data/coco/'
val_ann = 'annotations/person_keypoints_val2017.json'

train_dataloader = dict(
    dataset=dict(
        type='CocoDataset',
        data_root=data_root,
        ann_file='annotations/person_keypoints_train2017.json',
        data_prefix=dict(img='train2017/'),
    )
)
val_dataloader = dict(
    dataset=dict(type='CocoDataset', data_root=data_root, ann_file=val_ann, data_prefix=dict(img='val2017/'))
)
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=data_root + val_ann)
test_evaluator = val_evaluator
