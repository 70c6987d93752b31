# Animal-Pose as two data sets that do not know of each other: "pets", dogs and cats with face and paws, and "farm",
# cows, horses and sheep with body and legs, each with names and an order of its own. Tested on Animal-Pose's own
# labels, so that what the other one labelled is measured too. docs/many_datasets.md says what this is for.
# A=data/animalpose/annotations/animalpose
# python tools/make_splits.py relabel ${A}_train.json --name pets --species dog cat --keypoints Nose=snout L_Eye=eyeL \
#     R_Eye=eyeR L_EarBase=earBaseL R_EarBase=earBaseR L_F_Paw=pawFL R_F_Paw=pawFR L_B_Paw=pawHL R_B_Paw=pawHR
# python tools/make_splits.py relabel ${A}_train.json --name farm --species cow horse sheep --keypoints \
#     L_F_Paw=left_fore_hoof L_F_Knee=left_carpus L_F_Elbow=left_fore_elbow L_B_Paw=left_hind_hoof L_B_Knee=left_hock \
#     L_B_Elbow=left_stifle R_F_Paw=right_fore_hoof R_F_Knee=right_carpus R_F_Elbow=right_fore_elbow \
#     R_B_Paw=right_hind_hoof R_B_Knee=right_hock R_B_Elbow=right_stifle TailBase=root_of_tail Withers=withers \
#     Throat=throat
# python tools/make_splits.py relabel ${A}_val.json --name pets-all --species dog cat
# python tools/make_splits.py relabel ${A}_val.json --name farm-all --species cow horse sheep
_base_ = './animalpose_128x128.py'

from clamp.datasets.metainfo import known_metainfo  # noqa: E402  MMEngine wants _base_ first
from clamp.datasets.new_dataset import make_metainfo  # noqa: E402
from clamp.datasets.union import converter_to, unite  # noqa: E402
from clamp.datasets.vocabulary import KNOWN, propose  # noqa: E402

pets_keypoints = ['snout', 'eyeL', 'eyeR', 'earBaseL', 'earBaseR', 'pawFL', 'pawFR', 'pawHL', 'pawHR']
farm_keypoints = [
    f'{side}_{joint}'
    for side in ('left', 'right')
    for joint in ('fore_hoof', 'carpus', 'fore_elbow', 'hind_hoof', 'hock', 'stifle')
] + ['root_of_tail', 'withers', 'throat']
metainfos = dict(pets=make_metainfo('pets', pets_keypoints, []), farm=make_metainfo('farm', farm_keypoints, []))
names = dict(pets=propose(pets_keypoints), farm=propose(farm_keypoints))
union_names, metainfo, converters = unite(metainfos, names)
keypoint_names = union_names

trained_on = {
    part: dict(
        type='BaseCocoStyleDataset',
        metainfo=metainfos[part],
        data_root=_base_.data_root,
        ann_file=f'annotations/splits/animalpose_train_{part}.json',
        pipeline=[converters[part]],
    )
    for part in ('pets', 'farm')
}
all_names = KNOWN['animalpose']
tested_on = {
    part: dict(
        type='BaseCocoStyleDataset',
        metainfo=known_metainfo('animalpose') | dict(dataset_name=part),
        data_root=_base_.data_root,
        ann_file=f'annotations/splits/animalpose_val_{part}-all.json',
        pipeline=[converter_to(all_names, union_names)],
        test_mode=True,
    )
    for part in ('pets', 'farm')
}
# of each data set: the names that it labelled, and those that the other alone did
groups = {
    f'{part}/{group}': [name for name in all_names if (name in names[part]) == (group == 'own')]
    for part in ('pets', 'farm')
    for group in ('own', 'other')
}
metrics = {
    part: [
        dict(
            type='NamedCocoMetric',
            prefix=group,
            ann_file=tested_on[part]['data_root'] + tested_on[part]['ann_file'],
            metainfo=tested_on[part]['metainfo'],
            annotated=all_names,
            predicted=union_names,
            only=groups[f'{part}/{group}'],
        )
        for group in ('own', 'other')
    ]
    for part in ('pets', 'farm')
}

train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='SeededCombinedDataset',
        metainfo=metainfo,
        datasets=list(trained_on.values()),
        pipeline=_base_.train_pipeline,
    )
)
val_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='CombinedDataset',
        metainfo=metainfo,
        datasets=list(tested_on.values()),
        pipeline=_base_.val_pipeline,
        test_mode=True,
    )
)
test_dataloader = val_dataloader
val_evaluator = dict(_delete_=True, type='ManyDatasetsEvaluator', metrics=metrics)
test_evaluator = val_evaluator
