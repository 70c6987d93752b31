import pytest

from clamp.files import write_new, write_whole


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
