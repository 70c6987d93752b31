# CLAMP with the small pretrained pair, asked for keypoints never trained on of a species never seen (FOLD=dog: another)
# python tools/make_splits.py unseen data/animalpose/annotations/animalpose_trainval.json --species cat --keypoints \
#     L_EarBase R_EarBase Nose L_F_Elbow R_F_Elbow L_B_Elbow R_B_Elbow L_F_Paw R_F_Paw L_B_Paw R_B_Paw
_base_ = ['../_base_/models/clamp_lite0-minilm.py', '../_base_/datasets/animalpose_128x128_novel.py',
          '../_base_/schedules/adamw_3e.py']  # fmt: skip

model = dict(
    type='OpenVocabularyEstimator',  # its flip test asks the mirror image for the mirrored names
    data_preprocessor=dict(codec=_base_.codec),
    head=dict(
        type='AskedCLAMPHead',
        out_channels=len(_base_.keypoint_names),
        decoder=_base_.codec,
        prompt_learner=dict(keypoint_names=_base_.keypoint_names),
        test_names=_base_.test_names,
        upsample='bilinear',  # the score map itself is to show where; deconvolutions mix the prompts' maps
    ),
)
default_hooks = dict(checkpoint=dict(save_best=None))  # an epoch chosen on the unseen species would have seen it
work_dir = 'work_dirs/animalpose/{{fileBasenameNoExtension}}-{{$FOLD:cat}}'
