# As clamp_r50.py, with the open-vocabulary head: asked for any names, it predicts full-size heatmaps
_base_ = './clamp_r50.py'

model = dict(type='OpenVocabularyEstimator', head=dict(type='OpenVocabularyHead'))
