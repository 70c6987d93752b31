# As clamp_vitb.py, with the open-vocabulary head: asked for any names, it predicts full-size heatmaps
_base_ = './clamp_vitb.py'

model = dict(type='OpenVocabularyEstimator', head=dict(type='OpenVocabularyHead'))
