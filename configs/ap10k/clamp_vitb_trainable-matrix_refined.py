# CLAMP, ViT-B/16 on AP-10K: a trainable matrix in place of the text encoder alone, refined by prompt encoder and
# cross-attention as prompts are: the other reading of Table 8's second row
_base_ = './clamp_vitb.py'

model = dict(head=dict(prompt_learner=dict(text_encoder=None, embed_dim=512)))
