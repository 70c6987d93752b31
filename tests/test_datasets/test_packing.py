import numpy as np
import torch
from mmpose.registry import TRANSFORMS


def sample(seed: int = 0) -> dict:
    rng = np.random.default_rng(seed)
    return dict(
        img=rng.integers(0, 255, (5, 4, 3), np.uint8),
        transformed_keypoints=rng.random((1, 3, 2)) * 4,
        keypoints_visible=np.array([[1.0, 0.0, 1.0]]),
    )


def test_three_tensors():
    packed = TRANSFORMS.build(dict(type='PackKeypointInputs'))(sample())
    assert {name: (*tensor.shape, tensor.dtype) for name, tensor in packed.items()} == dict(
        inputs=(3, 5, 4, torch.uint8), keypoints=(3, 2, torch.float32), keypoint_weights=(3, torch.float32)
    )
    np.testing.assert_array_equal(packed['inputs'].permute(1, 2, 0), sample()['img'])
    np.testing.assert_array_equal(packed['keypoints'], sample()['transformed_keypoints'][0].astype(np.float32))
    assert packed['keypoint_weights'].tolist() == [1, 0, 1]


def test_image_is_packed_as_mmpose_does():
    ours, theirs = (TRANSFORMS.build(dict(type=name))(sample()) for name in ('PackKeypointInputs', 'PackPoseInputs'))
    torch.testing.assert_close(ours['inputs'], theirs['inputs'], rtol=0, atol=0)


def test_weights_of_a_keypoint_converter():
    converter = dict(type='KeypointConverter', num_keypoints=2, mapping=[(2, 0), (1, 1)])
    results = dict(keypoints=np.zeros((1, 3, 2)), keypoints_visible=np.array([[1.0, 0.0, 1.0]]))
    converted = TRANSFORMS.build(converter)(results)
    assert converted['keypoints_visible'].shape == (1, 2, 2)
    packed = TRANSFORMS.build(dict(type='PackKeypointInputs'))(sample() | converted)
    assert packed['keypoint_weights'].tolist() == [1, 0]
