# As openvocab_lite0-minilm_novel.py, without language: each name is a trainable vector, and others have no answer
_base_ = './openvocab_lite0-minilm_novel.py'

model = dict(
    head=dict(
        prompt_learner=dict(text_encoder=None, embed_dim=_base_.model.backbone.clip.embed_dim),
        test_names=_base_.keypoint_names,
    )
)
val_pipeline = [_base_.val_pipeline[0], _base_.train_converter, *_base_.val_pipeline[2:]]
val_dataloader = dict(dataset=dict(metainfo=dict(_delete_=True, **_base_.train_metainfo), pipeline=val_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(keypoint_names=_base_.keypoint_names, novel=[], reference=None)
test_evaluator = val_evaluator
work_dir = 'work_dirs/animalpose/{{fileBasenameNoExtension}}-{{$FOLD:cat}}'
