# The generated animals, which have AP-10K's keypoints, and Animal-Pose: the union of their names. Each is tested by its
# own keypoints and by those that both have.
# python tools/make_demo_data.py --out data/demo
_base_ = './animalpose_128x128.py'

from clamp.datasets.metainfo import known_metainfo  # noqa: E402  MMEngine wants _base_ first
from clamp.datasets.union import common_names, unite  # noqa: E402
from clamp.datasets.vocabulary import KNOWN  # noqa: E402

names = {part: KNOWN[part] for part in ('demo', 'animalpose')}
metainfos = dict(demo=known_metainfo('ap10k') | dict(dataset_name='demo'), animalpose=known_metainfo('animalpose'))
keypoint_names, metainfo, converters = unite(metainfos, names)
common = common_names(*names.values())

files = dict(
    demo=dict(
        data_root='data/demo/', data_prefix=dict(img='data/'), train='ap10k-train-split1', val='ap10k-val-split1'
    ),
    animalpose=dict(
        data_root='data/animalpose/', data_prefix=dict(img=''), train='animalpose_train', val='animalpose_val'
    ),
)
datasets = {
    split: [
        dict(
            type='BaseCocoStyleDataset',
            metainfo=metainfos[part],
            data_root=files[part]['data_root'],
            data_prefix=files[part]['data_prefix'],
            ann_file=f'annotations/{files[part][split]}.json',
            pipeline=[converters[part]],
            test_mode=split == 'val',
        )
        for part in names
    ]
    for split in ('train', 'val')
}
metrics = {
    part: [
        dict(
            type='NamedCocoMetric',
            prefix=group,
            ann_file=f'{files[part]["data_root"]}annotations/{files[part]["val"]}.json',
            metainfo=metainfos[part],
            annotated=names[part],
            predicted=keypoint_names,
            only=only,
        )
        for group, only in (('own', None), ('common', common))
    ]
    for part in names
}

train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='SeededCombinedDataset',
        metainfo=metainfo,
        datasets=datasets['train'],
        pipeline=_base_.train_pipeline,
    )
)
val_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='CombinedDataset',
        metainfo=metainfo,
        datasets=datasets['val'],
        pipeline=_base_.val_pipeline,
        test_mode=True,
    )
)
test_dataloader = val_dataloader
val_evaluator = dict(_delete_=True, type='ManyDatasetsEvaluator', metrics=metrics)
test_evaluator = val_evaluator
