# SPDX-License-Identifier: Apache-2.0
"""A file of tensors with a JSON description: written whole or not at all, checked when read."""

import hashlib
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from esam2_ros.errors import MemoryFileError

_FORMAT = 'esam2_ros memory 1'


@dataclass(frozen=True, eq=False)
class Contents:
    """What a file holds: tensors by name, on the host, and what JSON can say."""

    description: dict[str, Any]
    tensors: dict[str, Tensor]


def write_contents(path: Path, contents: Contents) -> None:
    """Write a safetensors file with the description and a SHA-256 over all in its metadata.

    What was there before is replaced. Raises MemoryFileError when it cannot be written.
    """
    description = json.dumps(contents.description)
    metadata = {
        'format': _FORMAT,
        'description': description,
        'sha256': _digest(description, contents.tensors),
    }
    part = path.with_name(f'.{path.name}.part')
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(contents.tensors, part, metadata)
        part.chmod(0o644)  # safetensors makes files that only their owner may read
        _sync(part)
        part.replace(path)
        _sync(path.parent)
    except (OSError, SafetensorError) as error:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        raise MemoryFileError(f'{path}: cannot be written ({error})') from error


def read_contents(path: Path) -> Contents:
    """Read what `write_contents` wrote; MemoryFileError when it is absent, damaged or another."""
    try:
        # Opening a pipe would wait for its writer.
        if not path.is_file():
            raise MemoryFileError(f'{path}: no such file')
        with safe_open(path, 'pt') as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise MemoryFileError(f'{path}: damaged or no memory file ({error})') from error
    found = metadata.get('format', 'unknown')
    if found != _FORMAT:
        raise MemoryFileError(f'{path}: its format is {found!r}; this version reads {_FORMAT!r}')
    description = metadata.get('description', '')
    if _digest(description, tensors) != metadata.get('sha256'):
        raise MemoryFileError(f'{path}: damaged, its contents do not match their SHA-256')
    try:
        return Contents(json.loads(description), tensors)
    except ValueError as error:
        raise MemoryFileError(f'{path}: damaged ({error})') from error


def _digest(description: str, tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256(description.encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f'{name} {tensor.dtype} {tuple(tensor.shape)}'.encode())
        digest.update(tensor.contiguous().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _sync(path: Path) -> None:
    """Have a file or folder on the disk before going on."""
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
