# SPDX-License-Identifier: Apache-2.0
"""One frame from image to result: look, plan, compute, judge."""

from collections.abc import Iterable
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from esam2_ros.core.conditioning import Memories
from esam2_ros.core.encoder import Features
from esam2_ros.core.engine import Engine
from esam2_ros.core.memory import MemoryBank
from esam2_ros.core.plan import FramePlan
from esam2_ros.core.plan import idle_plan
from esam2_ros.core.segmentation import Segmentation
from esam2_ros.errors import ConfigError
from esam2_ros.policy.clock import StageClock
from esam2_ros.policy.config import TrackerConfig
from esam2_ros.policy.events import EventKind
from esam2_ros.policy.events import TrackerEvent
from esam2_ros.policy.frame_path import FramePath
from esam2_ros.policy.frame_path import Tracked
from esam2_ros.policy.history import PastFrame
from esam2_ros.policy.modes import Mode
from esam2_ros.policy.monitor.monitor import SceneMonitor
from esam2_ros.policy.monitor.values import MotionClass
from esam2_ros.policy.monitor.values import SceneView
from esam2_ros.policy.monitored import MonitoredRouter
from esam2_ros.policy.readout import Readout
from esam2_ros.policy.readout import read_out
from esam2_ros.policy.results import FrameResult
from esam2_ros.policy.results import MemoryUse
from esam2_ros.policy.results import TargetState
from esam2_ros.policy.reuse import Reuse
from esam2_ros.policy.routing import Evidence
from esam2_ros.policy.routing import PaperRouter
from esam2_ros.policy.routing import Router
from esam2_ros.policy.routing import TargetEvidence
from esam2_ros.policy.supervisor import Supervisor
from esam2_ros.policy.targets import Target
from esam2_ros.policy.targets import show


@dataclass(frozen=True, eq=False)
class Sight:
    """A frame before it is encoded: what the monitor says, and what that caused."""

    view: SceneView | None = None
    events: tuple[TrackerEvent, ...] = ()
    resets: bool = False


_NOTHING = Tracked([], [], MemoryUse())


class Pipeline:
    """Takes all targets of a stream from frame to frame."""

    def __init__(
        self,
        engine: Engine,
        config: TrackerConfig,
        router: Router | None,
        before: 'Pipeline | None' = None,
        monitor: SceneMonitor | None = None,
    ) -> None:
        """`router`, `monitor` None are those of the settings; `before` ran the stream so far."""
        self._engine = engine
        self._config = config
        self._path = FramePath(engine, config)
        self._paper = PaperRouter(
            Mode(config.mode), config.keep_ratio, config.saliency_mass, config.score_threshold
        )
        # Before the supervisor, which goes on with new settings at once: this one may refuse.
        self._reuse = _reuse(engine, config, before)
        self._supervisor = _supervisor(engine, config, before, monitor)
        # The published rule conditions everything: without the monitor nobody asks for parts.
        self._in_parts = config.in_parts and (config.monitor or router is not None)
        self._planner: Router = router or self._paper
        if self._supervisor is not None and router is None:
            self._planner = MonitoredRouter(
                Mode(config.mode),
                config.saliency_mass,
                config.score_threshold,
                config.lost_after_frames,
                config.doubt_logit,
                config.in_parts,
            )
        self._evidence: tuple[TargetEvidence, ...] = before._evidence if before else ()
        self.prompted: int = before.prompted if before else 0  # frame of the newest prompt
        self.cut_at: int = before.cut_at if before else -1  # frame of the newest cut
        self.jumped: bool = before.jumped if before else False  # time, since the newest frame

    def jump(self, newest: int) -> None:
        """Time went back after frame `newest`: the next frame follows none before it."""
        self.jumped, self.prompted = True, newest
        if self._supervisor is not None:
            self._supervisor.jump()

    def forget(self, place: int) -> None:
        """The target at this place, by age, is gone."""
        self._evidence = (*self._evidence[:place], *self._evidence[place + 1 :])

    def look(self, image: NDArray[np.uint8] | Tensor, targets: Sequence[Target]) -> Sight:
        """What the monitor says of the next image, and what a cut does to memories."""
        if self._supervisor is None:
            return Sight()
        if isinstance(image, Tensor):
            image = self._engine.normalise.undo(image)
        view = self._supervisor.look(image, targets)
        events = self._supervisor.scene_events()
        if view.motion_class is not MotionClass.CUT or not targets:
            return Sight(view, tuple(events))
        resets = self._config.cut_policy == 'reset' and self._supervisor.may_reset
        self._supervisor.on_cut(targets)
        if resets:
            events.append(TrackerEvent(EventKind.RESET, 0, 0.0, 'a cut, by cut_policy'))
            return Sight(view, tuple(events), resets=True)
        return Sight(view, tuple(events))

    def run(
        self,
        frame: PastFrame,
        size: tuple[int, int],
        targets: Sequence[Target],
        sight: Sight,
        clock: StageClock,
    ) -> tuple[FrameResult, Features | None]:
        """Track `targets` on `frame`; the features are given where all windows were computed."""
        plan = idle_plan(self._engine.grid, self._config.mode)
        tracked, features = _NOTHING, None
        if targets:
            plan = self._planner.plan(self._engine.grid, self._ask(frame.index, targets))
            with self._engine.precision():
                with clock.stage('encode'):
                    plan, features = self._encode(frame, plan)
                tracked = self._path.track(features, self._memories(targets, plan), plan, clock)
        with clock.stage('mask'):
            readouts = read_out(tracked.segmentations, tracked.clues, size)
            for target, segmentation in zip(targets, tracked.segmentations, strict=True):
                target.segmentation = segmentation
                target.arrive(frame.index, target.next_at)
            states, events = self._judge(targets, readouts, plan, clock)
        self._evidence, self.jumped = tuple(map(_evidence, readouts)), False
        result = FrameResult(
            frame_index=frame.index,
            stamp=frame.stamp,
            image_size=size,
            targets=states,
            plan=plan,
            timings=clock.timings(),
            memory=tracked.use,
            events=(*sight.events, *events),
            view=sight.view,
        )
        whole = plan.is_fresh or Mode(self._config.mode) is Mode.LOSSLESS
        return result, features if whole else None

    def _judge(
        self,
        targets: Sequence[Target],
        readouts: Sequence[Readout],
        plan: FramePlan,
        clock: StageClock,
    ) -> tuple[tuple[TargetState, ...], list[TrackerEvent]]:
        """How the targets look, what of it is remembered, and what happened."""
        absent = [target.frames_since_seen for target in targets]
        lost_after = self._config.lost_after_frames
        states = show(targets, readouts, lost_after, new_frame=True)
        events = _sightings(targets, absent, lost_after)
        if self._supervisor is None:
            return states, events
        whole = plan.is_dense if self._reuse is None else self._reuse.whole
        fresh = plan.active if self._reuse is None else self._reuse.fresh
        rivals = [each.rivalry for each in readouts]
        states, suspicions = self._supervisor.judge(targets, states, rivals, whole)
        late = self._supervisor.finish(fresh, clock.timings().total)
        return states, [*events, *suspicions, *late]

    @property
    def nbytes(self) -> int:
        """Bytes that are kept of earlier frames beside the targets' memories."""
        return 0 if self._reuse is None else self._reuse.nbytes

    def _encode(self, frame: PastFrame, plan: FramePlan) -> tuple[FramePlan, Features]:
        """The features of a frame, and the plan that was carried out."""
        engine, reuse = self._engine, self._reuse
        allowed = ('shortcut', Mode(self._config.mode).treatment)
        if plan.treatment not in allowed:
            raise ConfigError(
                f'the plan treats windows as {plan.treatment!r}; allowed in mode'
                f' {self._config.mode}: {", ".join(dict.fromkeys(allowed))}'
            )
        image = engine.normalise(frame.pixels)
        if reuse is None:
            return plan, engine.encode(image, None if plan.is_dense else plan.active)
        pixels = frame.pixels
        plan = reuse.narrow(
            plan, engine.normalise.levels(pixels) if isinstance(pixels, Tensor) else pixels
        )
        try:
            features = engine.encode_again(image, reuse.cache, plan.active, plan.tiles)
        except BaseException:
            reuse.reset()
            raise
        reuse.commit(plan)
        return plan, features

    def catch_up(
        self, bank: MemoryBank, features: Iterable[Features], index: int
    ) -> Segmentation | None:
        """Track one target through frames that follow `index` in its bank; None for no frame."""
        plan = self._paper.plan(self._engine.grid, Evidence((), 0))
        segmentation = None
        for at, each in enumerate(features, start=index + 1):
            target = Memories(bank, bank.recall(at), at)
            (segmentation,) = self._path.track(each, [target], plan, StageClock()).segmentations
        return segmentation

    def _memories(self, targets: Sequence[Target], plan: FramePlan) -> list[Memories]:
        """What each target brings to memory attention."""
        queries = (None,) * len(targets) if plan.queries is None else plan.queries
        if not self._in_parts and any(queries):
            raise ConfigError(
                f'the plan conditions parts of the image in mode {self._config.mode!r} with'
                f' query_sparse {self._config.query_sparse}; needed: incremental, or smr or paper'
                ' with query_sparse'
            )
        if len(queries) != len(targets):
            raise ConfigError(
                f'the plan has queries of {len(queries)} targets; tracked: {len(targets)}'
            )
        for target in targets:
            if not self._in_parts:
                target.cache = None
            elif target.cache is None:
                target.cache = self._engine.new_cache()
        return [
            Memories(each.bank, each.bank.recall(each.next_at), each.next_at, each.cache, blocks)
            for each, blocks in zip(targets, queries, strict=True)
        ]

    def _ask(self, index: int, targets: Sequence[Target]) -> Evidence:
        since = index - self.prompted
        if self._supervisor is None:
            return Evidence(self._evidence, since)
        return self._supervisor.evidence(index, self._evidence, targets, since, self.jumped)


def _reuse(engine: Engine, config: TrackerConfig, before: Pipeline | None) -> Reuse | None:
    """The stream's so far, or a new one; None in a mode that reuses nothing."""
    mode = Mode(config.mode)
    if not mode.reuses:
        return None
    kept = before._reuse if before else None
    if kept is not None and kept.suits(mode, config.change_levels):
        return kept
    return Reuse(
        mode,
        config.change_levels,
        engine.grid,
        lambda: engine.new_frame_cache(mode is Mode.LOSSLESS),
    )


def _supervisor(
    engine: Engine, config: TrackerConfig, before: Pipeline | None, monitor: SceneMonitor | None
) -> Supervisor | None:
    """The one that watched so far, or a new one; None without a monitor."""
    if not config.monitor:
        return None
    watched = before._supervisor if before else None
    if watched is None:
        return Supervisor(config, engine.grid, monitor)
    watched.configure(config)
    return watched


def _evidence(readout: Readout) -> TargetEvidence:
    return TargetEvidence(readout.object_logit, readout.touched, readout.saliency)


def _sightings(
    targets: Sequence[Target], absent: Sequence[int], lost_after: int
) -> list[TrackerEvent]:
    """Which targets were lost or came back; `absent` are their frames out of view before."""
    events = []
    for target, before in zip(targets, absent, strict=True):
        if before < lost_after <= target.frames_since_seen:
            text = f'out of view for {target.frames_since_seen} frames'
            events.append(
                TrackerEvent(EventKind.TARGET_LOST, target.id, target.frames_since_seen, text)
            )
        if before >= lost_after and target.frames_since_seen == 0:
            text = f'seen again after {before} frames'
            events.append(TrackerEvent(EventKind.TARGET_RECOVERED, target.id, before, text))
    return events
