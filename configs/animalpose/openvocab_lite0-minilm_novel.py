# As clamp_lite0-minilm_novel.py, with the open-vocabulary head. Auxiliary keypoints, 12 pairs drawn at each step:
# --cfg-options model.data_preprocessor.auxiliary.number=12
_base_ = './clamp_lite0-minilm_novel.py'

model = dict(
    type='OpenVocabularyEstimator',
    data_preprocessor=dict(type='OpenVocabularyDataPreprocessor', keypoint_names=_base_.keypoint_names),
    head=dict(type='OpenVocabularyHead'),
)
work_dir = 'work_dirs/animalpose/{{fileBasenameNoExtension}}-{{$FOLD:cat}}'
