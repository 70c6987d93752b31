# CLAMP with CLIP's ViT-B/16. A leaf config adds the keypoint names, K and the codec of its data set.
clip = dict(model_name='ViT-B-16-quickgelu', pretrained='openai')

model = dict(
    type='TopdownHeatmapEstimator',
    data_preprocessor=dict(
        type='HeatmapDataPreprocessor', mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], bgr_to_rgb=True
    ),
    backbone=dict(type='CLIPBackbone', clip=clip, input_size=(256, 256), drop_path_rate=0.4),
    head=dict(
        type='CLAMPHead',
        in_channels=768,
        deconv_out_channels=(256, 256),
        deconv_kernel_sizes=(4, 4),
        prompt_learner=dict(
            type='PromptLearner',
            text_encoder=clip,
            num_context_tokens=8,
            prompt_encoder=dict(num_layers=1, num_heads=8),
            cross_attention=dict(width=256, num_layers=3, num_heads=4, dropout=0.1),
        ),
        loss=dict(type='KeypointMSELoss', use_target_weight=True),
        spatial_loss=dict(type='KeypointMSELoss', use_target_weight=True, loss_weight=2.0),
        feature_loss=dict(type='FeatureContrastiveLoss', loss_weight=5e-4),
    ),
    test_cfg=dict(flip_test=True, flip_mode='heatmap', shift_heatmap=True),
)
