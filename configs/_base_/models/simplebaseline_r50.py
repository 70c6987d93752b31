# SimpleBaseline with the image tower of CLIP's ResNet-50. A leaf config adds K and the codec of its data set.
model = dict(
    type='TopdownHeatmapEstimator',
    data_preprocessor=dict(
        type='HeatmapDataPreprocessor', mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], bgr_to_rgb=True
    ),
    backbone=dict(
        type='CLIPBackbone',
        clip=dict(model_name='RN50-quickgelu', pretrained='openai'),
        input_size=(256, 256),
        with_embeds=False,
    ),
    head=dict(
        type='HeatmapHead',
        in_channels=2048,
        deconv_out_channels=(256, 256, 256),
        deconv_kernel_sizes=(4, 4, 4),
        loss=dict(type='KeypointMSELoss', use_target_weight=True),
    ),
    train_cfg=dict(compute_acc=False),  # it copies all heatmaps to the CPU at each step
    test_cfg=dict(flip_test=True, flip_mode='heatmap', shift_heatmap=True),
)
