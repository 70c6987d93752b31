# CLAMP's demo with the open-vocabulary head: asked for any names, it predicts full-size heatmaps
_base_ = './clamp_tiny.py'

model = dict(type='OpenVocabularyEstimator', head=dict(type='OpenVocabularyHead'))
