# SPDX-License-Identifier: Apache-2.0
"""The training loop: steps, pieces of so many minutes, the log and the saves."""

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
from torch.nn.attention import SDPBackend
from torch.nn.attention import sdpa_kernel

from esam2_ros.training.config import Phase
from esam2_ros.training.config import Recipe
from esam2_ros.training.lessons import make_lesson
from esam2_ros.training.lessons import to_device
from esam2_ros.training.scenes import Clip
from esam2_ros.training.state import State
from esam2_ros.training.state import save_carried
from esam2_ros.training.state import save_exact
from esam2_ros.training.state import update_average
from esam2_ros.training.teacher import Report
from esam2_ros.training.teacher import Teacher
from esam2_ros.training.validate import fixed_clips
from esam2_ros.training.validate import validate

logger = logging.getLogger(__name__)
WINDOW = 50  # steps that the shown means cover
REST = 50  # steps of warm-up after a start with fresh moments


@dataclass(frozen=True)
class Progress:
    """What a watcher sees: means over the last steps and the newest validation."""

    step: int
    minutes: float
    size: int
    frames: int
    lr: float
    seconds_a_step: float
    loss: float
    prompt_iou: float
    track_iou: float
    validation: dict[str, dict[str, float]]


class Trainer:
    """Trains `state` by `recipe`; `folder` takes state.pt, carried.pt and log.jsonl."""

    def __init__(self, recipe: Recipe, state: State, folder: Path, device: torch.device) -> None:
        self.recipe = recipe
        self.state = state
        self.folder = folder
        self.device = device
        self.teacher = Teacher(state.model, state.edges, recipe.edge_weight)
        self._reports: deque[tuple[float, float, float, float]] = deque(maxlen=WINDOW)
        self._clips: dict[int, list[Clip]] = {}
        self._marks: dict[str, dict[str, float]] = {}

    def step(self, phase: Phase, rate: float) -> Report:
        """One lesson, one update of the weights."""
        state, recipe = self.state, self.recipe
        shape = phase.draw(np.random.default_rng((recipe.seed, state.step, 1)))
        lesson = to_device(make_lesson(shape, recipe.seed, state.step), self.device)
        generator = torch.Generator().manual_seed(recipe.seed * 1_000_003 + state.step)
        torch.manual_seed(recipe.seed * 1_000_033 + state.step)
        forced = float(torch.rand((), generator=generator)) < phase.forced
        rate *= min(1.0, (state.step - state.rested + 1) / REST)
        for optimizer in state.optimizers:
            for group in optimizer.param_groups:
                group['lr'] = rate * group['share']
        # On the CPU, flash attention's bfloat16 backward takes 4 times as long as plain.
        kernels = [SDPBackend.MATH] if self.device.type == 'cpu' else _CUDA_KERNELS
        with sdpa_kernel(kernels):
            with torch.autocast(self.device.type, torch.bfloat16, enabled=recipe.bf16):
                report = self.teacher.run(lesson, forced, generator)
            state.model.zero_grad()
            state.edges.zero_grad()
            report.loss.backward()
        parameters = [*state.model.parameters(), *state.edges.parameters()]
        norm = torch.nn.utils.clip_grad_norm_(parameters, recipe.clip_norm)
        if torch.isfinite(norm):
            for optimizer in state.optimizers:
                optimizer.step()
        else:
            logger.warning('step %d: the gradient is %s, skipped', state.step, float(norm))
        state.step += 1
        update_average(state, recipe.ema)
        return report

    def run(self, minutes: float | None, watch: Callable[[Progress], None]) -> None:
        """Train until the recipe ends or `minutes` are over; then save."""
        begin = saved = validated = time.monotonic()
        recipe = self.recipe
        while (place := recipe.locate(self.state.step)) is not None:
            phase, rate = place
            start = time.monotonic()
            report = self.step(phase, rate)
            now = time.monotonic()
            self.state.seconds += now - start
            row = (report.loss.item(), report.prompt_iou, report.track_iou, now - start)
            self._reports.append(row)
            if self.state.step % WINDOW == 0:
                watch(self._log(phase, rate))
            if now - saved > recipe.save_minutes * 60:
                self.save()
                saved = time.monotonic()
            if now - validated > recipe.validate_minutes * 60:
                self.validate(recipe.validation_size)
                watch(self._log(phase, rate))
                validated = time.monotonic()
            if minutes is not None and now - begin > minutes * 60:
                break
        self.save()

    def save(self) -> None:
        """Write both state files."""
        save_exact(self.state, self.folder / 'state.pt')
        save_carried(self.state, self.folder / 'carried.pt')

    def validate(self, size: int) -> dict[str, dict[str, float]]:
        """Score the running average on the fixed scenes at `size` px."""
        recipe, state = self.recipe, self.state
        if size not in self._clips:
            count, frames = recipe.validation_clips, recipe.validation_frames
            self._clips = {size: fixed_clips(count, frames, size)}
        weights = {name: value.clone() for name, value in state.model.state_dict().items()}
        state.model.load_state_dict(state.average)
        marks = validate(state.model, self._clips[size], self.device)
        state.model.load_state_dict(weights)
        self._marks = {prompt: asdict(mark) for prompt, mark in marks.items()}
        return self._marks

    def _log(self, phase: Phase, rate: float) -> Progress:
        rows = np.array(self._reports)
        means = [column[np.isfinite(column)] for column in rows.T]
        loss, prompt, track, seconds = (
            round(float(column.mean()), 4) if len(column) else 0.0 for column in means
        )
        progress = Progress(
            self.state.step,
            round(self.state.seconds / 60, 2),
            max(shape.size for shape in phase.shapes),
            max(shape.frames for shape in phase.shapes),
            rate,
            seconds,
            loss,
            prompt,
            track,
            self._marks,
        )
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / 'log.jsonl').open('a') as log:
            log.write(json.dumps(asdict(progress)) + '\n')
        self._marks = {}
        return progress


_CUDA_KERNELS = [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]
