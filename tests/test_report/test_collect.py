from types import SimpleNamespace

import numpy as np
import pytest
import torch

from clamp.checks import read_config
from clamp.report.collect import CollectHook, check_test
from tests.repository import DEMO, ROOT


def test_score_maps_are_of_the_images_and_not_of_their_mirror_images():
    """The flip test sends B images and then their B mirror images through the prompt learner at once."""
    hook = CollectHook(bgr=True)
    hook.before_test(SimpleNamespace(model=SimpleNamespace(head=None), test_dataloader=[0, 1]))
    metainfo = dict(id=7, input_center=np.zeros(2), input_scale=np.ones(2))
    found = SimpleNamespace(keypoints=np.zeros((1, 1, 2)), keypoint_scores=np.zeros((1, 1)))
    outputs = [SimpleNamespace(metainfo=metainfo, pred_instances=found) for _ in range(2)]
    batch = dict(inputs=[torch.zeros(3, 8, 8, dtype=torch.uint8)] * 2)
    for _ in range(2):
        image_embeds = torch.zeros(4, 2, 1, 2)  # two cells; the prompt is in the left one, in mirror images right
        image_embeds[:2, :, 0, 0] = image_embeds[2:, :, 0, 1] = torch.tensor([1.0, 0.0])
        image_embeds[:2, :, 0, 1] = image_embeds[2:, :, 0, 0] = torch.tensor([0.0, 1.0])
        hook.before_test_iter(None, 0)
        hook._keep_score_map(None, (None, image_embeds), torch.tensor([[[1.0, 0.0]]]).expand(4, -1, -1))
        hook.after_test_iter(None, 0, batch, outputs)
    np.testing.assert_array_equal(np.concatenate(hook.maps), np.full((4, 1, 1, 2), [255, 0]))


def test_other_names_than_those_trained_on_are_refused():
    cfg = read_config(str(ROOT / 'configs/demo/openvocab_tiny.py'))
    cfg.model.head.test_names = list(cfg.keypoint_names)
    check_test(cfg)
    cfg.model.head.test_names[0] = 'hoof'
    with pytest.raises(ValueError, match='leave test_names out of the head'):
        check_test(cfg)


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (dict(test_evaluator=[dict(type='CocoMetric')]), 'made of one CocoMetric of keypoints'),
        (dict(test_evaluator=dict(type='PCKAccuracy')), 'made of one CocoMetric of keypoints'),
        (dict(test_evaluator=dict(iou_type='bbox')), 'made of one CocoMetric of keypoints'),
        (
            dict(test_dataloader=dict(dataset=dict(bbox_file='found.json'))),
            r'has the bbox_file found\.json: set it',
        ),
    ],
)
def test_other_tests_than_of_keypoints_in_true_boxes_are_refused(change, message):
    cfg = read_config(DEMO)
    check_test(cfg)
    cfg.merge_from_dict(change)
    with pytest.raises(ValueError, match=message):
        check_test(cfg)
