# SPDX-License-Identifier: Apache-2.0
"""The training recipe: one YAML file, read into frozen values and checked."""

from dataclasses import dataclass
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import yaml


class RecipeError(ValueError):
    """The recipe file has an unknown key or a value that is not allowed."""


@dataclass(frozen=True)
class Shape:
    """What one step is made of: `clips` of `frames` frames at `size` px, `targets` a clip.

    Shapes of a phase are drawn in proportion to their `weight`.
    """

    size: int = 192
    frames: int = 1
    clips: int = 4
    targets: int = 8
    weight: float = 1.0

    def __post_init__(self) -> None:
        if self.size % 64 or not 64 <= self.size <= 1024:
            raise RecipeError(f'size is {self.size}, allowed are multiples of 64 up to 1024')
        for name in ('frames', 'clips', 'targets'):
            if getattr(self, name) < 1:
                raise RecipeError(f'{name} is {getattr(self, name)}, allowed is 1 or more')


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
        if self.steps < 1:
            raise RecipeError(f'steps is {self.steps}, allowed is 1 or more')
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
    table = yaml.safe_load(path.read_text())
    if not isinstance(table, dict) or not table.get('phases'):
        raise RecipeError(f'{path} has no phases, allowed is a mapping with a list of phases')
    rows = table.pop('phases')
    phases = tuple(_phase(path, row) for row in rows)
    return Recipe(phases=phases, **_known(path, table, Recipe))


def _phase(path: Path, row: dict[str, Any]) -> Phase:
    shapes = tuple(Shape(**_known(path, shape, Shape)) for shape in row.pop('shapes', []))
    return Phase(shapes=shapes, **_known(path, row, Phase))


def _known(path: Path, table: dict[str, Any], kind: type) -> dict[str, Any]:
    allowed = {item.name for item in fields(kind)} - {'phases', 'shapes'}
    for key in table:
        if key not in allowed:
            raise RecipeError(f'{path}: unknown key {key!r}, allowed are {sorted(allowed)}')
    return table
