# SPDX-License-Identifier: Apache-2.0
"""What of the encoder's work on earlier images still holds for the next one."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from esam2_ros.core.incremental import FrameCache
from esam2_ros.core.plan import TILE
from esam2_ros.core.plan import FramePlan
from esam2_ros.core.plan import WindowGrid
from esam2_ros.policy.changes import ChangeMap
from esam2_ros.policy.changes import Image
from esam2_ros.policy.modes import Mode

# Where the windows kept are of another scene or nothing is known of them, all are computed.
_ALL_ANEW = ('prompt', 'jump', 'cut')


class Reuse:
    """One stream's cache of the encoder, and which windows of it are out of date."""

    def __init__(
        self, mode: Mode, levels: float, grid: WindowGrid, new_cache: Callable[[], FrameCache]
    ) -> None:
        """`mode` is one that reuses; `levels` as of ChangeMap; `new_cache` is called once."""
        self._mode = mode
        self._levels = levels
        self._grid = grid
        self._changes = ChangeMap(0.0 if mode is Mode.LOSSLESS else levels)
        self._dirty = np.ones(grid.count, bool)
        self._window_of = _window_of(grid)
        self.cache = new_cache()

    @property
    def nbytes(self) -> int:
        """Bytes of the cache and of what images are compared with."""
        return self.cache.nbytes + self._changes.nbytes

    @property
    def whole(self) -> bool:
        """Whether all windows are up to date."""
        return not self._dirty.any()

    def suits(self, mode: Mode, levels: float) -> bool:
        """Whether this goes on with these settings."""
        return (mode, levels) == (self._mode, self._levels)

    @property
    def fresh(self) -> frozenset[int]:
        """Windows that are as good as computed."""
        return frozenset(np.flatnonzero(~self._dirty).tolist())

    def reset(self) -> None:
        """What is kept cannot be trusted: all of the next image is computed."""
        self._changes.reset()
        self._dirty[:] = True
        self.cache.filled = False

    def narrow(self, plan: FramePlan, image: Image) -> FramePlan:
        """A router's plan for an image [S, S, 3], less what still holds.

        A plan that was narrowed before, from a log, stays as it is.
        """
        changed = self._changes.observe(image)
        touched = self._window_of[changed]
        self._dirty[touched] = True
        if plan.treatment == self._mode.treatment:
            return plan
        plan = replace(plan, treatment=self._mode.treatment)
        if not self.cache.filled:
            reason = plan.reasons[0] if plan.is_dense else 'first'
            every = range(self._grid.count)
            return replace(plan, active=tuple(every), reasons=(reason,) * len(every), refresh=())
        tiles = None if changed.all() else tuple(np.flatnonzero(changed).tolist())
        if self._mode is Mode.LOSSLESS:
            active = tuple(np.unique(touched).tolist())
            return replace(plan, active=active, reasons=('changed',) * len(active), tiles=tiles)
        if plan.is_dense and plan.reasons[0] in _ALL_ANEW:
            return plan
        kept = [
            (window, reason)
            for window, reason in zip(plan.active, plan.reasons, strict=True)
            if self._dirty[window]
        ]
        active = tuple(window for window, _ in kept)
        return replace(
            plan,
            active=active,
            reasons=tuple(reason for _, reason in kept),
            refresh=tuple(window for window in plan.refresh if window in active),
            tiles=tiles,
        )

    def commit(self, plan: FramePlan) -> None:
        """The plan of the image that was narrowed last was carried out."""
        across = self._grid.extent // TILE
        computed = np.ones(across * across, bool)
        if plan.tiles is not None:
            computed = np.isin(np.arange(across * across), plan.tiles)
        self._changes.commit(computed.reshape(across, across))
        self._dirty[list(plan.active)] = False


def _window_of(grid: WindowGrid) -> NDArray[np.int64]:
    """The window that each tile lies in: [S / 32, S / 32]."""
    rank = np.arange(grid.extent // TILE) * TILE // grid.side
    return rank[:, None] * grid.columns + rank[None]
