# "pets" of pets-farm_128x128.py alone, in as many steps. Tested on the groups of which the model knows all names.
_base_ = './pets-farm_128x128.py'

from clamp.datasets.union import converter_to  # noqa: E402  MMEngine wants _base_ first

keypoint_names = list(_base_.names['pets'])
train_dataloader = dict(
    dataset=dict(
        metainfo=dict(_delete_=True, **_base_.metainfos['pets']),
        datasets=[dict(_base_.trained_on['pets'], pipeline=[])],
        sample_ratio_factor=[3907 / 2202],  # animals with a labelled keypoint of both, and of this one
    )
)
converter = converter_to(_base_.all_names, keypoint_names)
tested_alone = [dict(dataset, pipeline=[converter]) for dataset in _base_.tested_on.values()]
val_dataloader = dict(dataset=dict(metainfo=dict(_delete_=True, **_base_.metainfos['pets']), datasets=tested_alone))
test_dataloader = val_dataloader
metrics_alone = {
    name: [dict(each, predicted=keypoint_names) for each in of_dataset if set(each['only']) <= set(keypoint_names)]
    for name, of_dataset in _base_.metrics.items()
}
val_evaluator = dict(metrics=dict(_delete_=True, **metrics_alone))
test_evaluator = val_evaluator
