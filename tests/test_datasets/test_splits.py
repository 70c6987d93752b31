import copy
import hashlib
import itertools
import json

import pytest

from clamp.datasets import split_sources, splits
from tests.repository import ROOT

SAMPLE = ROOT.parent / 'shared/data/ap10k-sample/test_ap10k.json'
NAMES = {1: ('cow', 'Bovidae'), 2: ('dog', 'Canidae'), 3: ('cat', 'Felidae'), 4: ('hippo', 'Hippopotamidae')}


def make_coco(per_annotation=False):
    """12 images; cows on 1-6, dogs on 5-9 (so 5 and 6 show both), cats on 10-12, two of them on 12; no hippo."""
    animals = [(i, 1) for i in range(1, 7)] + [(i, 2) for i in range(5, 10)] + [(i, 3) for i in (10, 11, 12, 12)]
    annotations = []
    for id_, (image, category) in enumerate(animals, 1):
        ann = {'id': id_, 'image_id': image, 'category_id': category, 'bbox': [1, 1, 5, 5], 'area': 25, 'iscrowd': 0}
        ann.update(num_keypoints=1, keypoints=[2, 2, 2, 0, 0, 0])
        if per_annotation:
            name, family = NAMES[category]
            ann.update(category_id=1, species=name, family=family)
        annotations.append(ann)
    categories = [{'id': i, 'name': name, 'supercategory': family} for i, (name, family) in NAMES.items()]
    if per_annotation:
        categories = [{'id': 1, 'name': 'animal', 'supercategory': 'animal'}]
    images = [{'id': i, 'file_name': f'{i}.jpg', 'width': 10, 'height': 10} for i in range(1, 13)]
    return {'info': {}, 'images': images, 'annotations': annotations, 'categories': categories}


def ids(part, key='annotations'):
    return [entry['id'] for entry in part[key]]


def assert_whole(part, coco):
    """A part stands on its own: every image has an annotation and the reverse, in the source's order."""
    assert part['categories'] == coco['categories']
    assert {a['image_id'] for a in part['annotations']} == set(ids(part, 'images'))
    assert ids(part, 'images') == [i for i in ids(coco, 'images') if i in ids(part, 'images')]
    assert ids(part) == [i for i in ids(coco) if i in ids(part)]


@pytest.mark.parametrize(('seed', 'order'), [(0, [7, 4, 9, 10, 3, 8, 2, 12, 6, 5, 11, 1]),
                                             (7, [4, 7, 12, 3, 8, 2, 10, 11, 9, 1, 5, 6])])  # fmt: skip
def test_draw_order_is_that_of_sha256sum(seed, order):
    # printf '<seed>:<id>' | sha256sum, sorted
    assert splits.draw_order(range(1, 13), seed) == order
    assert splits.draw_order(reversed(range(1, 13)), seed) == order


@pytest.mark.parametrize('per_annotation', [False, True])
def test_species_and_families(per_annotation):
    none = {} if per_annotation else {'hippo': 0}
    coco = make_coco(per_annotation)
    assert splits.species(coco) == {'cat': 4, 'cow': 6, 'dog': 5, **none}
    assert list(splits.families(coco).values()) == [6, 5, 4] + [0] * len(none)
    assert splits.taxonomy(coco)[7] == ('dog', 'Canidae')
    coco['annotations'][0].update(species=None, family=None)  # as good as none
    of_category = ('animal', 'animal') if per_annotation else ('cow', 'Bovidae')
    assert splits.taxonomy(coco)[coco['annotations'][0]['id']] == of_category


def test_family_is_asked_for_only_where_it_is_needed():
    coco = make_coco()
    for category in coco['categories']:
        del category['supercategory']
    assert splits.few_shot(coco, shots=2, seed=0)[0]['annotations']
    with pytest.raises(ValueError, match='no family is given for cat, cow, dog: give the category a `supercategory`'):
        splits.zero_shot_test(coco, train_family='Bovidae', test_family='Canidae')


@pytest.mark.parametrize('unit', ['animal', 'image'])
@pytest.mark.parametrize('per_annotation', [False, True])
def test_few_shot_counts_exactly(unit, per_annotation):
    coco = make_coco(per_annotation)
    before = copy.deepcopy(coco)
    part, report = splits.few_shot(coco, shots=4, seed=3, unit=unit)
    assert coco == before
    assert_whole(part, coco)
    assert splits.species(part)['cow'] == splits.species(part)['dog'] == 4
    assert splits.species(part)['cat'] == 4  # on 3 images: 4 animals, and all there are
    assert report['species_with_fewer'] == ({} if unit == 'animal' else {'cat': 3})
    assert report['species_with_none'] == ([] if per_annotation else ['hippo'])
    assert part == splits.few_shot(coco, shots=4, seed=3, unit=unit)[0]
    fewer = splits.few_shot(coco, shots=2, seed=3, unit=unit)[0]
    assert set(ids(fewer)) < set(ids(part))


def test_few_shot_draws_these_ids():
    # cows are 1-6, dogs 7-11, cats 12-15; the order of seed 0 is 7 4 9 10 3 8 2 12 6 5 11 1 in 1-12
    part, _ = splits.few_shot(make_coco(), shots=2, seed=0)
    cats = sorted(range(12, 16), key=lambda i: hashlib.new('sha256', b'0:%d' % i).hexdigest())[:2]
    assert ids(part) == sorted([4, 3, 7, 9, *cats])


def test_few_shot_leaves_out_what_cannot_be_trained_on():
    coco = make_coco()
    coco['annotations'][3]['keypoints'] = [0] * 6  # 4, the first cow of seed 0
    coco['annotations'][2]['iscrowd'] = 1  # 3, the second
    coco['annotations'][1]['bbox'] = [1, 1, 0, 5]  # 2, the third
    part, report = splits.few_shot(coco, shots=4, seed=0)
    assert set(ids(part)) & {1, 2, 3, 4, 5, 6} == {1, 5, 6}
    assert report['species_with_fewer'] == {'cow': 3}


def test_few_shot_refuses_more_than_there_is():
    with pytest.raises(ValueError, match=r'no species has 7 animals .* the most is 6, of cow'):
        splits.few_shot(make_coco(), shots=7, seed=0)
    with pytest.raises(ValueError, match='shots=0'):
        splits.few_shot(make_coco(), shots=0, seed=0)


@pytest.mark.parametrize('sources', ['val', 'all', 'one'])
def test_zero_shot_shares_no_family_and_no_image(sources):
    coco = make_coco()
    halves = [{**coco, 'images': [], 'annotations': []} for _ in range(2)]
    for key, field in (('images', 'id'), ('annotations', 'image_id')):
        for entry in coco[key]:
            halves[entry[field] % 2][key].append(entry)
    train, val = (coco, coco) if sources == 'one' else halves
    before = copy.deepcopy(halves)
    pair = {'train_family': 'Bovidae', 'test_family': 'Canidae'}
    part, report = splits.zero_shot_train(train, **pair)
    test, test_report = splits.zero_shot_test(*((train, val) if sources == 'all' else (val,)), **pair)
    assert halves == before
    assert {taxon.family for taxon in splits.taxonomy(part).values()} == {'Bovidae'}
    assert {taxon.family for taxon in splits.taxonomy(test).values()} == {'Canidae'}
    assert not set(ids(part)) & set(ids(test))
    assert not set(ids(part, 'images')) & set(ids(test, 'images'))
    splits.check_disjoint(part, test)
    assert report['images_dropped_for_test_family'] == [i for i in (5, 6) if i in ids(train, 'images')]
    assert test_report == {'test_from': 'all' if sources == 'all' else 'val'}
    assert len(test['annotations']) == {'val': 3, 'all': 5, 'one': 5}[sources]
    assert_whole(part, train)


def test_zero_shot_lists_the_families_there_are():
    coco = make_coco()
    known = r'Bovidae \(6\), Canidae \(5\), Felidae \(4\)'
    with pytest.raises(ValueError, match=f'unknown family Ursidae; families with animals: {known}'):
        splits.zero_shot_train(coco, train_family='Ursidae', test_family='Canidae')
    with pytest.raises(ValueError, match=f'family Hippopotamidae has no animals here; families with animals: {known}'):
        splits.zero_shot_test(coco, train_family='Bovidae', test_family='Hippopotamidae')
    with pytest.raises(ValueError, match='both Bovidae'):
        splits.zero_shot_train(coco, train_family='Bovidae', test_family='Bovidae')
    for ann in coco['annotations']:
        ann['image_id'] = 1
    with pytest.raises(ValueError, match='every image of Bovidae also shows an animal of Canidae: nothing to train on'):
        splits.zero_shot_train(coco, train_family='Bovidae', test_family='Canidae')


def test_overlapping_sources_are_refused():
    coco = make_coco()
    with pytest.raises(ValueError, match=r'`id` of `images` should be unique \(12: 1 is that of 2, '):
        splits.join(coco, coco)
    with pytest.raises(ValueError, match=r'12 images would be in both .* such as 1\.jpg'):
        splits.check_disjoint(coco, coco)
    again = {**coco, 'images': [dict(image, file_name=f'./{image["file_name"]}') for image in coco['images']]}
    with pytest.raises(ValueError, match=r'12 images would be in both .* such as 1\.jpg'):
        splits.check_disjoint(coco, again)
    with pytest.raises(ValueError, match='same `categories`'):
        splits.join({**coco, 'categories': coco['categories'][:3]}, coco)


def test_fraction_is_of_images_and_nested():
    coco = make_coco()
    before = copy.deepcopy(coco)
    parts = [splits.fraction(coco, percent=percent, seed=0)[0] for percent in (10, 25, 50, 100)]
    assert coco == before
    assert [len(part['images']) for part in parts] == [1, 3, 6, 12]
    assert ids(parts[1], 'images') == [4, 7, 9]
    for smaller, larger in itertools.pairwise(parts):
        assert set(ids(smaller)) < set(ids(larger))
        assert_whole(smaller, coco)
    assert parts[-1] == coco


def test_fraction_of_person_keypoints_counts_images_that_can_be_trained_on():
    coco = make_coco()
    coco['categories'] = [{'id': 1, 'name': 'person', 'supercategory': 'person'}]
    for ann in coco['annotations']:
        ann['category_id'] = 1
    coco['annotations'][-1]['iscrowd'] = 1  # image 12 has another, so it stays, with both
    coco['annotations'][0]['keypoints'] = [0] * 6  # the only one of image 1
    part, report = splits.fraction(coco, percent=100, seed=1)
    assert report == {'images_drawn_from': 11}
    assert ids(part) == list(range(2, 16))
    for percent in (0, 101, float('nan')):
        with pytest.raises(ValueError, match='percent='):
            splits.fraction(coco, percent=percent, seed=1)
    with pytest.raises(ValueError, match='is none'):
        splits.fraction(coco, percent=1, seed=1)


def test_broken_sources_are_refused():
    coco = make_coco()
    with pytest.raises(ValueError, match='annotation 7 has category_id 2'):
        splits.few_shot({**coco, 'categories': coco['categories'][:1]}, shots=1, seed=0)


def test_bytes_and_manifest():
    coco = make_coco()
    part, report = splits.few_shot(coco, shots=1, seed=0)
    content = splits.dump(part)
    assert content == splits.dump(json.loads(content))
    assert content.startswith(b'{"annotations":[{"area":25,"bbox":[1,1,5,5],"category_id":1,"id":4,')
    options = {'shots': 1, 'seed': 0, 'unit': 'animal'}
    manifest = split_sources.manifest('fewshot', options, {'a.json': 'abc'}, 'out.json', part, report)
    assert manifest['output'] == {'file': 'out.json', 'sha256': hashlib.sha256(content).hexdigest()}
    assert manifest['species']['dog'] == {'family': 'Canidae', 'annotations': 1, 'images': 1}
    assert manifest['annotation_ids'] == ids(part)
    assert manifest == json.loads(splits.dump(manifest, indent=1))
    for category in part['categories'][:2]:
        category['name'] = 'fox'  # one of Bovidae, one of Canidae
    manifest = split_sources.manifest('fewshot', options, {'a.json': 'abc'}, 'out.json', part, report)
    assert manifest['species']['fox'] == {'family': 'Bovidae, Canidae', 'annotations': 2, 'images': 2}
    part['categories'][0]['keypoints'] = None
    assert splits.keypoint_names(part) == []


@pytest.mark.skipif(not SAMPLE.is_file(), reason='needs the AP-10K sample')
def test_ap10k_sample():
    coco = json.loads(SAMPLE.read_bytes())
    part, report = splits.few_shot(coco, shots=1, seed=0)
    assert splits.species(part)['jaguar'] == splits.species(part)['antelope'] == 1
    assert len(report['species_with_none']) == 52
    assert len(splits.families(coco)) == 23
    assert ids(splits.fraction(coco, percent=50, seed=0)[0], 'images') == [
        4
    ]  # printf '0:4' | sha256sum: 48f0..., 37516: 691f...
    pair = {'train_family': 'Bovidae', 'test_family': 'Felidae'}
    assert ids(splits.zero_shot_train(coco, **pair)[0], 'images') == [4]
    assert ids(splits.zero_shot_test(coco, **pair)[0], 'images') == [37516]
    assert len(part['categories']) == 54


def test_a_holdout_leaves_something_to_train_on():
    with pytest.raises(ValueError, match='with 100% of the images held out, nothing is left to train on'):
        splits.holdout(make_coco(), percent=100, seed=0, part='train')


@pytest.mark.parametrize('percent', [10, 25, 50])
def test_a_holdout_is_two_parts_without_a_common_image(percent):
    coco = make_coco()
    train, val = (splits.holdout(coco, percent=percent, seed=0, part=part)[0] for part in ('train', 'val'))
    assert val == splits.fraction(coco, percent=percent, seed=0)[0]
    assert sorted(ids(train) + ids(val)) == ids(coco)
    assert sorted(ids(train, 'images') + ids(val, 'images')) == ids(coco, 'images')
    with pytest.raises(ValueError, match="part='test', expected 'train' or 'val'"):
        splits.holdout(coco, percent=percent, seed=0, part='test')


def test_halves_of_an_image_are_rounded_up():
    """37.5% of 12 are 4.5; 13% are 1.56, 12% are 1.44."""
    parts = [splits.fraction(make_coco(), percent=percent, seed=0)[0] for percent in (37.5, 13, 12)]
    assert [len(part['images']) for part in parts] == [5, 2, 1]


def test_sources_with_a_file_in_common_are_refused():
    other = make_coco()
    for key, fields in (('images', ['id']), ('annotations', ['id', 'image_id'])):
        for entry in other[key]:
            entry.update({field: entry[field] + 100 for field in fields})
    with pytest.raises(ValueError, match='`file_name` of `images` should be unique'):
        splits.join(make_coco(), other)


def test_a_box_without_height_is_not_trained_on():
    assert not splits.is_trainable(dict(bbox=[0, 0, 5, 0], keypoints=[1, 1, 2]))
    assert splits.is_trainable(dict(bbox=[0, 0, 5, 1], keypoints=[1, 1, 2]))
