# The generated data without the keypoints in `held_out`: a model of 12 that never sees them, nor their names.
_base_ = ['./demo_128x128.py', 'mmpose::_base_/datasets/ap10k.py']

# name: its place in the annotations. Whole pairs, since a flip turns left into right.
held_out = {'nose': 2, 'left knee': 12, 'right knee': 15, 'left front paw': 7, 'right front paw': 10}
kept = [place for place in range(17) if place not in held_out.values()]

keypoint_names = [_base_.keypoint_names[place] for place in kept]
info = _base_.dataset_info
names = [info.keypoint_info[place]['name'] for place in kept]
links = [link for link in info.skeleton_info.values() if set(link['link']) <= set(names)]
metainfo = dict(
    dataset_name='ap10k_heldout',
    keypoint_info={new: {**info.keypoint_info[old], 'id': new} for new, old in enumerate(kept)},
    skeleton_info={place: {**link, 'id': place} for place, link in enumerate(links)},
    joint_weights=[info.joint_weights[place] for place in kept],
    sigmas=[info.sigmas[place] for place in kept],
)
mapping = [(old, new) for new, old in enumerate(kept)]
converter = dict(type='KeypointConverter', num_keypoints=len(kept), mapping=mapping)

train_pipeline = [_base_.train_pipeline[0], converter, *_base_.train_pipeline[1:]]
val_pipeline = [_base_.val_pipeline[0], converter, *_base_.val_pipeline[1:]]
train_dataloader = dict(dataset=dict(metainfo=metainfo, pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(metainfo=metainfo, pipeline=val_pipeline))
test_dataloader = val_dataloader
# of the keypoints that are left; AP would need annotations without the others
val_evaluator = dict(_delete_=True, type='PCKAccuracy', thr=0.1)
test_evaluator = val_evaluator
