# CLAMP, ViT-B/16 on AP-10K: a trainable matrix in place of the prompt embeddings E_prompt (Table 8, second row)
_base_ = './clamp_vitb.py'

model = dict(
    head=dict(prompt_learner=dict(text_encoder=None, prompt_encoder=None, cross_attention=None, embed_dim=512))
)
