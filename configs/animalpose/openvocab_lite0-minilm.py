# As clamp_lite0-minilm.py, with the open-vocabulary head
_base_ = './clamp_lite0-minilm.py'

model = dict(type='OpenVocabularyEstimator', head=dict(type='OpenVocabularyHead'))
