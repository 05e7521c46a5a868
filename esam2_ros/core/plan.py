# SPDX-License-Identifier: Apache-2.0
"""The one value that crosses from policy to core: what to compute on a frame."""

from dataclasses import dataclass


@dataclass(frozen=True)
class WindowGrid:
    """Stage-3 windows of a model: `rows` x `columns`, each `side` pixels of the model input."""

    rows: int
    columns: int
    side: int

    @property
    def count(self) -> int:
        """How many windows there are."""
        return self.rows * self.columns


@dataclass(frozen=True)
class FramePlan:
    """Which windows are computed on a frame, and why.

    `active` are flat window numbers in row order; `reasons` has one word for each of them.
    """

    mode: str
    grid: WindowGrid
    active: tuple[int, ...]
    reasons: tuple[str, ...]


def dense_plan(grid: WindowGrid, mode: str = 'exact', reason: str = 'dense') -> FramePlan:
    """Every window, for one reason."""
    return FramePlan(mode, grid, tuple(range(grid.count)), (reason,) * grid.count)
