# SPDX-License-Identifier: Apache-2.0
"""The memory services touch files below their folder and no others."""

import pytest

from esam2_ros.errors import MemoryFileError
from esam2_ros.ros.memory_path import memory_directory
from esam2_ros.ros.memory_path import memory_path


@pytest.mark.parametrize('name', ['a.safetensors', 'deep/er/a', './a', '~', 'a b', '.hidden'])
def test_files_below_the_folder(tmp_path, name):
    assert memory_path(str(tmp_path), name) == (tmp_path / name).resolve()
    assert memory_path(str(tmp_path), str(tmp_path / name)) == (tmp_path / name).resolve()


@pytest.mark.parametrize(
    ('name', 'reason'),
    [
        ('', 'allowed: a file below'),
        ('.', 'outside memory.directory'),
        ('../a', "has '..' in it"),
        ('deep/../a', "has '..' in it"),
        ('deep/../../a', "has '..' in it"),
        ('/etc/passwd', 'outside memory.directory'),
        ('link/a', 'outside memory.directory'),
        ('a\0b', 'allowed: a file below'),
        ('loop/a', 'cannot be followed'),
    ],
)
def test_other_files_are_refused(tmp_path, name, reason):
    folder = tmp_path / 'memory'
    folder.mkdir()
    (folder / 'link').symlink_to(tmp_path)
    (folder / 'loop').symlink_to(folder / 'loop')
    with pytest.raises(MemoryFileError) as caught:
        memory_path(str(folder), name)
    assert reason in str(caught.value)


def test_a_folder_beside_with_the_same_beginning_is_outside(tmp_path):
    with pytest.raises(MemoryFileError, match='outside'):
        memory_path(str(tmp_path / 'memory'), str(tmp_path / 'memory2' / 'a'))


def test_the_folder_is_where_ros_keeps_its_own(tmp_path, monkeypatch):
    monkeypatch.setenv('ROS_HOME', str(tmp_path))
    assert memory_directory('') == tmp_path / 'esam2_memory'
    monkeypatch.delenv('ROS_HOME')
    monkeypatch.setenv('HOME', str(tmp_path))
    assert memory_directory('') == tmp_path / '.ros' / 'esam2_memory'
    assert memory_directory('~/kept') == tmp_path / 'kept'
