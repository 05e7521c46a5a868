# SPDX-License-Identifier: Apache-2.0
"""The published rule, told what the current frame shows: where it fails, more is computed."""

import math
from collections.abc import Collection
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from esam2_ros.core.plan import FramePlan
from esam2_ros.core.plan import WindowGrid
from esam2_ros.core.plan import dense_plan
from esam2_ros.policy.budget import Allowance
from esam2_ros.policy.modes import Mode
from esam2_ros.policy.monitor.values import MOVING
from esam2_ros.policy.monitor.values import MotionClass
from esam2_ros.policy.monitor.values import SceneView
from esam2_ros.policy.routing import Evidence
from esam2_ros.policy.routing import TargetEvidence
from esam2_ros.policy.routing import kept_tokens
from esam2_ros.policy.routing import object_windows
from esam2_ros.policy.routing import salient_windows

_STRIDE = 4  # model pixels a pixel of the small masks
# A LOST target: every so many frames all windows, else this share of them in turn.
_SEARCH_EVERY = 5
_SEARCH_SHARE = 3
# A low score is no reason to condition the background anew: measured, it raises no score.
_CONDITIONED_IN_PART = ('', 'doubt')


@dataclass(frozen=True)
class MonitoredRouter:
    """The rule for a monitored stream; `mode`, `saliency_mass`, `score_threshold` as published.

    lost_after   frames out of view after which the whole image is searched in turns only
    doubt_logit  object score below which a target in view may be gone on the next frame, logit
    query_sparse whether only what is near a target is conditioned on its memory
    """

    mode: Mode
    saliency_mass: float
    score_threshold: float
    lost_after: int
    doubt_logit: float = 2.5
    query_sparse: bool = False

    def plan(self, grid: WindowGrid, evidence: Evidence) -> FramePlan:
        """All windows where the last frame says nothing of this one; else the masks, moved."""
        allowance, view = evidence.allowance, evidence.view
        if allowance is None or view is None:
            raise ValueError('a monitored plan needs the view of the frame and an allowance')
        keep = None
        if self.mode.sparse_memory:
            keep = kept_tokens(grid, allowance.keep_ratio)
        whole = self._whole(evidence)
        if whole:
            # As in `exact`: nothing is left out where something is at stake.
            kept = None if allowance.careful else keep
            plan = dense_plan(grid, self.mode, whole, kept)
        else:
            plan = self._routed(grid, evidence, view, allowance, keep)
        if not self.query_sparse or whole not in _CONDITIONED_IN_PART:
            return plan
        # What the encoder computes in turn is conditioned too. Where windows are kept, of those
        # that do not change none has a turn there, and their background still ages.
        turn = set(plan.refresh)
        if self.mode.reuses or not turn:
            turn.add(evidence.frame % grid.count)
        queries = (
            self._queries(grid, target, view, allowance, turn) for target in evidence.targets
        )
        return replace(plan, queries=tuple(queries))

    def _routed(
        self,
        grid: WindowGrid,
        evidence: Evidence,
        view: SceneView,
        allowance: Allowance,
        keep: int | None,
    ) -> FramePlan:
        """The masks' windows, moved, where the mode routes."""
        if not self.mode.routed:
            return dense_plan(grid, self.mode, 'dense', keep)
        why = object_windows(evidence, self.saliency_mass, self.score_threshold)
        reason = 'motion' if view.motion_class in MOVING else 'margin'
        for target in evidence.targets:
            for window in _near(grid, target, view, allowance):
                why.setdefault(window, reason)
        if any(target.absent >= self.lost_after for target in evidence.targets):
            for window in _turn(grid.count, evidence.frame, _SEARCH_SHARE):
                why.setdefault(window, 'search')
        if not why:
            return dense_plan(grid, self.mode, 'blind', keep)
        refresh = _oldest(evidence.ages, why, allowance.refresh_windows)
        why.update(dict.fromkeys(refresh, 'refresh'))
        active = tuple(sorted(why))
        reasons = tuple(why[window] for window in active)
        return FramePlan(self.mode, grid, active, reasons, keep=keep, refresh=refresh)

    def _queries(
        self,
        grid: WindowGrid,
        target: TargetEvidence,
        view: SceneView,
        allowance: Allowance,
        turn: Collection[int],
    ) -> tuple[int, ...] | None:
        """Blocks conditioned for one target: near it, and those of windows whose turn it is.

        None, which is all, for a target that is not in view or on its way out of it.
        """
        near = _near(grid.blocks, target, view, allowance)
        if target.absent or not near:
            return None
        salient: tuple[int, ...] = ()
        if target.saliency is not None and target.object_logit < self.score_threshold:
            salient = salient_windows(target.saliency, self.saliency_mass)
        return tuple(sorted({*near, *grid.blocks_of({*salient, *turn})}))

    def _whole(self, evidence: Evidence) -> str:
        """Why everything is computed; empty when it is not."""
        if evidence.jumped:
            return 'jump'
        if evidence.since_prompt <= 1:
            return 'prompt'
        if evidence.view is not None and evidence.view.motion_class is MotionClass.CUT:
            return 'cut'
        absent = [target.absent for target in evidence.targets]
        if any(0 < frames < self.lost_after for frames in absent):
            return 'search'
        lost = any(frames >= self.lost_after for frames in absent)
        if lost and evidence.frame % _SEARCH_EVERY == 0:
            return 'search'
        if evidence.allowance is None or not evidence.allowance.careful:
            return ''
        if evidence.view is not None and evidence.view.rapid:
            return 'rapid'
        # Windows that are not computed lower the score: near zero that decides.
        unsure = (t.object_logit < self.doubt_logit for t in evidence.targets if not t.absent)
        return 'doubt' if any(unsure) else ''


def _near(
    grid: WindowGrid, target: TargetEvidence, view: SceneView, allowance: Allowance
) -> tuple[int, ...]:
    """Windows within the margin of where a target's mask has gone; none without a mask."""
    if target.drawn is None:
        return ()
    reach = allowance.margin_px
    if view.motion_class in MOVING:
        reach += math.ceil(math.hypot(*target.motion))
    return grown_windows(grid, target.drawn, target.motion, reach)


def grown_windows(
    grid: WindowGrid, drawn: NDArray[np.bool_], motion: tuple[float, float], reach: int
) -> tuple[int, ...]:
    """Windows within `reach` model pixels of a mask that moved by `motion` (model pixels).

    `drawn` [S/4, S/4]. Its part that leaves the image is lost.
    """
    height, width = drawn.shape
    matrix = np.array([[1, 0, motion[0] / _STRIDE], [0, 1, motion[1] / _STRIDE]], np.float32)
    moved = cv2.warpAffine(drawn.astype(np.uint8), matrix, (width, height), flags=cv2.INTER_NEAREST)
    size = 2 * math.ceil(reach / _STRIDE) + 1
    grown = cv2.dilate(moved, np.ones((size, size), np.uint8))
    rows, columns = np.nonzero(grown)
    step = grid.side // _STRIDE
    numbers = rows // step * grid.columns + columns // step
    return tuple(int(number) for number in np.unique(numbers))


def _turn(count: int, frame: int, share: int) -> range:
    """Every `share`-th window, another set each frame."""
    return range(frame % share, count, share)


def _oldest(ages: Sequence[int], taken: dict[int, str], quota: int) -> tuple[int, ...]:
    """The windows that were not computed for longest, of those that are not `taken`."""
    rest = [window for window in range(len(ages)) if window not in taken]
    return tuple(sorted(sorted(rest, key=lambda window: (-ages[window], window))[:quota]))
