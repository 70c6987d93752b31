# Animal-Pose, one species unseen (FOLD=cat), 11 keypoints trained on, 6 novel: docs/novel_keypoints.md
_base_ = ['./animalpose_128x128.py', 'mmpose::_base_/datasets/animalpose.py']

from clamp.datasets.keypoint_choice import choose_keypoints  # noqa: E402  MMEngine wants _base_ first

everything = _base_.keypoint_names
keypoint_names = ['left ear base', 'right ear base', 'nose'] + [  # base: trained on
    f'{side} {end} {part}' for part in ('elbow', 'paw') for end in ('front', 'back') for side in ('left', 'right')
]
novel_names = ['left eye', 'right eye'] + [
    f'{side} {end} knee' for end in ('front', 'back') for side in ('left', 'right')
]
test_names = keypoint_names + novel_names

train_metainfo, train_converter = choose_keypoints(_base_.dataset_info, everything, keypoint_names)
test_metainfo, test_converter = choose_keypoints(_base_.dataset_info, everything, test_names)
train_pipeline = [_base_.train_pipeline[0], train_converter, *_base_.train_pipeline[1:]]
val_pipeline = [_base_.val_pipeline[0], test_converter, *_base_.val_pipeline[1:]]
train_ann = 'annotations/splits/animalpose_trainval_without-{{$FOLD:cat}}-11keypoints.json'
val_ann = 'annotations/splits/animalpose_trainval_only-{{$FOLD:cat}}.json'

train_dataloader = dict(dataset=dict(ann_file=train_ann, metainfo=train_metainfo, pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(ann_file=val_ann, metainfo=test_metainfo, pipeline=val_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(
    _delete_=True,
    type='NamedKeypointMetric',
    keypoint_names=test_names,
    novel=novel_names,
    reference=dict(
        ann_file=_base_.data_root + 'annotations/animalpose_trainval.json',
        places=[place for place, _ in test_converter['mapping']],
    ),
)
test_evaluator = val_evaluator
