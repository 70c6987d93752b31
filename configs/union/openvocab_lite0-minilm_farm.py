# As clamp_lite0-minilm_farm.py, with the open-vocabulary head: asked for all names of both data sets
_base_ = './clamp_lite0-minilm_farm.py'

model = dict(
    type='OpenVocabularyEstimator',
    head=dict(type='OpenVocabularyHead', test_names=_base_.union_names),
)
everything = dict(metainfo=dict(_delete_=True, **_base_.metainfo), datasets=list(_base_.tested_on.values()))
val_dataloader = dict(dataset=everything)
test_dataloader = val_dataloader
val_evaluator = dict(metrics=dict(_delete_=True, **_base_.metrics))
test_evaluator = val_evaluator
