# SPDX-License-Identifier: Apache-2.0
"""Which file a memory service may touch: one below the folder that the parameter names."""

import os
from pathlib import Path

from esam2_ros.errors import MemoryFileError


def memory_directory(setting: str) -> Path:
    """The folder that memory.directory stands for; empty is esam2_memory where ROS keeps its own.

    That is ROS_HOME, or ~/.ros.
    """
    home = Path(os.environ.get('ROS_HOME') or '~/.ros')
    return (Path(setting) if setting else home / 'esam2_memory').expanduser().resolve()


def memory_path(setting: str, name: str) -> Path:
    """The file that a request names, relative to the folder, or absolute and inside it.

    Links are followed before the check. Raises MemoryFileError for any other file.
    """
    directory = memory_directory(setting)
    if not name or '\0' in name:
        raise MemoryFileError(f'path is {name!r}; allowed: a file below {directory}')
    if '..' in Path(name).parts:
        raise MemoryFileError(f"path {name!r} has '..' in it; allowed: a file below {directory}")
    try:
        path = (directory / name).resolve()
    except (OSError, RuntimeError) as error:
        raise MemoryFileError(f'path {name!r} cannot be followed ({error})') from error
    if directory not in path.parents:
        raise MemoryFileError(
            f'path {name!r} is outside memory.directory; allowed: a file below {directory}'
        )
    return path
