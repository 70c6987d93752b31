"""Each defect is put into a data set that has none, and must be named; the data set is two drawn images."""

import copy

import numpy as np
import pytest
from PIL import Image

from clamp.datasets import audit
from tests.tiny_data import COW, make_part

SWAPS = {'L_Eye': 'R_Eye', 'R_Eye': 'L_Eye', 'Nose': 'Nose'}


@pytest.fixture
def parts(tmp_path):
    return [make_part('train', 1, tmp_path), make_part('val', 11, tmp_path)]


def messages(parts, swaps=SWAPS, prompts=('left eye', 'right eye', 'nose'), decode=False):
    return {(f.level, f.part, f.message): f.examples for f in audit.check(parts, swaps, list(prompts), decode)}


def test_nothing_is_found_in_a_good_data_set(parts):
    assert messages(parts, decode=True) == {}


def test_an_animal_of_a_file_name_that_is_there_twice_is_no_other_error(parts):
    coco = parts[0].coco
    coco['images'].append({**coco['images'][0], 'id': 99})
    coco['annotations'].append({**coco['annotations'][0], 'id': 98, 'image_id': 99})
    assert [message for _, _, message in messages(parts)] == ['`file_name` of `images` should be unique']


def set_value(key, value):
    return lambda coco: coco['annotations'][0].update({key: value})


DEFECTS = {
    '`id` of `annotations` should be unique': lambda coco: coco['annotations'][0].update(id=12),
    '`id` of `images` should be unique': lambda c: c['images'].append({**c['images'][0], 'file_name': 'x.jpg'}),
    '`file_name` of `images` should be unique': lambda coco: coco['images'].append({**coco['images'][0], 'id': 99}),
    '`image_id` should be the id of one of `images`': set_value('image_id', 99),
    '`category_id` should be the id of one of `categories`': set_value('category_id', 2),
    'lost category: not in both train and here': lambda coco: coco['categories'].append({'id': 2, 'name': 'dog'}),
    '`keypoints` should be 3 times x, y, visibility': set_value('keypoints', [20, 10, 2, 10, 10, 2]),
    'the visibility of a keypoint should be 0, 1 or 2': set_value('keypoints', [20, 10, 3, 10, 10, 2, 0, 0, 0]),
    '`num_keypoints` is not the number of labelled ones: counted': set_value('num_keypoints', 3),
    'no keypoint labelled: not trained on': set_value('keypoints', [0] * 9),
    'labelled point at (0, 0)': set_value('keypoints', [0, 0, 2, 10, 10, 2, 0, 0, 0]),
    'labelled point outside the image': set_value('keypoints', [41, 10, 2, 10, 10, 2, 0, 0, 0]),
    'box outside the image': set_value('bbox', [5, 30, 9, 9]),
    'empty box': set_value('bbox', [5, 5, 0, 20]),
    'box at most 2 pixels wide or high': set_value('bbox', [5, 5, 2, 20]),
    'box over the edge of the image by more than a pixel': set_value('bbox', [5, 5, 20, 27]),
    '`area` should be a finite number of square pixels, and above 0 where a keypoint is labelled': set_value('area', 0),
    '`bbox` should be four finite numbers, x, y, width, height in pixels, the last two not negative':
        set_value('bbox', [5, None, 9, 9]),
    '`width` and `height` are not given, read from the image': lambda coco: coco['images'][0].pop('width'),
    'category: left and right swapped': lambda c: c['categories'][0].update(keypoints=['R_Eye', 'L_Eye', 'Nose']),
    "category: not in the data set's order": lambda c: c['categories'][0].update(keypoints=['nose', *COW[:2]]),
    'category: 2 names, the data set has 3': lambda coco: coco['categories'][0].update(keypoints=COW[:2]),
    "another image's id in train": lambda coco: coco['images'][0].update(id=1),
    'image is in train too, by name': lambda coco: coco['images'][0].update(file_name='1.jpg'),
    'in train, not here': lambda coco: [ann.update(species='dog') for ann in coco['annotations']],
    'here, not in train': lambda coco: coco['annotations'][0].update(species='dog'),
}  # fmt: skip


@pytest.mark.parametrize('message', DEFECTS)
def test_defect_is_named(parts, message):
    DEFECTS[message](parts[1].coco)
    assert message in {what for _, part, what in messages(parts) if part == 'val'}


def test_visibility_of_the_authors_layout(parts):
    for ann in parts[0].coco['annotations']:
        ann['keypoints'] = [min(value, 1) if i % 3 == 2 else value for i, value in enumerate(ann['keypoints'])]
    assert messages(parts) == {('warning', 'train', 'visibility is 0 or 1 throughout; COCO has 0 or 2'): ['4 points']}


def test_faces_with_eyes_swapped(parts):
    ann = parts[0].coco['annotations'][0]
    ann['keypoints'] = [10, 10, 2, 20, 10, 2, 0, 0, 0]
    assert messages(parts) == {}  # one face may be upside down
    parts[0].coco['annotations'] = [copy.deepcopy(ann) | {'id': id_} for id_ in range(20)]
    found = [message for level, _, message in messages(parts) if level == 'error']
    assert found == ['left and right look swapped: left eye not at the right in 20 of 20 faces']


@pytest.mark.parametrize(
    ('swaps', 'prompts', 'named'),
    [
        ({'L_Eye': 'L_Eye', 'R_Eye': 'R_Eye', 'Nose': 'Nose'}, None, ['L_Eye -> L_Eye', 'R_Eye -> R_Eye']),
        ({'L_Eye': 'R_Eye', 'R_Eye': 'Nose', 'Nose': 'Nose'}, None, ['L_Eye -> R_Eye', 'R_Eye -> Nose']),
        (SWAPS, ['left eye', 'left eyelid', 'nose'], ['left eye -> left eyelid', 'left eyelid -> left eye']),
    ],
)
def test_flip_pairs_that_do_not_swap(parts, swaps, prompts, named):
    what = 'prompt' if prompts else 'keypoint'
    found = messages(parts, swaps, prompts or ())
    assert found['error', 'config', f'{what} whose flip pair does not swap left and right'] == named


@pytest.mark.parametrize(
    ('prompts', 'message'),
    [
        (['left eye', 'right eye'], 'prompts: 2 names, the data set has 3'),
        (['right eye', 'left eye', 'nose'], 'prompts: left and right swapped'),
        (['nose', 'left eye', 'right eye'], "prompts: not in the data set's order"),
        (['left eye', 'left eye', 'nose'], 'prompts: name given twice'),
    ],
)
def test_prompts_against_the_names(parts, prompts, message):
    assert ('error', 'config', message) in messages(parts, prompts=prompts)


def test_prompts_in_other_words_are_a_note(parts):
    found = messages(parts, prompts=['left eye', 'right eye', 'tip of the snout'])
    assert found == {('note', 'config', 'prompts: in other words'): ["'tip of the snout' for Nose"]}


def test_images_missing_broken_or_of_another_size_are_found(parts, tmp_path):
    (tmp_path / '1.jpg').unlink()
    (tmp_path / '2.jpg').write_bytes((tmp_path / '2.jpg').read_bytes()[:-80])
    parts[1].coco['images'][0]['width'] = 41
    found = messages(parts, decode=True)
    assert found['error', 'train', 'missing'] == ['1.jpg']
    assert found['error', 'val', 'of another size than the annotation file says'] == ['11.jpg']
    assert any(what.startswith('unreadable (') and cases == ['2.jpg'] for (_, _, what), cases in found.items())


def test_the_same_picture_under_another_name_and_size(parts, tmp_path):
    Image.open(tmp_path / '1.jpg').resize((80, 60)).save(tmp_path / '12.jpg', quality=60)
    parts[1].coco['images'][1].update(width=80, height=60)
    assert messages(parts, decode=True) == {
        ('warning', 'val', 'looks like an image in train (perceptual hash)'): ['12.jpg = 1.jpg']
    }


def test_images_are_shared_by_their_files_and_not_by_their_names(parts, tmp_path):
    """Of two folders, 1.jpg is two photographs; and ./1.jpg is 1.jpg."""
    other = make_part('val', 1, tmp_path / 'other')
    other.coco['images'][0]['id'] = other.coco['annotations'][0]['image_id'] = 11
    for image in other.coco['images']:
        Image.effect_noise((40, 30), 90).save(tmp_path / 'other' / image['file_name'])
    assert messages([parts[0], other], decode=True) == {}
    parts[1].coco['images'][0]['file_name'] = './1.jpg'
    assert messages(parts) == {('error', 'val', 'image is in train too, by name'): ['./1.jpg']}


def test_the_hash_is_of_what_is_shown(tmp_path):
    """Turned by EXIF it is as turned in pixels, and 16 bits are more than white."""
    blocks = Image.fromarray(np.random.default_rng(0).integers(0, 255, (6, 8, 3), dtype=np.uint8)).resize((160, 120))
    exif = Image.Exif()
    exif[0x0112] = 6  # lies on its side
    blocks.save(tmp_path / 'a.png', exif=exif)
    blocks.transpose(Image.Transpose.ROTATE_270).save(tmp_path / 'b.png')
    hashes = [audit.inspect_image(tmp_path / name, (120, 160)) for name in ('a.png', 'b.png')]
    assert hashes[0] == hashes[1]
    for name, seed in (('c.png', 1), ('d.png', 2)):
        noise = np.random.default_rng(seed).integers(0, 65536, (40, 40), dtype=np.uint16)
        Image.fromarray(noise).save(tmp_path / name)
    hashes = [audit.inspect_image(tmp_path / name, (40, 40)) for name in ('c.png', 'd.png')]
    assert hashes[0][0] == hashes[1][0] == ''
    assert (hashes[0][1] ^ hashes[1][1]).bit_count() > 8


def test_pairs_of_names_without_a_known_side(parts):
    """As given by hand; but a name may not swap with itself where it has a side."""
    names = ['Auge_links', 'Auge_rechts', 'Nase']
    assert audit.check_flip(dict(zip(names, (names[1], names[0], names[2]))), 'keypoint', names) == []
    legs = ['Lleg', 'Rleg', 'tail']
    assert audit.check_flip(dict(zip(legs, (legs[1], legs[0], legs[2]))), 'keypoint', legs) == []
    [finding] = audit.check_flip(dict(zip(legs, legs)), 'keypoint', legs)
    assert finding.examples == ['Lleg -> Lleg', 'Rleg -> Rleg']
