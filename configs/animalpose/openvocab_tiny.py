# As clamp_tiny.py, with the open-vocabulary head
_base_ = './clamp_tiny.py'

model = dict(type='OpenVocabularyEstimator', head=dict(type='OpenVocabularyHead'))
