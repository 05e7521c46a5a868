# SPDX-License-Identifier: Apache-2.0
"""A frame's way through the model: encode, condition, segment, memorise, and what it shows."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from sam2.modeling.sam2_base import SAM2Base

from esam2_ros.core.conditioning import Memories
from esam2_ros.core.conditioning import Retrieval
from esam2_ros.core.encoder import Features
from esam2_ros.core.engine import Engine
from esam2_ros.core.memory_attention import Opening
from esam2_ros.core.pack import NOTHING
from esam2_ros.core.plan import FramePlan
from esam2_ros.core.segmentation import Segmentation
from esam2_ros.core.shortcut import Shortcut
from esam2_ros.policy.clock import StageClock
from esam2_ros.policy.config import TrackerConfig
from esam2_ros.policy.modes import Mode
from esam2_ros.policy.readout import Clues
from esam2_ros.policy.results import MemoryUse
from esam2_ros.policy.routing import wants_saliency


@dataclass(frozen=True, eq=False)
class Tracked:
    """All targets of one frame, in the order of their banks; `clues` batch after batch."""

    segmentations: list[Segmentation]
    clues: list[Clues]
    use: MemoryUse


def make_engine(model: SAM2Base, config: TrackerConfig, shortcut: Shortcut | None) -> Engine:
    """The engine that a tracker's settings ask for."""
    return Engine(
        model,
        config.prompt_frames,
        config.memory_frames,
        None if config.dtype == 'auto' else getattr(torch, config.dtype),
        NOTHING if config.mode == Mode.STOCK else config.pack,
        shortcut,
        config.first_routed,
        config.key_cache_bytes,
        config.compile,
    )


class FramePath:
    """Takes targets through frames by their plans."""

    def __init__(self, engine: Engine, config: TrackerConfig) -> None:
        """Use `engine` with the settings of a tracker."""
        self._engine = engine
        self._config = config
        on_cpu = engine.device.type == 'cpu'
        batched = config.batch_targets
        self._batched = not on_cpu if batched is None else batched
        # Windows are chosen by where the decoder looked, among others.
        self._watched = Mode(config.mode).routed or config.in_parts
        # Whether saliency is needed: on a GPU to find out would be a wait, to compute it is not.
        self._asks = on_cpu

    def track(
        self,
        features: Features,
        targets: Sequence[Memories],
        plan: FramePlan,
        clock: StageClock,
    ) -> Tracked:
        """Track every target on its bank's next frame and write what was seen to the bank."""
        retrieval = None
        if plan.keep is not None:
            retrieval = Retrieval(plan.keep, self._config.saliency_queries)
        with clock.stage('memory'):
            opening = self._engine.open(features, targets)
        size = len(targets) if self._batched else 1
        segmentations: list[Segmentation] = []
        clues: list[Clues] = []
        use = MemoryUse()
        for start in range(0, len(targets), size):
            batch = targets[start : start + size]
            use = self._add_use(use, batch, retrieval)
            segmentation = self._track(features, batch, retrieval, opening, clock)
            with clock.stage('mask'):
                clues.append(self._clues(segmentation))
            segmentations += segmentation.split()
        return Tracked(segmentations, clues, use)

    def _track(
        self,
        features: Features,
        batch: Sequence[Memories],
        retrieval: Retrieval | None,
        opening: Opening | None,
        clock: StageClock,
    ) -> Segmentation:
        engine = self._engine
        with clock.stage('memory'):
            conditioned = engine.condition(features, batch, retrieval, opening)
        with clock.stage('mask'):
            segmentation = engine.segment(features, conditioned, self._watched)
        with clock.stage('memory'):
            engine.memorise(features, segmentation, batch)
        return segmentation

    def _clues(self, segmentation: Segmentation) -> Clues:
        """What the next plan and the memory policy are made from."""
        engine, clues = self._engine, Clues.none(segmentation)
        if self._config.monitor:
            clues = clues._replace(rivalry=engine.rivalry(segmentation))
        if segmentation.looks is None:
            return clues
        clues = clues._replace(touched=engine.touched(segmentation))
        if self._asks and not self._wants_saliency(segmentation, clues):
            return clues
        return clues._replace(saliency=engine.saliency(segmentation.looks))

    def _wants_saliency(self, segmentation: Segmentation, clues: Clues) -> bool:
        drawn, logits = bool(clues.touched.any()), segmentation.object_logit.tolist()
        return wants_saliency(drawn, logits, self._config.score_threshold)

    def _add_use(
        self, use: MemoryUse, batch: Sequence[Memories], retrieval: Retrieval | None
    ) -> MemoryUse:
        conditioner = self._engine.conditioner
        counts = [conditioner.count_keys(each, retrieval) for each in batch]
        return MemoryUse(
            use.frames + sum(len(each.recall.frames) for each in batch),
            use.queries + conditioner.count_queries(batch),
            use.keys_kept + sum(kept for kept, _ in counts),
            use.keys_total + sum(total for _, total in counts),
        )
