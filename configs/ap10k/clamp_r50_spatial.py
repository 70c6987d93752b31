# CLAMP, ResNet-50 on AP-10K: the spatial loss alone (Table 6, second row; the first is simplebaseline_r50.py)
_base_ = './clamp_r50.py'

model = dict(head=dict(feature_loss=None, prompt_learner=dict(prompt_encoder=None)))
