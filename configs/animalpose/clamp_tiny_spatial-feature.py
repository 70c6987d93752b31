# CLAMP on Animal-Pose, small and from scratch: both losses, without the prompt encoder (Table 6, third row)
_base_ = './clamp_tiny.py'

model = dict(head=dict(prompt_learner=dict(prompt_encoder=None)))
