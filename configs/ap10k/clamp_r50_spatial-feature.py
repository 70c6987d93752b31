# CLAMP, ResNet-50 on AP-10K: both losses, without the prompt encoder (Table 6, third row)
_base_ = './clamp_r50.py'

model = dict(head=dict(prompt_learner=dict(prompt_encoder=None)))
