# CLAMP on Animal-Pose, small and from scratch: the spatial loss alone (Table 6, second row)
_base_ = './clamp_tiny.py'

model = dict(head=dict(feature_loss=None, prompt_learner=dict(prompt_encoder=None)))
