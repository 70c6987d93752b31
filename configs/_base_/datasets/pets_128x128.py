# "pets" of pets-farm_128x128.py alone, in as many steps. Tested on the groups of which the model knows all names.
_base_ = './pets-farm_128x128.py'

from clamp.datasets.union import ask_less  # noqa: E402  MMEngine wants _base_ first

keypoint_names = list(_base_.names['pets'])
train_dataloader = dict(
    dataset=dict(
        metainfo=dict(_delete_=True, **_base_.metainfos['pets']),
        datasets=[dict(_base_.trained_on['pets'], pipeline=[])],
        sample_ratio_factor=[3907 / 2202],  # animals with a labelled keypoint of both, and of this one
    )
)
tested_alone, metrics_alone = ask_less(keypoint_names, _base_.all_names, _base_.tested_on.values(), _base_.metrics)
val_dataloader = dict(dataset=dict(metainfo=dict(_delete_=True, **_base_.metainfos['pets']), datasets=tested_alone))
test_dataloader = val_dataloader
val_evaluator = dict(metrics=dict(_delete_=True, **metrics_alone))
test_evaluator = val_evaluator
