# As clamp_lite0-minilm_pets-farm.py, with the open-vocabulary head
_base_ = './clamp_lite0-minilm_pets-farm.py'

model = dict(type='OpenVocabularyEstimator', head=dict(type='OpenVocabularyHead'))
