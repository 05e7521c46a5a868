# SPDX-License-Identifier: Apache-2.0
"""Judge a checkpoint on this disk without loading it into a model."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from esam2_ros.core.models import model_spec
from esam2_ros.errors import CheckpointError
from esam2_ros.weights.fit import model_shapes
from esam2_ros.weights.fit import nearest_model
from esam2_ros.weights.fit import shapes_of
from esam2_ros.weights.loading import check_state
from esam2_ros.weights.loading import read_state
from esam2_ros.weights.registry import Checkpoint
from esam2_ros.weights.store import verify


class Condition(StrEnum):
    """What a checkpoint can be."""

    GOOD = 'good'
    ABSENT = 'absent'
    DAMAGED = 'damaged'
    MISFIT = 'misfit'


@dataclass(frozen=True)
class Verdict:
    """What was found in one file; `message` says why it is not good."""

    name: str
    model: str
    path: str
    condition: Condition
    message: str = ''


def inspect_registered(entry: Checkpoint) -> Verdict:
    """Check a checkpoint of the registry: there, size, SHA-256, every tensor."""
    try:
        verify(entry)
    except CheckpointError as error:
        condition = Condition.DAMAGED if entry.path.is_file() else Condition.ABSENT
        return Verdict(entry.model, entry.model, str(entry.path), condition, str(error))
    return inspect_file(entry.path, entry.model, entry.model)


def inspect_file(path: Path, model: str = '', name: str = '') -> Verdict:
    """Check every tensor of a file against a model, or against the nearest one if none is named.

    Raises ConfigError for an unknown model.
    """
    wanted = model_spec(model).name if model else ''
    label = name or path.name
    if not path.is_file():
        return Verdict(label, wanted, str(path), Condition.ABSENT, f'{path}: no such file')
    try:
        state = read_state(path)
    except CheckpointError as error:
        return Verdict(label, wanted, str(path), Condition.DAMAGED, str(error))
    wanted = wanted or nearest_model(shapes_of(state)).model
    try:
        check_state(state, model_shapes(wanted), wanted, path)
    except CheckpointError as error:
        return Verdict(label, wanted, str(path), Condition.MISFIT, str(error))
    return Verdict(label, wanted, str(path), Condition.GOOD)
