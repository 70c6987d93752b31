"""What all command lines share, and that each tool uses it."""

import argparse
import ast
import tempfile
from pathlib import Path

import pytest

from clamp.command_line import at_least, box, model_names, output_file, output_folder
from clamp.pretrained import is_hub_id
from tests.repository import ROOT, load_tool


def test_output_files(tmp_path):
    check = output_file('.pdf', '.png')
    assert check(str(tmp_path / 'new.png')) == tmp_path / 'new.png'
    assert check('new.pdf') == Path('new.pdf')
    with pytest.raises(argparse.ArgumentTypeError, match=r'new\.gif should end in \.pdf or \.png'):
        check('new.gif')
    with pytest.raises(argparse.ArgumentTypeError, match=r'none/new\.pdf cannot be written'):
        check(str(tmp_path / 'none/new.pdf'))
    (tmp_path / 'folder.png').mkdir()
    with pytest.raises(argparse.ArgumentTypeError, match='is there already'):
        check(str(tmp_path / 'folder.png'))


def test_nothing_is_written_over(tmp_path):
    (tmp_path / 'there.pdf').write_text('precious')
    (tmp_path / 'link.pdf').symlink_to('nowhere')
    for name in ('there.pdf', 'link.pdf'):
        with pytest.raises(argparse.ArgumentTypeError, match='is there already: give another name'):
            output_file()(str(tmp_path / name))
        with pytest.raises(argparse.ArgumentTypeError, match='is not an empty folder'):
            output_folder(str(tmp_path / name))
    with pytest.raises(argparse.ArgumentTypeError, match='is not an empty folder'):
        output_folder(str(tmp_path))
    assert (tmp_path / 'there.pdf').read_text() == 'precious'
    assert output_folder(str(tmp_path / 'a/b/c')) == tmp_path / 'a/b/c'
    assert sorted(path.name for path in tmp_path.iterdir()) == ['link.pdf', 'there.pdf']


@pytest.mark.parametrize('check', [output_file('.png'), output_folder])
def test_a_file_system_that_takes_no_files_is_found_before_the_work(check, monkeypatch, tmp_path):
    def refuse(dir):
        raise OSError(30, 'Read-only file system')

    monkeypatch.setattr(tempfile, 'TemporaryFile', refuse)
    with pytest.raises(argparse.ArgumentTypeError, match=r'new\.png cannot be written \(Read-only file system\)'):
        check(str(tmp_path / 'new.png'))


def test_names_that_opencv_cannot_take_are_refused():
    with pytest.raises(argparse.ArgumentTypeError, match='is no UTF-8'):
        output_file()('b\udce9.png')


def test_counts_are_whole_numbers_from_the_least_on():
    assert at_least(1)('1') == 1
    for text in ('0', '-3', '1.5', 'many'):
        with pytest.raises(argparse.ArgumentTypeError, match=f'{text} should be a whole number, 1 or more'):
            at_least(1)(text)


def test_names_tell_models_apart():
    assert model_names([['a/x.py', '1.pth']]) == ['x']
    assert model_names([['a/x.py', '1.pth'], ['a/y.py', '1.pth']]) == ['x', 'y']
    assert model_names([['a/x.py', '1.pth'], ['b/x.py', '1.pth']]) == ['a/x', 'b/x']
    assert model_names([['a/x.py', '1.pth'], ['a/x.py', '2.pth']]) == ['x 1', 'x 2']
    assert model_names([['a/x.py', 's0/1.pth'], ['a/x.py', 's1/1.pth']]) == ['x s0/1', 'x s1/1']
    with pytest.raises(ValueError, match='given twice'):
        model_names([['a/x.py', '1.pth'], ['./a/x.py', '1.pth']])


@pytest.mark.parametrize(
    ('tool', 'option', 'wrong'),
    [
        ('benchmark', '--json', 'table.txt'),
        ('check_dataset', '--json', 'none/found.json'),
        ('complexity', '--json', 'none/counts.json'),
        ('convert_checkpoint', 'out', 'none/new.pth'),
        ('evaluate_wording', '--json', 'none/table.json'),
        ('export_onnx', '--out', 'none/model.onnx'),
        ('predict', '--out', __file__),
        ('report', '--out', 'none/report.html'),
        ('report', '--gallery', '0'),
        ('test', '--out', 'metrics.txt'),
        ('visualize', '--out', 'none/figure.pdf'),
        ('visualize', '--number', '0'),
        ('demo_app', '--port', '-1'),
    ],
)
def test_tools_refuse_what_cannot_be_meant(tool, option, wrong, capsys, monkeypatch, tmp_path):
    monkeypatch.setenv('LOCAL_RANK', '0')
    monkeypatch.chdir(tmp_path)
    for name in ('config.py', 'checkpoint.pth', 'released.pth'):
        Path(name).touch()
    first = dict(visualize=['similarity', 'config.py', 'checkpoint.pth'], convert_checkpoint=['released.pth'])
    first['predict'] = ['config.py', 'checkpoint.pth', 'dog.jpg']
    args = first.get(tool, ['config.py', 'checkpoint.pth']) + [option] * option.startswith('-')
    with pytest.raises(SystemExit) as error:
        load_tool(tool).main([*args, wrong])
    assert error.value.code == 2
    assert f'argument {option}: {wrong} ' in capsys.readouterr().err


def test_a_box_is_four_finite_numbers_of_positive_size():
    assert box('1,2.5,3,4') == [1, 2.5, 3, 4]
    for text in ('1,2,3', '1,2,0,4', '1,2,nan,4', 'a,b,c,d', ''):
        with pytest.raises(
            argparse.ArgumentTypeError, match='should be four numbers, X,Y,WIDTH,HEIGHT, sizes positive'
        ):
            box(text)


@pytest.mark.parametrize('path', sorted(ROOT.glob('tools/*.py')), ids=lambda path: path.stem)
def test_help_has_an_example(path):
    tree = ast.parse(path.read_text())
    assert f'python tools/{path.name} ' in f'{ast.get_docstring(tree)} '.replace('\n', ' ')
    parsers = [
        node for node in ast.walk(tree) if isinstance(node, ast.Call) and 'ArgumentParser' in ast.unparse(node.func)
    ]
    assert any('__doc__' in ast.unparse(parser) and 'RawDescription' in ast.unparse(parser) for parser in parsers)


@pytest.mark.parametrize(('name', 'asked'), [('owner/model', True), ('in/dog.PNG', False), ('in/clip.mp4', False)])
def test_a_mistyped_file_is_not_looked_for_on_the_hub(name, asked):
    assert is_hub_id(name) == asked
