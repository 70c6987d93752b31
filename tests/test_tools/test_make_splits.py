import json
import shutil
from pathlib import Path

import pytest

from clamp.checks import check_split
from tests.repository import ROOT, load_tool

SAMPLE = ROOT.parent / 'shared/data/ap10k-sample/test_ap10k.json'


tool = load_tool('make_splits')


def write_source(path, animals):
    """One image per animal, (id, species, family); the one category is 'animal'."""
    images = [{'id': i, 'file_name': f'{i}.jpg', 'width': 9, 'height': 9} for i, *_ in animals]
    annotations = [
        {
            'id': i,
            'image_id': i,
            'category_id': 1,
            'bbox': [0, 0, 5, 5],
            'keypoints': [2, 2, 2],
            'species': species,
            'family': family,
        }
        for i, species, family in animals
    ]
    categories = [{'id': 1, 'name': 'animal', 'supercategory': 'animal'}]
    path.write_text(json.dumps({'images': images, 'annotations': annotations, 'categories': categories}))
    return path


@pytest.fixture
def train(tmp_path):
    dogs, cats = ([(i, name, family) for i in ids] for ids, name, family in CATS_AND_DOGS)
    return write_source(tmp_path / 'train.json', [*dogs, *cats])


@pytest.fixture
def val(tmp_path):
    return write_source(tmp_path / 'val.json', [(21, 'cat', 'Felidae'), (22, 'dog', 'Canidae'), (23, 'cat', 'Felidae')])


CATS_AND_DOGS = ((range(1, 9), 'dog', 'Canidae'), (range(9, 12), 'cat', 'Felidae'))
PAIR = ['zeroshot', '--train-family', 'Canidae', '--test-family', 'Felidae', '--train-ann', 'train.json']


def run(*argv):
    return tool.main([str(arg) for arg in argv])


def test_few_shot_writes_verifies_and_is_up_to_date(train, capsys):
    assert run('fewshot', train, '--shots', 4, '--seed', 0) == 0
    out = capsys.readouterr().out
    assert 'train_4shot-seed0.json: written' in out
    assert 'cat 3, dog 4' in out
    assert 'used whole, fewer than 4: cat (3)' in out
    output = train.parent / 'splits/train_4shot-seed0.json'
    manifest = output.with_name('train_4shot-seed0.manifest.json')
    # dogs are 1-8: printf '0:<id>' | sha256sum puts 7 4 3 8 first
    assert [ann['id'] for ann in json.loads(output.read_bytes())['annotations']] == [3, 4, 7, 8, 9, 10, 11]
    assert json.loads(manifest.read_bytes())['report']['species_with_fewer'] == {'cat': 3}
    before = output.read_bytes(), manifest.read_bytes()
    assert run('fewshot', train, '--shots', 4) == 0
    assert 'up to date' in capsys.readouterr().out
    assert before == (output.read_bytes(), manifest.read_bytes())
    assert run('verify', manifest) == 0
    assert 'verified' in capsys.readouterr().out


def test_names_tell_splits_apart(train, val):
    run('fewshot', train, '--shots', 2, '--unit', 'image', '--seed', 5)
    run('fraction', train, '--percent', 50, '--seed', 1)
    run('fraction', train, '--percent', 12.5, '--out-dir', train.parent / 'mine')
    assert sorted(path.name for path in train.parent.glob('*/*.json') if 'manifest' not in path.name) == [
        'train_12.5pct-seed0.json',
        'train_2shot-image-seed5.json',
        'train_50pct-seed1.json',
    ]


def test_zero_shot_trains_on_one_family_and_tests_on_another(train, val, monkeypatch, capsys):
    monkeypatch.chdir(train.parent)
    assert run(*PAIR, '--val-ann', 'val.json') == 0
    assert run(*PAIR, '--val-ann', 'val.json', '--test-from', 'all') == 0
    assert '0 images left out: they also show Felidae' in capsys.readouterr().out
    ids = {
        path.name: [ann['id'] for ann in json.loads(path.read_bytes())['annotations']]
        for path in Path('splits').glob('*.json')
        if 'manifest' not in path.name
    }
    assert ids == {
        'train_Canidae-to-Felidae.json': list(range(1, 9)),
        'val_Canidae-to-Felidae.json': [21, 23],
        'val_Canidae-to-Felidae-all.json': [9, 10, 11, 21, 23],
    }
    assert run('verify', *Path('splits').glob('*.manifest.json')) == 0


def test_an_unseen_species_is_in_one_of_two_files(train, capsys):
    assert run('unseen', train, '--species', 'cat') == 0
    out = capsys.readouterr().out
    assert 'train_without-cat.json: written' in out
    assert 'train_only-cat.json: written' in out
    assert 'images left out' not in out
    ids = {
        path.name: [ann['id'] for ann in json.loads(path.read_bytes())['annotations']]
        for path in train.parent.glob('splits/*.json')
        if 'manifest' not in path.name
    }
    assert ids == {'train_without-cat.json': list(range(1, 9)), 'train_only-cat.json': [9, 10, 11]}
    assert run('verify', *train.parent.glob('splits/*.manifest.json')) == 0
    assert run('unseen', train, '--species', 'pig') == 2
    assert 'no animal is a pig; species with animals: cat (3), dog (8)' in capsys.readouterr().err


def test_unseen_keypoints(train, capsys):
    coco = json.loads(train.read_text())
    coco['categories'][0]['keypoints'] = ['nose']
    train.write_text(json.dumps(coco))
    assert run('unseen', train, '--species', 'cat', '--keypoints', 'nose') == 0
    assert 'train_without-cat-1keypoints.json: written' in capsys.readouterr().out
    manifest = json.loads((train.parent / 'splits/train_without-cat-1keypoints.manifest.json').read_text())
    assert manifest['options'] == {'species': 'cat', 'keypoints': ['nose']}
    assert run('unseen', train, '--species', 'cat', '--keypoints', 'hoof') == 2
    assert 'there is no keypoint hoof; there are nose' in capsys.readouterr().err


def relabelled(train, keypoints: int = 3, **category) -> None:
    """Animals of three keypoints, at (5, 5), (6, 6), (7, 7), of which the second is unlabelled."""
    content = json.loads(train.read_bytes())
    content['categories'][0] |= dict(keypoints=['Nose', 'L_Eye', 'R_Eye'], skeleton=[[1, 2], [2, 3]]) | category
    for ann in content['annotations']:
        ann['keypoints'] = [value for k in range(keypoints) for value in (5 + k, 5 + k, 2 * (k != 1))]
    train.write_text(json.dumps(content))


def test_relabelled_keypoints_have_new_names_order_and_links(train, capsys):
    relabelled(train)
    assert run('relabel', train, '--name', 'mine', '--species', 'cat', '--keypoints', 'R_Eye=eyeR', 'L_Eye=eyeL') == 0
    path = train.parent / 'splits/train_mine.json'
    part = json.loads(path.read_bytes())
    assert [ann['id'] for ann in part['annotations']] == [9, 10, 11]
    assert part['categories'][0]['keypoints'] == ['eyeR', 'eyeL']
    assert part['categories'][0]['skeleton'] == [[2, 1]]  # COCO counts from 1
    assert part['annotations'][0]['keypoints'] == [7, 7, 2, 6, 6, 0]
    assert part['annotations'][0]['num_keypoints'] == 1
    assert run('verify', path.with_suffix('.manifest.json')) == 0
    manifest = path.with_suffix('.manifest.json')
    manifest.write_text(json.dumps(json.loads(manifest.read_bytes()) | dict(options=dict(species=[], keypoints=['a']))))
    assert run('verify', manifest) == 1
    assert 'cannot be checked' in capsys.readouterr().out


@pytest.mark.parametrize(
    ('changes', 'pairs', 'message'),
    [
        ({}, ['Nose=a', 'Nose=b'], 'a keypoint is there twice'),
        ({}, ['Nose=a', 'L_Eye=a'], 'two keypoints would have one name'),
        ({}, ['Nose= '], "' ' is no name of a keypoint"),
        ({}, ['Nose'], 'expected OLD=NEW'),
        ({}, ['Nose=a\nb'], 'control characters'),
        (dict(keypoints=2), ['Nose=a'], 'name 3 keypoints, but annotation 1 has 2'),
        (dict(skeleton=[[1, [2]]]), ['Nose=a'], 'should be pairs of whole numbers'),
    ],
)
def test_relabel_refuses_what_cannot_be(train, changes, pairs, message, capsys):
    relabelled(train, **changes)
    assert run('relabel', train, '--name', 'mine', '--species', 'cat', '--keypoints', *pairs) == 2
    assert message in capsys.readouterr().err
    assert not (train.parent / 'splits').exists()


def test_names_of_parts_stay_names(train, capsys):
    for name in ('x/y', '', 'a\nb'):
        with pytest.raises(SystemExit):
            run('relabel', train, '--name', name, '--species', 'cat')
        assert 'use letters, digits, - and _' in capsys.readouterr().err
    content = train.read_text().replace('"cat"', '"../cat"')
    train.write_text(content)
    assert run('unseen', train, '--species', '../cat') == 0
    assert (train.parent / 'splits/train_only-.._cat.json').is_file()


def test_verify_tells_what_differs(train, capsys):
    run('fewshot', train, '--shots', 2)
    output = train.parent / 'splits/train_2shot-seed0.json'
    manifest = output.with_suffix('.manifest.json')
    coco = json.loads(output.read_bytes())
    lost = coco['annotations'].pop(0)['id']
    coco['annotations'][0]['bbox'][0] = 3
    output.write_text(json.dumps(coco))
    assert run('verify', manifest) == 1
    out = capsys.readouterr().out
    assert f'1 annotations missing, such as id {lost}' in out
    assert '1 annotations changed' in out

    recorded = json.loads(manifest.read_bytes())
    manifest.write_text(json.dumps({**recorded, 'options': {**recorded['options'], 'seed': 1}}))
    assert run('verify', manifest) == 1
    assert 'manifest: `annotation_ids` differs' in capsys.readouterr().out

    manifest.write_text(json.dumps({**recorded, 'tool_version': 0}))
    assert run('verify', manifest) == 1
    assert 'made by version 0 of the tool, this is version 1' in capsys.readouterr().out

    manifest.write_text('{"tool": "tools/make_splits.py"}')
    output.with_name('x.manifest.json').write_text('[]')
    assert run('verify', manifest, output.with_name('x.manifest.json')) == 1
    out = capsys.readouterr().out
    assert 'cannot be checked' in out
    assert 'not a manifest' in out


def test_verify_refuses_a_changed_or_missing_source(train, tmp_path, capsys):
    run('fraction', train, '--percent', 50)
    manifest = train.parent / 'splits/train_50pct-seed0.manifest.json'
    (tmp_path / 'elsewhere').mkdir()
    shutil.copy(train, tmp_path / 'elsewhere')
    train.write_text(train.read_text() + '\n')
    assert run('verify', manifest) == 1
    assert f'refused: {train} is not the source (SHA-256' in capsys.readouterr().out
    train.unlink()
    assert run('verify', manifest) == 1
    assert 'give --source-dir' in capsys.readouterr().out
    assert run('verify', manifest, '--source-dir', tmp_path / 'elsewhere') == 0


def test_nothing_is_overwritten(train, capsys):
    run('fewshot', train, '--shots', 2)
    output = train.parent / 'splits/train_2shot-seed0.json'
    before = output.read_bytes()
    write_source(train, [(i, 'horse', 'Equidae') for i in range(30, 40)])
    assert run('fewshot', train, '--shots', 2) == 2
    assert f'error: {output} is there and holds something else' in capsys.readouterr().err
    assert output.read_bytes() == before


def test_errors_name_file_and_remedy(train, val, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    def error(*argv):
        assert run(*argv) == 2
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) == 1
        return lines[0]

    assert 'train.json: no species has 9 animals' in error('fewshot', 'train.json', '--shots', 9)
    unknown = error(*[arg.replace('Felidae', 'Ursidae') for arg in PAIR], '--val-ann', 'val.json')
    assert unknown == 'error: val.json: unknown family Ursidae; families with animals: Canidae (1), Felidae (2)'
    assert 'named train.json' in error(*PAIR, '--val-ann', 'train.json', '--test-from', 'all')
    Path('bad.json').write_text('{')
    assert error('fraction', 'bad.json', '--percent', 5).startswith('error: bad.json: ')
    Path('bad.json').write_text('[]')
    assert 'bad.json: not a COCO annotation file' in error('fraction', 'bad.json', '--percent', 5)
    source = json.loads(train.read_bytes())
    del source['categories'][0]['supercategory'], source['annotations'][0]['family']
    Path('bad.json').write_text(json.dumps(source))
    assert 'bad.json: no family is given for dog' in error(*PAIR[:-1], 'bad.json', '--val-ann', 'val.json')
    assert not Path('splits').exists()


@pytest.mark.skipif(not SAMPLE.is_file(), reason='needs the AP-10K sample')
def test_ap10k_sample(tmp_path, capsys):
    ann = shutil.copy(SAMPLE, tmp_path)
    assert run('fewshot', ann, '--shots', 1) == 0
    assert 'nothing to draw: alouatta, arctic fox, argali sheep,' in capsys.readouterr().out
    families = ['--train-family', 'Bovidae', '--test-family', 'Felidae']
    assert run('zeroshot', *families, '--train-ann', ann, '--val-ann', ann) == 2  # both parts would have one name
    other = shutil.copy(SAMPLE, tmp_path / 'val.json')
    assert run('zeroshot', *families, '--train-ann', ann, '--val-ann', other) == 0
    manifests = sorted((tmp_path / 'splits').glob('*.manifest.json'))
    assert run('verify', *manifests) == 0
    recorded = json.loads(manifests[-1].read_bytes())
    assert recorded['species'] == {'jaguar': {'family': 'Felidae', 'annotations': 1, 'images': 1}}
    assert recorded['image_ids'] == [37516]


def test_a_part_of_another_file_than_is_there_is_refused_by_training_and_test(train):
    assert run('fewshot', train, '--shots', 4, '--seed', 0) == 0
    part = train.parent / 'splits/train_4shot-seed0.json'
    check_split(part)
    write_source(train, [(i, 'dog', 'Canidae') for i in range(1, 9)])  # as another draw of train and val would
    with pytest.raises(ValueError, match=r'seed0\.json was made of another .*train\.json than there is now'):
        check_split(part)
    for file in (part, part.with_suffix('.manifest.json')):
        shutil.copy(file, train.parent)  # as --out-dir may put it, beside its source
    with pytest.raises(ValueError, match=r'train\.json than there is now'):
        check_split(train.parent / part.name)
    part.with_suffix('.manifest.json').write_text('[]')
    with pytest.raises(ValueError, match=r'manifest\.json is damaged \(TypeError'):
        check_split(part)
    part.with_suffix('.manifest.json').unlink()  # a file of others
    check_split(part)
