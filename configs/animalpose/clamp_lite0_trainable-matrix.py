# CLAMP on Animal-Pose, a trainable matrix in place of the prompt embeddings (Table 8, second row)
_base_ = './clamp_lite0-minilm.py'

model = dict(
    head=dict(prompt_learner=dict(text_encoder=None, embed_dim=384, prompt_encoder=None, cross_attention=None))
)
