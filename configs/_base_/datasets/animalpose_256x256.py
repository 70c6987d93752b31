# Animal-Pose: the annotations of tools/prepare_animalpose.py, or MMPose's prebuilt ones, which have the same names.
_base_ = './ap10k_256x256.py'

# The prompts: change the names freely, their order is the data set's (MMPose's order).
keypoint_names = [
    'left eye', 'right eye', 'left ear base', 'right ear base', 'nose', 'throat', 'tail base', 'withers',
    'left front elbow', 'right front elbow', 'left back elbow', 'right back elbow',
    'left front knee', 'right front knee', 'left back knee', 'right back knee',
    'left front paw', 'right front paw', 'left back paw', 'right back paw',
]  # fmt: skip

data_root = 'data/animalpose/'
val_ann = 'annotations/animalpose_val.json'

train_dataloader = dict(
    dataset=dict(
        type='AnimalPoseDataset',
        data_root=data_root,
        ann_file='annotations/animalpose_train.json',
        data_prefix=dict(img=''),
    )
)
val_dataloader = dict(
    dataset=dict(type='AnimalPoseDataset', data_root=data_root, ann_file=val_ann, data_prefix=dict(img=''))
)
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=data_root + val_ann)
test_evaluator = val_evaluator
