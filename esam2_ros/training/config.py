# SPDX-License-Identifier: Apache-2.0
"""The training recipe: one YAML file, read into frozen values and checked."""

import math
from dataclasses import dataclass
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from esam2_ros.errors import ConfigError


class RecipeError(ConfigError):
    """The recipe file has an unknown key or a value that is not allowed."""


@dataclass(frozen=True)
class Shape:
    """What one step is made of: `clips` of `frames` frames at `size` px, `targets` a clip.

    Shapes of a phase are drawn in proportion to their `weight`. `frozen` runs the image encoder
    without gradients: large images then teach memory and decoder at a third of the price.
    """

    size: int = 192
    frames: int = 1
    clips: int = 4
    targets: int = 8
    weight: float = 1.0
    frozen: bool = False

    def __post_init__(self) -> None:
        for name in ('size', 'frames', 'clips', 'targets'):
            _check_count(name, getattr(self, name))
        if self.size % 64 or self.size > 1024:
            raise RecipeError(f'size is {self.size}, allowed are multiples of 64 up to 1024')
        _check_number('weight', self.weight, 0.0)


@dataclass(frozen=True)
class Phase:
    """A stretch of training.

    The learning rate runs linearly from `lr_from` to `lr_to`. `forced` is the share of steps
    whose occlusion gate follows the truth instead of the predicted object score.
    """

    steps: int
    shapes: tuple[Shape, ...]
    lr_from: float = 1e-3
    lr_to: float = 1e-3
    forced: float = 1.0

    def __post_init__(self) -> None:
        _check_count('steps', self.steps)
        for name in ('lr_from', 'lr_to', 'forced'):
            _check_number(name, getattr(self, name), 0.0, 1.0)
        if not self.shapes:
            raise RecipeError('a phase has no shapes, allowed is 1 or more')

    def draw(self, rng: np.random.Generator) -> Shape:
        """The shape of one step."""
        weights = np.array([shape.weight for shape in self.shapes])
        return self.shapes[rng.choice(len(self.shapes), p=weights / weights.sum())]


@dataclass(frozen=True)
class Recipe:
    """Phases in order and what holds for all of them."""

    phases: tuple[Phase, ...]
    seed: int = 1
    weight_decay: float = 0.02
    clip_norm: float = 0.5
    warmup: int = 100
    ema: float = 0.999
    edge_weight: float = 0.5
    bf16: bool = True
    save_minutes: float = 4.0
    validate_minutes: float = 8.0
    validation_size: int = 512
    validation_clips: int = 12
    validation_frames: int = 8

    def __post_init__(self) -> None:
        for name in ('warmup', 'validation_size', 'validation_clips', 'validation_frames'):
            _check_count(name, getattr(self, name))
        for name in ('save_minutes', 'validate_minutes', 'clip_norm'):
            _check_number(name, getattr(self, name), 0.0)
        for name in ('weight_decay', 'ema', 'edge_weight'):
            _check_number(name, getattr(self, name), 0.0, 1.0)

    def locate(self, step: int) -> tuple[Phase, float] | None:
        """The phase of `step` and its learning rate; None after the last phase."""
        start = 0
        for phase in self.phases:
            if step < start + phase.steps:
                share = (step - start) / phase.steps
                rate = phase.lr_from + (phase.lr_to - phase.lr_from) * share
                return phase, rate * min(1.0, (step + 1) / self.warmup)
            start += phase.steps
        return None


def load_recipe(path: Path) -> Recipe:
    """Read a recipe. Raises RecipeError for an unknown key or a bad value."""
    try:
        table = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise RecipeError(f'{path} cannot be read as YAML: {error}') from error
    try:
        phases = tuple(_phase(row) for row in _rows(table, 'phases'))
        return Recipe(phases=phases, **_known(table, Recipe))
    except RecipeError as error:
        raise RecipeError(f'{path}: {error}') from error


def _phase(row: Any) -> Phase:
    shapes = tuple(Shape(**_known(shape, Shape)) for shape in _rows(row, 'shapes'))
    settings = _known(row, Phase)
    if 'steps' not in settings:
        raise RecipeError('a phase has no steps, allowed is 1 or more')
    return Phase(shapes=shapes, **settings)


def _rows(table: Any, key: str) -> list[Any]:
    rows = table.get(key) if isinstance(table, dict) else None
    if not isinstance(rows, list) or not rows:
        raise RecipeError(f'{key} is {rows!r}, allowed is a list of one mapping or more')
    return rows


def _known(table: Any, kind: type) -> dict[str, Any]:
    if not isinstance(table, dict):
        raise RecipeError(f'{kind.__name__.lower()} is {table!r}, allowed is a mapping')
    plain = {key: value for key, value in table.items() if key not in ('phases', 'shapes')}
    allowed = {item.name for item in fields(kind)} - {'phases', 'shapes'}
    for key in plain:
        if key not in allowed:
            raise RecipeError(f'unknown key {key!r}, allowed are {sorted(allowed)}')
    return plain


def _check_count(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise RecipeError(f'{name} is {value!r}, allowed is a whole number from 1')


def _check_number(name: str, value: object, low: float, high: float = math.inf) -> None:
    good = isinstance(value, int | float) and not isinstance(value, bool)
    if not good or not low <= value <= high:
        raise RecipeError(f'{name} is {value!r}, allowed is {low} to {high}')
