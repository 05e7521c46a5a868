# SPDX-License-Identifier: Apache-2.0
"""What a shortcut learns from: tracked frames, the windows to compute, and the dense answer."""

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from sam2.modeling.sam2_base import SAM2Base
from torch import Tensor

from esam2_ros.core.conditioning import Memories
from esam2_ros.core.engine import Engine
from esam2_ros.core.evidence import touched_windows
from esam2_ros.core.pack import ExactPack
from esam2_ros.core.prompts import Prompt
from esam2_ros.core.segmentation import Segmentation
from esam2_ros.policy.modes import Mode
from esam2_ros.policy.routing import Evidence
from esam2_ros.policy.routing import PaperRouter
from esam2_ros.policy.routing import TargetEvidence
from esam2_ros.training.lessons import choose_targets
from esam2_ros.training.lessons import loose_box
from esam2_ros.training.scenes import Clip
from esam2_ros.training.scenes import random_spec
from esam2_ros.training.scenes import render

# Training draws from (seed, number), held-out clips from here.
HELD_OUT_SEED = 30_011
# Frames that get windows beyond the published rule, so that other rules are served as well.
WIDENED = 0.25


@dataclass(frozen=True, eq=False)
class Sample:
    """One tracked frame.

    image     [1, 3, S, S] normalised
    active    the windows that the published rule computes, or more
    memories  of each target, as they are before this frame
    goal      [targets, hidden, S/16, S/16] the embedding conditioned with every window computed
    """

    image: Tensor
    active: tuple[int, ...]
    memories: list[Memories]
    goal: Tensor


def dense_engine(model: SAM2Base) -> Engine:
    """The frame path that gives the goals: all windows, float32 on any device."""
    return Engine(
        model, prompt_slots=1, dtype=torch.float32, pack=ExactPack(cached_keys=False), key_bytes=0
    )


def draw_clip(size: int, frames: int, seed: int, number: int, split: str) -> Clip:
    """The `number`th clip; the same arguments give the same one."""
    rng = np.random.default_rng((seed, number))
    spec = random_spec(rng, (size, size), frames, split)
    return render(spec, int(rng.integers(2**31)))


def held_out(engine: Engine, clips: int, frames: int, targets: int) -> list[Sample]:
    """Samples of clips that training never draws, with photographs that it never sees."""
    found: list[Sample] = []
    for number in range(clips):
        rng = np.random.default_rng((HELD_OUT_SEED, number, 1))
        clip = draw_clip(engine.image_size, frames, HELD_OUT_SEED, number, 'held_out')
        found.extend(samples(engine, clip, targets, rng, widened=0.0))
    return found


def samples(
    engine: Engine,
    clip: Clip,
    targets: int,
    rng: np.random.Generator,
    widened: float = WIDENED,
) -> Iterator[Sample]:
    """Track up to `targets` objects of a clip; gives its frames from the third on.

    A share `widened` of them gets windows at random beyond those of the rule. Where the rule
    computes all windows (so it does with random weights), a random part around the true masks is
    taken. Gives nothing for a clip whose first frame shows no target.
    """
    idents = sorted(set(choose_targets(rng, clip, targets)))
    if not idents:
        return
    run = _DenseRun(engine, clip.frames[0], [_prompt(rng, clip.masks[0] == i) for i in idents])
    count = engine.grid.count
    for number, pixels in enumerate(clip.frames[1:], start=1):
        active = run.plan()
        if len(active) == count:
            active = _widen(_true_windows(engine, clip.masks[number], idents), count, rng)
        elif rng.random() < widened:
            active = _widen(active, count, rng)
        sample = run.follow(pixels, active)
        if number > 1 and len(active) < count:
            yield sample


def _true_windows(engine: Engine, masks: NDArray[np.uint8], idents: list[int]) -> tuple[int, ...]:
    drawn = torch.from_numpy(np.isin(masks, idents)[::4, ::4]).float()[None, None]
    hit = touched_windows(drawn, engine.grid.side // 4, engine.grid.columns)
    return tuple(hit[0].nonzero()[:, 0].tolist())


def _prompt(rng: np.random.Generator, mask: NDArray[np.bool_]) -> Prompt:
    if rng.random() < 0.5:
        return Prompt(mask=mask)
    return Prompt(box=loose_box(rng, mask))


def _widen(active: tuple[int, ...], count: int, rng: np.random.Generator) -> tuple[int, ...]:
    share = rng.random()
    more = {window for window in range(count) if rng.random() < share}
    return tuple(sorted(more.union(active)))


class _DenseRun:
    """Tracks targets through a clip with every window computed."""

    @torch.no_grad()
    def __init__(self, engine: Engine, pixels: NDArray[np.uint8], prompts: list[Prompt]) -> None:
        self._engine = engine
        self._router = PaperRouter(Mode.SWR)
        self._frame = 0
        self._evidence: tuple[TargetEvidence, ...] = ()
        self._banks = [engine.new_bank() for _ in prompts]
        features = engine.encode(engine.normalise(pixels))
        size = (pixels.shape[1], pixels.shape[0])
        for prompt, bank in zip(prompts, self._banks, strict=True):
            segmentation = engine.prompting.segment_first(features, prompt, size)
            engine.prompting.memorise(features, segmentation, bank, 0)

    def plan(self) -> tuple[int, ...]:
        """The windows of the next frame by the published rule."""
        evidence = Evidence(self._evidence, self._frame + 1)
        return self._router.plan(self._engine.grid, evidence).active

    @torch.no_grad()
    def follow(self, pixels: NDArray[np.uint8], active: tuple[int, ...]) -> Sample:
        """Track the next frame."""
        self._frame += 1
        engine, frame = self._engine, self._frame
        image = engine.normalise(pixels)
        features = engine.encode(image)
        memories = [Memories(bank, bank.recall(frame), frame) for bank in self._banks]
        goal = engine.condition(features, memories)
        kept = [Memories(deepcopy(each.bank), each.recall, frame) for each in memories]
        segmentation = engine.segment(features, goal, watched=True)
        engine.memorise(features, segmentation, memories)
        self._evidence = _evidence(engine, segmentation)
        return Sample(image, active, kept, goal)


def _evidence(engine: Engine, segmentation: Segmentation) -> tuple[TargetEvidence, ...]:
    if segmentation.looks is None:
        raise RuntimeError('the decoder was not watched')
    shares = engine.saliency(segmentation.looks).tolist()
    touched = engine.touched(segmentation).tolist()
    logits = segmentation.object_logit.tolist()
    return tuple(
        TargetEvidence(logit, tuple(n for n, hit in enumerate(row) if hit), tuple(share))
        for logit, row, share in zip(logits, touched, shares, strict=True)
    )
