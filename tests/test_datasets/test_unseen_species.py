"""A species that is not seen, and keypoints whose places are in no training file."""

import pytest

from clamp.datasets import splits, unseen_species


def make_coco() -> dict:
    """Dogs 1-3 and cats 4-5; image 3 shows a dog and a cat. Keypoints: nose, eye, tail."""
    owners = {1: (1, 'dog'), 2: (2, 'dog'), 3: (3, 'dog'), 4: (3, 'cat'), 5: (4, 'cat')}
    return {
        'images': [{'id': i, 'file_name': f'{i}.jpg'} for i in (1, 2, 3, 4)],
        'annotations': [
            {
                'id': id_, 'image_id': image, 'category_id': 1, 'species': name, 'bbox': [0, 0, 9, 9],
                'keypoints': [1, 2, 2, 3, 4, 2, 5, 6, 0 if id_ == 1 else 1], 'num_keypoints': 3 - (id_ == 1),
            }
            for id_, (image, name) in owners.items()
        ],
        'categories': [{'id': 1, 'name': 'animal', 'keypoints': ['nose', 'eye', 'tail']}],
    }  # fmt: skip


def test_train_and_test_are_by_species_and_share_no_image():
    coco = make_coco()
    train, report = unseen_species.unseen_train(coco, species='cat')
    test, _ = unseen_species.unseen_test(coco, species='cat')
    assert [ann['id'] for ann in train['annotations']] == [1, 2]
    assert report == {'images_dropped_for_species': [3]}
    assert train['annotations'] == coco['annotations'][:2]
    assert [ann['id'] for ann in test['annotations']] == [4, 5]
    assert test['annotations'] == coco['annotations'][3:]
    splits.check_disjoint(train, test)
    # without dogs, image 4 is left: image 3 shows one
    assert [ann['id'] for ann in unseen_species.unseen_train(coco, species='dog')[0]['annotations']] == [5]


def test_other_keypoints_become_unlabelled():
    coco = make_coco()
    train, _ = unseen_species.unseen_train(coco, species='cat', keypoints=['tail', 'nose'])
    assert [ann['keypoints'] for ann in train['annotations']] == [
        [1, 2, 2, 0, 0, 0, 5, 6, 0],
        [1, 2, 2, 0, 0, 0, 5, 6, 1],
    ]
    assert [ann['num_keypoints'] for ann in train['annotations']] == [1, 2]
    assert train['categories'] == coco['categories']  # the names keep their places
    assert coco == make_coco()
    for category in coco['categories']:
        category['skeleton'] = [[0, 1]]  # COCO counts from 1; nobody asks for it here
    assert unseen_species.unseen_train(coco, species='cat', keypoints=['tail', 'nose'])[0]['images'] == train['images']


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(species='pig'), r'no animal is a pig; species with animals: cat \(2\), dog \(3\)'),
        (dict(species='cat', keypoints=['hoof']), 'no keypoint hoof; there are nose, eye, tail'),
        (dict(species='cat', keypoints=[]), 'no keypoint to keep'),
    ],
)
def test_what_is_not_there_is_named(options, message):
    with pytest.raises(ValueError, match=message):
        unseen_species.unseen_train(make_coco(), **options)


def test_nothing_left_to_train_on():
    coco = make_coco()
    coco['annotations'] = coco['annotations'][3:]
    with pytest.raises(ValueError, match='without cat there is nothing'):
        unseen_species.unseen_train(coco, species='cat')
    coco = make_coco()
    for ann in coco['annotations']:
        ann['keypoints'][2] = 0
    with pytest.raises(ValueError, match='without cat there is nothing'):
        unseen_species.unseen_train(coco, species='cat', keypoints=['nose'])


@pytest.mark.parametrize(
    ('names', 'message'),
    [
        (['nose', 'eye'], 'name 2 keypoints, but annotation 1 has 3: mend the names'),
        (['nose', 'nose', 'tail'], "name 2 keypoints 'nose'"),
    ],
)
def test_names_that_are_not_those_of_the_annotations(names, message):
    """Other keypoints than those that are meant would be kept, held-out ones among them."""
    coco = make_coco()
    coco['categories'][0]['keypoints'] = names
    with pytest.raises(ValueError, match=message):
        unseen_species.unseen_train(coco, species='cat', keypoints=['nose'])


def test_a_species_that_is_not_there_is_named():
    with pytest.raises(ValueError, match='no animal is a pig'):
        unseen_species.unseen_test(make_coco(), species='pig')
