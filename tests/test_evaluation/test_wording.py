from clamp.evaluation.wording import other_words, plural, rewordings, synonym, typo


def test_words_by_hand():
    assert [synonym(name) for name in ('left front paw', 'right ear base', 'nose', 'hoof')] == [
        'left fore foot', 'right root of the ear', 'snout', 'hoof',
    ]  # fmt: skip
    assert [plural(name) for name in ('left eye', 'withers')] == ['left eyes', 'withers']
    assert [typo(name) for name in ('left eye', 'front paw', 'nose', 'left elbow', 'x', 'left knee', 'ee')] == [
        'left eey', 'front pwa', 'noes', 'left elobw', 'x', 'left kene', 'ee',
    ]  # fmt: skip


def test_every_way_words_every_name():
    names = ['left eye', 'nose']
    ways = rewordings(names)
    assert next(iter(ways)) == 'as trained'
    assert ways['as trained'] == names
    assert ways['upper case'] == ['LEFT EYE', 'NOSE']
    assert ways['the ... of an animal'] == ['the left eye of an animal', 'the nose of an animal']
    assert {len(words) for words in [*ways.values(), *other_words(names).values()]} == {2}
    assert other_words(names)['cloud'] == ['cloud', 'cloud']
    assert len(other_words(names)) == 10
