# SimpleBaseline, ImageNet's ResNet-50 on AP-10K (Table 1)
_base_ = './simplebaseline_r50.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='ResNet',
        depth=50,
        init_cfg=dict(type='Pretrained', checkpoint='torchvision://resnet50'),
    )
)
