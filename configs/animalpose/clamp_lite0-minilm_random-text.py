# CLAMP on Animal-Pose, MiniLM with random weights: the same parts without what was learned from language
_base_ = './clamp_lite0-minilm.py'

model = dict(head=dict(prompt_learner=dict(text_encoder=dict(pretrained=dict(text=None)))))
