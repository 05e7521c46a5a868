# SPDX-License-Identifier: Apache-2.0
"""The checkpoints on this disk: which are there, and getting one that is not."""

import logging
from pathlib import Path

from esam2_ros.errors import CheckpointError
from esam2_ros.weights.digest import verify_file
from esam2_ros.weights.download import Patience
from esam2_ros.weights.download import Progress
from esam2_ros.weights.download import download
from esam2_ros.weights.registry import Checkpoint

_log = logging.getLogger(__name__)


def verify(entry: Checkpoint) -> None:
    """Raise CheckpointError unless the file is there with the registry's size and SHA-256."""
    require(entry)
    verify_file(entry.path, entry.size, entry.sha256)


def require(entry: Checkpoint) -> Path:
    """Path of a checkpoint that must be on this disk; reads nothing of it but its size.

    Raises CheckpointError, with the command that mends it, for an absent or unfinished file.
    """
    path = entry.path
    if not path.is_file():
        if entry.packaged:
            raise CheckpointError(
                f'{path} is missing from the installed package; reinstall esam2_ros, name a '
                f"checkpoint file, or use 'random'"
            )
        raise CheckpointError(
            f'no checkpoint of {entry.model} at {path}; run `{fetch_command(entry)}`, '
            f"name a checkpoint file, or use 'random'"
        )
    actual = path.stat().st_size
    if entry.size is not None and actual != entry.size:
        cure = 'reinstall esam2_ros' if entry.packaged else f'run `{fetch_command(entry)}`'
        raise CheckpointError(f'{path} has {actual} bytes, expected {entry.size}; {cure}')
    return path


def fetch_command(entry: Checkpoint) -> str:
    """Shell command that downloads this checkpoint."""
    return f'esam2 weights fetch {entry.model}'


def fetch(
    entry: Checkpoint,
    *,
    force: bool = False,
    progress: Progress | None = None,
    patience: Patience | None = None,
) -> bool:
    """Make sure that a checkpoint is on this disk and good; True if it was downloaded now.

    A good file is left alone unless `force`; a damaged one is replaced. Raises CheckpointError
    for a download that fails and for a packaged checkpoint that is missing or damaged.
    """
    if entry.packaged:
        verify(entry)
        return False
    if entry.path.is_file() and not force:
        try:
            verify(entry)
        except CheckpointError as error:
            _log.warning('%s: downloading it again', error)
        else:
            return False
    download(
        entry.url,
        entry.path,
        size=entry.size,
        sha256=entry.sha256,
        progress=progress,
        patience=patience,
    )
    return True
