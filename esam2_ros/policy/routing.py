# SPDX-License-Identifier: Apache-2.0
"""Which windows to compute: the published rule (Efficient-SAM2, section 3.2) as pure functions."""

import math
from collections.abc import Iterable
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from esam2_ros.core.plan import FramePlan
from esam2_ros.core.plan import WindowGrid
from esam2_ros.core.plan import dense_plan
from esam2_ros.errors import ConfigError
from esam2_ros.policy.budget import Allowance
from esam2_ros.policy.modes import Mode
from esam2_ros.policy.monitor.values import SceneView


@dataclass(frozen=True, eq=False)
class TargetEvidence:
    """What the frame before says of one target.

    object_logit  its object score
    touched       windows that its candidate masks touch
    saliency      share of the decoder's attention to each window, None where it was not needed

    With the monitor on also:
    drawn         its mask [S/4, S/4], None when it was empty
    motion        where it has gone since then (dx, dy), model pixels
    absent        frames since it was last seen
    """

    object_logit: float
    touched: tuple[int, ...]
    saliency: tuple[float, ...] | None = None
    drawn: NDArray[np.bool_] | None = None
    motion: tuple[float, float] = (0.0, 0.0)
    absent: int = 0


@dataclass(frozen=True, eq=False)
class Evidence:
    """What a plan is made from.

    targets       in the order of their age
    since_prompt  frames since the newest prompt or correction; 0 is the prompted frame itself

    With the monitor on also:
    frame         index of the frame that is planned
    view          what the monitor says of it
    jumped        whether time jumped before it
    ages          frames since each window was computed
    allowance     what it may spend
    """

    targets: tuple[TargetEvidence, ...]
    since_prompt: int
    frame: int = 0
    view: SceneView | None = None
    jumped: bool = False
    ages: tuple[int, ...] = ()
    allowance: Allowance | None = None


class Router(Protocol):
    """Plans a frame from the one before."""

    def plan(self, grid: WindowGrid, evidence: Evidence) -> FramePlan:
        """The plan of the next frame."""
        ...


def kept_tokens(grid: WindowGrid, ratio: float) -> int:
    """How many of a memory's tokens are kept, rounded down, at least one."""
    return max(1, math.floor(ratio * grid.tokens))


def wants_saliency(drawn: bool, logits: Iterable[float], low: float) -> bool:
    """Whether masks alone do not say where the targets are: none drawn, or a score below `low`."""
    return not drawn or any(logit < low for logit in logits)


def salient_windows(saliency: Sequence[float], mass: float) -> tuple[int, ...]:
    """The fewest windows that hold `mass` of all attention, the strongest first."""
    order = sorted(range(len(saliency)), key=lambda window: (-saliency[window], window))
    goal, held = mass * math.fsum(saliency) - 1e-6, 0.0
    chosen: list[int] = []
    for window in order:
        if held >= goal and chosen:
            break
        held += saliency[window]
        chosen.append(window)
    return tuple(chosen)


@dataclass(frozen=True)
class PaperRouter:
    """The published rule for the modes swr and paper; all windows in all that do not route.

    In the modes that reuse, what did not change is taken out of its plans.

    mode             which of them
    keep_ratio       share of each older memory that the modes with sparse memory read
    saliency_mass    attention that saliency windows hold together
    score_threshold  object score below which saliency windows are added, logit
    """

    mode: Mode
    keep_ratio: float = 0.05
    saliency_mass: float = 0.7
    score_threshold: float = 5.0

    def plan(self, grid: WindowGrid, evidence: Evidence) -> FramePlan:
        """All windows on a prompted frame and the one after; then what the last frame shows."""
        keep = kept_tokens(grid, self.keep_ratio) if self.mode.sparse_memory else None
        if not self.mode.routed:
            return dense_plan(grid, self.mode, 'dense', keep)
        if evidence.since_prompt <= 1:
            return dense_plan(grid, self.mode, 'prompt', keep)
        why = object_windows(evidence, self.saliency_mass, self.score_threshold)
        if not why:
            return dense_plan(grid, self.mode, 'blind', keep)
        active = tuple(sorted(why))
        return FramePlan(
            self.mode, grid, active, tuple(why[window] for window in active), keep=keep
        )


def object_windows(evidence: Evidence, mass: float, threshold: float) -> dict[int, str]:
    """Windows of the masks and, where they say too little, of the decoder's attention."""
    targets = evidence.targets
    why = {window: 'mask' for target in targets for window in target.touched}
    empty = not why
    if wants_saliency(not empty, (target.object_logit for target in targets), threshold):
        for target in targets:
            # Of a target that is sure and drawn, attention would only repeat the mask.
            if target.saliency is not None and (target.object_logit < threshold or empty):
                for window in salient_windows(target.saliency, mass):
                    why.setdefault(window, 'saliency')
    return why


class ForcedRouter:
    """A fixed share of windows, contiguous and moved every frame: for measuring speed."""

    def __init__(
        self,
        mode: Mode | str,
        share: float,
        keep_ratio: float = 0.05,
        queries: float | None = None,
    ) -> None:
        """Shares above 0, to 1, are rounded up to whole windows and blocks.

        `share`: of the windows that are computed; `queries`: of the blocks that are conditioned
        for each target, another part for each; None for all. `keep_ratio` as in PaperRouter.
        """
        for name, value in (('active', share), ('query', queries)):
            if value is not None and not 0 < value <= 1:
                raise ConfigError(f'{name} share is {value}; allowed: above 0, to 1')
        self._mode = Mode(mode)
        self._share = share
        self._keep_ratio = keep_ratio
        self._query_share = queries
        self._frame = 0

    def plan(self, grid: WindowGrid, evidence: Evidence) -> FramePlan:
        """The next block of windows in row order, around the end."""
        keep = kept_tokens(grid, self._keep_ratio) if self._mode.sparse_memory else None
        share = self._share if self._mode.in_part else 1.0
        active = _part(grid, share, self._frame)
        queries = None
        if self._query_share is not None and evidence.targets:
            queries = tuple(
                _part(grid.blocks, self._query_share, self._frame + i)
                for i in range(len(evidence.targets))
            )
        self._frame += 1
        reasons = ('forced',) * len(active)
        return FramePlan(self._mode, grid, active, reasons, self._mode.treatment, queries, keep)


def _part(grid: WindowGrid, share: float, number: int) -> tuple[int, ...]:
    """The part of that number, of a share of the windows, in row order, around the end."""
    count = math.ceil(round(share * grid.count, 9))
    start = number * count % grid.count
    return tuple(sorted((start + i) % grid.count for i in range(count)))


class ReplayedRouter:
    """Plans that were logged: the same frames then give the same masks."""

    def __init__(self, plans: Sequence[FramePlan]) -> None:
        """`plans` of the frames that had targets, in order."""
        self._plans = list(plans)
        self._next = 0

    def plan(self, grid: WindowGrid, evidence: Evidence) -> FramePlan:
        """The next logged plan. Raises ConfigError past the last, or for another grid."""
        if self._next >= len(self._plans):
            raise ConfigError(f'the log holds {len(self._plans)} plans, one more is needed')
        plan = self._plans[self._next]
        if plan.grid != grid:
            raise ConfigError(f'the log is of windows {plan.grid}, the model has {grid}')
        self._next += 1
        return plan
