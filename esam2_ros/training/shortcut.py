# SPDX-License-Identifier: Apache-2.0
"""Teach a shortcut: the model is frozen, and windows that are not computed learn what to say.

As Efficient-SAM2 does (section 3.2): the loss is the mean squared error between the embedding
conditioned on memory with every window computed and with some windows only.
"""

import json
import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import asdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from sam2.modeling.sam2_base import SAM2Base
from torch import Tensor
from torch.nn import functional

from esam2_ros.core.conditioning import Conditioner
from esam2_ros.core.encoder import Encoder
from esam2_ros.core.pack import ExactPack
from esam2_ros.errors import ConfigError
from esam2_ros.training.shortcut_samples import Sample
from esam2_ros.training.shortcut_samples import dense_engine
from esam2_ros.training.shortcut_samples import draw_clip
from esam2_ros.training.shortcut_samples import held_out
from esam2_ros.training.shortcut_samples import samples
from esam2_ros.training.shortcut_state import ShortcutRecipe
from esam2_ros.training.shortcut_state import ShortcutState
from esam2_ros.training.shortcut_state import save

logger = logging.getLogger(__name__)
WINDOW = 50  # updates that the shown loss covers
# Up to so many tokens explicit attention fits any memory, and is the faster one on a CPU.
_EXPLICIT = 1024


@dataclass(frozen=True)
class Score:
    """Mean loss on held-out frames: of the shortcut, of the identity, and the first by the second.

    frames  how many
    active  share of their windows that is computed
    """

    loss: float
    identity: float
    ratio: float
    frames: int
    active: float


@dataclass(frozen=True)
class Progress:
    """What a watcher sees; `score` of the newest validation, None where there was none."""

    clips: int
    updates: int
    minutes: float
    lr: float
    loss: float
    score: Score | None


class ShortcutTrainer:
    """Teaches `state`; `folder` takes state.pt and log.jsonl."""

    def __init__(
        self, model: SAM2Base, recipe: ShortcutRecipe, state: ShortcutState, folder: Path
    ) -> None:
        """Prepare `model`, whose weights never change, and take `state` to its device."""
        self.recipe = recipe
        self.state = state
        self.folder = folder
        # Not the engine's own tables: it makes them in a mode that gradients cannot pass.
        with torch.no_grad():
            pack = ExactPack(
                cached_keys=False, small_values=(model.image_size // 16) ** 2 <= _EXPLICIT
            )
            self._encoder = Encoder(model, pack, state.shortcut)
            self._judged = Encoder(model, pack, state.average)
            self._identity = Encoder(model, pack)
            self._engine = dense_engine(model)
            shape = self._engine.new_bank().shape
            self._conditioner = Conditioner(model, shape, pack)
        self._losses: deque[float] = deque(maxlen=WINDOW)
        self._held_out: list[Sample] = []

    def lesson(self) -> list[float]:
        """Learn from one clip; returns the losses."""
        recipe, number = self.recipe, self.state.clips
        rng = np.random.default_rng((recipe.seed, number, 1))
        clip = draw_clip(self._engine.image_size, recipe.frames, recipe.seed, number, 'train')
        pool = list(samples(self._engine, clip, recipe.targets, rng))
        order = [int(i) for _ in range(recipe.passes) for i in rng.permutation(len(pool))]
        losses = [self._update(pool[i], int(rng.integers(len(pool[i].memories)))) for i in order]
        self.state.clips += 1
        return losses

    def run(self, minutes: float | None, watch: Callable[[Progress], None]) -> Score:
        """Train until the recipe ends or `minutes` are over, then save; the last validation.

        Raises ConfigError where the held-out clips show no target.
        """
        self._judges()
        begin = validated = time.monotonic()
        state = self.state
        shown = state.updates
        while state.clips < self.recipe.clips:
            start = time.monotonic()
            if minutes is not None and start - begin > minutes * 60:
                break
            self._losses.extend(self.lesson())
            state.seconds += time.monotonic() - start
            if time.monotonic() - validated > self.recipe.validate_minutes * 60:
                watch(self._log(self.validate()))
                save(state, self.folder / 'state.pt')
                validated, shown = time.monotonic(), state.updates
            elif state.updates >= shown + WINDOW:
                watch(self._log(None))
                shown = state.updates
        score = self.validate()
        watch(self._log(score))
        save(state, self.folder / 'state.pt')
        return score

    @torch.no_grad()
    def validate(self) -> Score:
        """Compare the averaged shortcut with the identity on held-out clips."""
        frames = self._judges()
        mine, plain = (
            float(np.mean([self._loss(encoder, sample).item() for sample in frames]))
            for encoder in (self._judged, self._identity)
        )
        windows = self._engine.grid.count
        active = float(np.mean([len(sample.active) / windows for sample in frames]))
        return Score(mine, plain, mine / plain, len(frames), active)

    def _judges(self) -> list[Sample]:
        recipe = self.recipe
        if not self._held_out:
            clips = recipe.validation_clips
            self._held_out = held_out(self._engine, clips, recipe.frames, recipe.targets)
        if not self._held_out:
            raise ConfigError(f'no target to judge by in {clips} held-out clips; take more')
        return self._held_out

    def _update(self, sample: Sample, target: int) -> float:
        """One step of the optimiser on one target; the others had their part in the windows."""
        state = self.state
        one = Sample(
            sample.image,
            sample.active,
            [sample.memories[target]],
            sample.goal[target : target + 1],
        )
        for group in state.optimizer.param_groups:
            group['lr'] = self.recipe.rate(state.clips, state.updates)
        state.optimizer.zero_grad()
        loss = self._loss(self._encoder, one)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(state.shortcut.parameters(), self.recipe.clip_norm)
        if torch.isfinite(norm):
            state.optimizer.step()
        else:
            logger.warning('clip %d: the gradient is %s, skipped', state.clips, float(norm))
        state.updates += 1
        state.update_average(self.recipe.ema)
        return loss.item()

    def _loss(self, encoder: Encoder, sample: Sample) -> Tensor:
        features = encoder(sample.image, sample.active)
        conditioned = self._conditioner(features.embedding, sample.memories)
        return functional.mse_loss(conditioned, sample.goal)

    def _log(self, score: Score | None) -> Progress:
        state = self.state
        progress = Progress(
            state.clips,
            state.updates,
            round(state.seconds / 60, 2),
            self.recipe.rate(state.clips, state.updates),
            float(np.mean(self._losses)) if self._losses else float('nan'),
            score,
        )
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / 'log.jsonl').open('a', encoding='utf-8') as log:
            log.write(json.dumps(asdict(progress)) + '\n')
        return progress
