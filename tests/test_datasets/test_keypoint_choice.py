import pytest
from mmpose.datasets.datasets.utils import parse_pose_metainfo

from clamp.datasets.keypoint_choice import choose_keypoints, describe_names

NAMES = ['left eye', 'right eye', 'nose', 'tail']
SHORT = ['L', 'R', 'N', 'T']
SWAPS = ['R', 'L', '', '']
INFO = dict(
    dataset_name='toy',
    keypoint_info={i: dict(name=n, id=i, type='upper', swap=s) for i, (n, s) in enumerate(zip(SHORT, SWAPS))},
    skeleton_info={0: dict(link=('L', 'N'), id=0), 1: dict(link=('N', 'T'), id=1)},
    joint_weights=[1.0, 2.0, 3.0, 4.0],
    sigmas=[0.1, 0.2, 0.3, 0.4],
)


def test_choice_by_hand():
    metainfo, step = choose_keypoints(INFO, NAMES, ['tail', 'right eye', 'left eye'])
    assert [point['name'] for point in metainfo['keypoint_info'].values()] == ['T', 'R', 'L']
    assert [point['id'] for point in metainfo['keypoint_info'].values()] == [0, 1, 2]
    assert [point['swap'] for point in metainfo['keypoint_info'].values()] == ['', 'L', 'R']
    assert metainfo['skeleton_info'] == {}
    assert choose_keypoints(INFO, NAMES, ['tail', 'nose'])[0]['skeleton_info'] == {0: dict(link=('N', 'T'), id=0)}
    assert metainfo['joint_weights'] == [4, 2, 1]
    assert metainfo['sigmas'] == [0.4, 0.2, 0.1]
    assert step == dict(type='KeypointConverter', num_keypoints=3, mapping=[(3, 0), (1, 1), (0, 2)])


def test_wrong_names_are_refused():
    with pytest.raises(ValueError, match="'hoof' is chosen twice, or is none of left eye"):
        choose_keypoints(INFO, NAMES, ['hoof'])
    with pytest.raises(ValueError, match="'nose' is chosen twice"):
        choose_keypoints(INFO, NAMES, ['nose', 'nose'])
    with pytest.raises(ValueError, match="'right eye' is chosen without its mirror image"):
        choose_keypoints(INFO, NAMES, ['nose', 'right eye'])
    with pytest.raises(ValueError, match='There are 4 keypoints, but 3 names'):
        choose_keypoints(INFO, NAMES[:3], ['nose'])


def test_any_names_are_described():
    metainfo = parse_pose_metainfo(describe_names(['left hock', 'hoof', 'right hock', 'left ear']))
    assert metainfo['keypoint_id2name'] == {0: 'left hock', 1: 'hoof', 2: 'right hock', 3: 'left ear'}
    assert metainfo['flip_indices'] == [2, 1, 0, 3]  # an ear alone stands for itself
    assert metainfo['skeleton_links'] == []
    assert parse_pose_metainfo(describe_names(['left_eye', 'right_eye']))['flip_indices'] == [1, 0]
    assert [tuple(colour) for colour in metainfo['keypoint_colors']] == [
        (0, 255, 0), (51, 153, 255), (255, 128, 0), (0, 255, 0),
    ]  # fmt: skip
    assert parse_pose_metainfo(describe_names(['hoof', 'hoof']))['num_keypoints'] == 2
    with pytest.raises(ValueError, match='at least one name'):
        describe_names([])
