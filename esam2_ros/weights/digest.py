# SPDX-License-Identifier: Apache-2.0
"""Whether a file is the one its size and SHA-256 say."""

import hashlib
from pathlib import Path

from esam2_ros.errors import CheckpointError


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, in lower-case hex."""
    with path.open('rb') as file:
        return hashlib.file_digest(file, 'sha256').hexdigest()


def verify_file(path: Path, size: int | None, sha256: str | None) -> None:
    """Raise CheckpointError unless the file has this size in bytes and this SHA-256.

    What is None is not checked; the size goes first because it costs nothing.
    """
    actual = path.stat().st_size
    if size is not None and actual != size:
        raise CheckpointError(f'{path.name} has {actual} bytes, expected {size}')
    if sha256 is not None:
        digest = sha256_of(path)
        if digest != sha256.lower():
            raise CheckpointError(f'{path.name} has SHA-256 {digest}, expected {sha256}')
