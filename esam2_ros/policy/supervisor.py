# SPDX-License-Identifier: Apache-2.0
"""What a monitored tracker does beyond SAM2: looks at each frame first, judges each mask after."""

from collections.abc import Collection
from collections.abc import Iterable
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from esam2_ros.core.plan import WindowGrid
from esam2_ros.policy.budget import Budget
from esam2_ros.policy.config import TrackerConfig
from esam2_ros.policy.events import EventKind
from esam2_ros.policy.events import TrackerEvent
from esam2_ros.policy.memory_policy import Sighting
from esam2_ros.policy.memory_policy import Watch
from esam2_ros.policy.memory_policy import judge
from esam2_ros.policy.monitor.monitor import SceneMonitor
from esam2_ros.policy.monitor.values import MotionClass
from esam2_ros.policy.monitor.values import SceneView
from esam2_ros.policy.results import TargetState
from esam2_ros.policy.results import TargetStatus
from esam2_ros.policy.routing import Evidence
from esam2_ros.policy.routing import TargetEvidence
from esam2_ros.policy.targets import Target

COOL_DOWN = 3  # frames after a cut in which another one does not reset


class Supervisor:
    """Monitor, budget and memory policy of one stream."""

    def __init__(
        self, config: TrackerConfig, grid: WindowGrid, monitor: SceneMonitor | None = None
    ) -> None:
        """Start with an unseen stream; `monitor` None is one with the settings of `config`."""
        self.config = config
        self._grid = grid
        self._monitor = monitor or SceneMonitor(config.motion)
        self._budget = Budget(config)
        self._ages = [0] * grid.count
        self._since_cut = COOL_DOWN + 1
        self._view = SceneView()
        self._fast_began = False
        self._drawn: list[NDArray[np.bool_]] = []  # the targets' newest masks
        self._over = False
        self._travel = [0.0, 0.0]
        self._seen_size = (1, 1)

    def configure(self, config: TrackerConfig) -> None:
        """Go on with other settings; what was seen of the stream stays."""
        if config.motion != self.config.motion:
            self._monitor = SceneMonitor(config.motion)
        self.config = config
        self._budget = Budget(config)

    def jump(self) -> None:
        """The next image follows none of those before it."""
        self._monitor.reset()

    def look(self, image: NDArray[np.uint8], targets: Sequence[Target]) -> SceneView:
        """Judge an image [height, width, 3] against those before it."""
        self._drawn = [drawn_mask(target) for target in targets]
        mask = np.logical_or.reduce(self._drawn) if targets else None
        before = self._view
        self._seen_size = (image.shape[1], image.shape[0])
        self._view = self._monitor.observe(image, None if mask is None or not mask.any() else mask)
        width, height = self._seen_size
        dx, dy = self._moved
        self._travel[0] += dx / width
        self._travel[1] += dy / height
        self._fast_began = (
            self._view.motion_class is MotionClass.FAST
            and before.motion_class is not MotionClass.FAST
        )
        return self._view

    @property
    def _moved(self) -> tuple[float, float]:
        """Where the camera took the picture; a fit that explains nothing says nothing."""
        explained = self._view.motion_class in (MotionClass.PAN, MotionClass.SHAKE)
        return self._view.shift if explained else (0.0, 0.0)

    @property
    def may_reset(self) -> bool:
        """Whether a cut now may drop all targets: not soon after another one."""
        return self._since_cut > COOL_DOWN

    def on_cut(self, targets: Iterable[Target]) -> None:
        """The scene changed: by the policy, recent memories wait or go."""
        self._since_cut = 0
        for target in targets:
            if self.config.cut_policy == 'forget':
                target.bank.forget_recent()
                target.forget_conditioning()
                target.watch = Watch()
            else:
                target.watch.cut()

    def scene_events(self) -> list[TrackerEvent]:
        """What the newest look saw begin."""
        view, kind = self._view, self._view.motion_class
        if kind is MotionClass.CUT:
            return [
                TrackerEvent(EventKind.SCENE_CUT, 0, view.frame_difference, 'the scene changed')
            ]
        if self._fast_began:
            shift = view.object_shift or view.shift
            return [
                TrackerEvent(
                    EventKind.FAST_MOTION, 0, float(np.hypot(*shift)), 'a target moves fast'
                )
            ]
        return []

    def evidence(
        self,
        frame: int,
        before: Sequence[TargetEvidence],
        targets: Sequence[Target],
        since_prompt: int,
        jumped: bool,
    ) -> Evidence:
        """What the frame before says of `targets`, and what this frame adds."""
        view = self._view
        moved = self._moved
        if view.motion_class is MotionClass.FAST and view.object_shift is not None:
            moved = view.object_shift
        extent = self._grid.extent
        width, height = self._seen_size
        motion = (moved[0] * extent / width, moved[1] * extent / height)
        seen = []
        for i, (target, drawn) in enumerate(zip(targets, self._drawn, strict=True)):
            # A target that was prompted since has no evidence; then all windows are computed.
            base = before[i] if i < len(before) else TargetEvidence(0.0, ())
            seen.append(
                replace(
                    base,
                    drawn=drawn if drawn.any() else None,
                    motion=motion,
                    absent=target.frames_since_seen,
                )
            )
        return Evidence(
            tuple(seen),
            since_prompt,
            frame,
            view,
            jumped,
            tuple(self._ages),
            self._budget.allowance,
        )

    def judge(
        self,
        targets: Sequence[Target],
        states: Sequence[TargetState],
        rivals: Sequence[float],
        whole: bool,
    ) -> tuple[tuple[TargetState, ...], list[TrackerEvent]]:
        """Decide what each target remembers of the frame; states of suspects say so.

        `whole`: all windows of it were computed.
        """
        self._since_cut += 1
        judged, events = [], []
        for target, state, rival in zip(targets, states, rivals, strict=True):
            sighting = Sighting(
                state.score,
                state.object_logit,
                state.area_px / state.mask.size,
                rival,
                self._place(state),
                self._extent_of(state),
                whole,
            )
            verdict = judge(target.watch, sighting, self._view, self.config)
            target.committed = verdict.write
            if verdict.drop:
                target.bank.forget_recent(keep=target.at if verdict.write else -1)
                target.forget_conditioning()
            if verdict.anchor:
                target.bank.promote(target.at, self.config.anchors)
            if verdict.suspect:
                state = replace(state, state=TargetStatus.SUSPECT)
                if not target.suspect:
                    text = f'it jumped; its area is {verdict.jump:.2g} times the usual'
                    events.append(
                        TrackerEvent(EventKind.TARGET_SUSPECT, target.id, verdict.jump, text)
                    )
            target.suspect = verdict.suspect
            judged.append(state)
        return tuple(judged), events

    def _place(self, state: TargetState) -> tuple[float, float] | None:
        """The mask's centre in shares of the image, the camera's motion since the start undone."""
        if state.centroid is None:
            return None
        height, width = state.mask.shape
        x, y = state.centroid[0] / width, state.centroid[1] / height
        return x - self._travel[0], y - self._travel[1]

    @staticmethod
    def _extent_of(state: TargetState) -> float:
        """Length of the box's diagonal in shares of the image."""
        if state.box is None:
            return 0.0
        height, width = state.mask.shape
        x0, y0, x1, y1 = state.box
        return float(np.hypot((x1 - x0) / width, (y1 - y0) / height))

    def finish(self, fresh: Collection[int], total_ms: float) -> list[TrackerEvent]:
        """Count the frame's time, and the age of all windows but those that are `fresh`."""
        self._ages = [0 if n in fresh else age + 1 for n, age in enumerate(self._ages)]
        before, self._over = self._over, self._budget.update(total_ms)
        if self._over and not before:
            text = f'over {self.config.latency_ms:g} ms a frame with nothing left to lower'
            return [TrackerEvent(EventKind.BUDGET_EXCEEDED, 0, total_ms, text)]
        return []


def drawn_mask(target: Target) -> NDArray[np.bool_]:
    """The target's newest mask at a quarter of the model's size: [S/4, S/4]."""
    if target.drawn is not None:
        return target.drawn
    # Of a target loaded before the first frame.
    mask: NDArray[np.bool_] = (target.segmentation.logits[0, 0] > 0).cpu().numpy()
    return mask
