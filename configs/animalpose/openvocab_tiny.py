# As clamp_tiny.py, with the open-vocabulary head
_base_ = './clamp_tiny.py'

model = dict(
    type='OpenVocabularyEstimator',
    data_preprocessor=dict(type='OpenVocabularyDataPreprocessor', keypoint_names=_base_.keypoint_names),
    head=dict(type='OpenVocabularyHead'),
)
