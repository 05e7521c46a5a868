# SPDX-License-Identifier: Apache-2.0
"""How a shortcut is taught, how far it has come, and the file that holds both."""

from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import torch
from sam2.modeling.sam2_base import SAM2Base

from esam2_ros.core.shortcut import Shortcut
from esam2_ros.errors import check_ranges
from esam2_ros.training.state import StateError
from esam2_ros.weights.shortcuts import fingerprint
from esam2_ros.weights.shortcuts import stage_width


@dataclass(frozen=True)
class ShortcutRecipe:
    """Settings of a training; raises ConfigError for a value out of range.

    clips             lessons in all; the learning rate falls linearly to 2 % over them
    frames            of each clip; those from the third on are learnt from
    targets           tracked in each clip
    passes            updates for each frame, each on one target
    lr                highest learning rate, after `warmup` updates
    ema               share of the running average that stays at each update
    clip_norm         longest gradient
    validation_clips  held-out clips
    validate_minutes  between validations
    """

    clips: int = 60
    frames: int = 8
    targets: int = 2
    passes: int = 2
    seed: int = 1
    lr: float = 2e-3
    warmup: int = 30
    ema: float = 0.99
    clip_norm: float = 0.1
    validation_clips: int = 6
    validate_minutes: float = 3.0

    def __post_init__(self) -> None:
        check_ranges(
            self,
            (
                ('clips', 1, 1_000_000),
                ('frames', 3, 64),
                ('targets', 1, 16),
                ('passes', 1, 16),
                ('seed', 0, 2**31),
                ('lr', 0.0, 1.0),
                ('warmup', 1, 100_000),
                ('ema', 0.0, 1.0),
                ('clip_norm', 0.0, 1e9),
                ('validation_clips', 1, 1000),
                ('validate_minutes', 0.0, 1e9),
            ),
        )

    def rate(self, clips: int, updates: int) -> float:
        """The learning rate after so many clips and updates."""
        left = 1 - min(clips / self.clips, 1.0)
        return self.lr * max(left, 0.02) * min(1.0, (updates + 1) / self.warmup)


@dataclass
class ShortcutState:
    """All that training changes, and which model it is for."""

    model: str
    shortcut: Shortcut
    average: Shortcut
    optimizer: torch.optim.Optimizer
    clips: int = 0
    updates: int = 0
    seconds: float = 0.0

    @torch.no_grad()
    def update_average(self, decay: float) -> None:
        """Move the running average; its horizon grows with the first updates."""
        decay = min(decay, (1 + self.updates) / (10 + self.updates))
        for mine, new in zip(self.average.parameters(), self.shortcut.parameters(), strict=True):
            mine.lerp_(new, 1 - decay)


def fresh(model: SAM2Base, recipe: ShortcutRecipe) -> ShortcutState:
    """A seeded identity."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        shortcut = Shortcut(stage_width(model)).to(model.device)
    average = deepcopy(shortcut).requires_grad_(False)
    optimizer = torch.optim.AdamW(shortcut.parameters(), lr=recipe.lr, weight_decay=0.01)
    return ShortcutState(fingerprint(model), shortcut, average, optimizer)


def save(state: ShortcutState, path: Path) -> None:
    """Write everything; a crash while writing leaves the old file."""
    content = {
        'kind': 'shortcut',
        'model': state.model,
        'shortcut': state.shortcut.state_dict(),
        'average': state.average.state_dict(),
        'optimizer': state.optimizer.state_dict(),
        'clips': state.clips,
        'updates': state.updates,
        'seconds': state.seconds,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix('.part')
    torch.save(content, part)
    part.replace(path)


def load(path: Path, model: SAM2Base, recipe: ShortcutRecipe) -> ShortcutState:
    """Read a state; training goes on as without a stop.

    Raises StateError for a file that is absent, damaged, or of a model with other weights.
    """
    if not path.is_file():
        raise StateError(f'{path}: no such file')
    try:
        content = torch.load(path, map_location=model.device, weights_only=True)
    except Exception as error:  # a damaged file raises whatever its bytes lead the reader into
        raise StateError(f'{path}: damaged or not a training state') from error
    kind = content.get('kind') if isinstance(content, dict) else None
    if kind != 'shortcut':
        raise StateError(f"{path} is of kind {kind!r}, allowed is 'shortcut'")
    state = fresh(model, recipe)
    if content['model'] != state.model:
        raise StateError(
            f'{path} teaches a shortcut for other weights than this model has; name its model and'
            ' checkpoint, or begin anew in another folder'
        )
    state.shortcut.load_state_dict(content['shortcut'])
    state.average.load_state_dict(content['average'])
    state.optimizer.load_state_dict(content['optimizer'])
    state.clips, state.updates = content['clips'], content['updates']
    state.seconds = content['seconds']
    return state
