# SPDX-License-Identifier: Apache-2.0
"""The one value that crosses from policy to core: what to compute on a frame."""

from collections.abc import Iterable
from collections.abc import Mapping
from dataclasses import asdict
from dataclasses import dataclass
from typing import Any

from esam2_ros.errors import ConfigError

TREATMENTS = ('shortcut', 'stale', 'reused')
TILE = 32  # pixels a side of what the encoder's first two stages compute as one
BLOCK = 64  # pixels a side of the blocks that memory attention conditions; they tile any input


@dataclass(frozen=True)
class WindowGrid:
    """Stage-3 windows of a model: `rows` x `columns`, each `side` pixels of the model input.

    `extent` is the input's side in pixels; the last windows may reach over it.
    """

    rows: int
    columns: int
    side: int
    extent: int

    @property
    def count(self) -> int:
        """How many windows there are."""
        return self.rows * self.columns

    @property
    def tokens(self) -> int:
        """Tokens of stage 3, and of a memory."""
        return (self.extent // 16) ** 2

    @property
    def blocks(self) -> 'WindowGrid':
        """The blocks that memory attention conditions, much smaller than windows."""
        across = self.extent // BLOCK
        return WindowGrid(across, across, BLOCK, self.extent)

    def blocks_of(self, windows: Iterable[int]) -> tuple[int, ...]:
        """The blocks that these windows reach into."""
        blocks = self.blocks
        spans = []
        for window in windows:
            row, column = (each * self.side for each in divmod(window, self.columns))
            spans += [
                y * blocks.columns + x
                for y in range(row // BLOCK, min(-(-(row + self.side) // BLOCK), blocks.rows))
                for x in range(
                    column // BLOCK, min(-(-(column + self.side) // BLOCK), blocks.columns)
                )
            ]
        return tuple(sorted(set(spans)))


@dataclass(frozen=True)
class FramePlan:
    """Which windows are computed on a frame and why, and how much memory is read.

    mode       name of the routing mode
    active     flat numbers of the windows that are computed, in row order
    reasons    one word for each of them
    treatment  what the others get: 'shortcut' (learnt, or else the identity), 'stale' (what they
               were when they were computed last) or 'reused' (the same, and they did not change)
    tiles      where the others are kept: tiles of 32 px, row by row of the image, whose first two
               stages are computed; None for all
    queries    for each target, oldest first, the blocks whose tokens are conditioned on its
               memory (numbers in `grid.blocks`); None for all, of one target or of every one
    keep       tokens that are read of each older memory, None for all
    refresh    those of `active` that only their age brought there
    """

    mode: str
    grid: WindowGrid
    active: tuple[int, ...]
    reasons: tuple[str, ...]
    treatment: str = 'shortcut'
    queries: tuple[tuple[int, ...] | None, ...] | None = None
    keep: int | None = None
    refresh: tuple[int, ...] = ()
    tiles: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        """Raises ConfigError for numbers outside the grid, and for fields that do not agree."""
        if self.treatment not in TREATMENTS:
            raise ConfigError(f'treatment is {self.treatment!r}; allowed: {", ".join(TREATMENTS)}')
        if len(self.reasons) != len(self.active):
            raise ConfigError(
                f'{len(self.reasons)} reasons for {len(self.active)} windows; needed: one for each'
            )
        tiles = (self.grid.extent // TILE) ** 2
        for name, numbers, count in (
            ('window', (*self.active, *self.refresh), self.grid.count),
            ('tile', self.tiles or (), tiles),
            *(('block', blocks or (), self.grid.blocks.count) for blocks in self.queries or ()),
        ):
            if numbers and not 0 <= min(numbers) <= max(numbers) < count:
                wrong = next(number for number in numbers if not 0 <= number < count)
                raise ConfigError(f"{name} {wrong} is not in the plan's grid; it has {count}")

    @property
    def is_dense(self) -> bool:
        """Whether every window is computed."""
        return len(self.active) == self.grid.count

    @property
    def is_idle(self) -> bool:
        """Whether nothing was tracked: where the encoder's work is kept, no window may be too."""
        return not self.active and self.treatment == 'shortcut'

    @property
    def is_fresh(self) -> bool:
        """Whether all of the encoder's work is of this frame."""
        return self.is_dense and self.tiles is None

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for a line of JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> 'FramePlan':
        """The plan that `as_dict` gave. Raises ConfigError when a field is missing or unknown."""
        try:
            fields: dict[str, Any] = {name: _frozen(value) for name, value in values.items()}
            fields['grid'] = WindowGrid(**values['grid'])
            return cls(**fields)
        except (KeyError, TypeError) as error:
            raise ConfigError(f'not a frame plan: {error}') from error


def _frozen(value: Any) -> Any:
    """Lists, as JSON has them, as the tuples they were."""
    return tuple(map(_frozen, value)) if isinstance(value, list) else value


def dense_plan(
    grid: WindowGrid, mode: str = 'exact', reason: str = 'dense', keep: int | None = None
) -> FramePlan:
    """Every window, for one reason."""
    return FramePlan(mode, grid, tuple(range(grid.count)), (reason,) * grid.count, keep=keep)


def idle_plan(grid: WindowGrid, mode: str) -> FramePlan:
    """No window: there is nothing to track."""
    return FramePlan(mode, grid, (), ())
