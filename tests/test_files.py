from pathlib import Path

import pytest

from clamp.files import check_printable, inside, write_new, write_whole


def test_what_is_there_stays_unless_it_is_to_be_written_over(tmp_path):
    same, other, new = (tmp_path / name for name in ('same', 'other', 'folder/new'))
    write_whole(same, b'1')
    write_whole(other, b'2')
    files = {same: b'1', other: b'3', new: b'4'}
    with pytest.raises(ValueError, match='other is there and holds something else: use --force'):
        write_new(files, 'use --force')
    assert not new.exists()
    assert write_new(files, 'use --force', force=True) == [other, new]
    assert [path.read_bytes() for path in files] == [b'1', b'3', b'4']
    assert write_new(files, 'use --force') == []


@pytest.mark.parametrize('name', ['../x.bmp', '/tmp/x.bmp', 'a/../../x.bmp', '', '.', 'a/..', '../crops_too/x.bmp'])
def test_names_that_lead_out_of_a_folder(name, tmp_path):
    with pytest.raises(ValueError, match='would be written outside of'):
        inside(tmp_path / 'crops', name)


def test_names_inside_of_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder, name in (('.', '1.bmp'), ('crops', 'a/b..bmp'), ('../out', '..1.bmp')):
        assert inside(folder, name) == Path(folder, name)


def test_texts_that_could_do_more_than_name():
    check_printable('left eye', 'Œil gauche', '左目', 'a\u00a0b', '{nose}')
    for text in ('a\nb', 'a\x00', 'a\u2028b', '{{ $HOME:x }}', '\udce9'):
        with pytest.raises(ValueError, match='plain text'):
            check_printable('nose', text)
