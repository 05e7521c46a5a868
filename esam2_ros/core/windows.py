# SPDX-License-Identifier: Apache-2.0
"""Image tokens in window order: windows one after another, the tokens of each in one piece."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from esam2_ros.core.transfer import to_device


@dataclass(frozen=True)
class Group:
    """Windows of one shape that follow each other.

    count    how many
    rows     tokens down and
    columns  across each window that lie in the image
    pads     tokens of each that lie outside it; they are not stored
    """

    count: int
    rows: int
    columns: int
    pads: int

    @property
    def tokens(self) -> int:
        """Stored tokens of each window."""
        return self.rows * self.columns


@dataclass(frozen=True, eq=False)
class Selection:
    """Some windows of a layout, as the blocks compute them.

    read    [n] where their tokens are in the whole layout
    write   [n] where they go to; one past its end for padding and repeats
    groups  their shapes, in order
    windows  their numbers, in order; none where the shape alone is known
    keep    [n, 1] 1 for tokens, 0 for padding; None where nothing is padded
    bias    [n] 0 for tokens, -inf for padding and repeats; None where there are none
    """

    read: Tensor
    write: Tensor
    groups: tuple[Group, ...]
    keep: Tensor | None = None
    bias: Tensor | None = None
    windows: tuple[int, ...] = ()


class WindowLayout:
    """The order of a side x side grid of tokens by windows of `window` x `window`.

    Windows that reach over the grid's edge hold only the tokens inside it, and come after the
    whole ones. `order` [side * side] is the grid place of each token, `back` its inverse.
    """

    def __init__(self, side: int, window: int, device: torch.device) -> None:
        """Make the tables."""
        self.side = side
        self.window = window
        self.across = -(-side // window)
        places = torch.arange(side * side).view(side, side)
        shapes: dict[tuple[int, int], list[int]] = {}
        tokens: dict[int, Tensor] = {}
        for number in range(self.across**2):
            row, column = divmod(number, self.across)
            block = places[
                row * window : (row + 1) * window, column * window : (column + 1) * window
            ]
            tokens[number] = block.flatten()
            shapes.setdefault((block.shape[0], block.shape[1]), []).append(number)
        self._shapes = shapes
        self._rank = {number: i for i, number in enumerate(n for ns in shapes.values() for n in ns)}
        self._shape_of = {n: shape for shape, numbers in shapes.items() for n in numbers}
        order = torch.cat([tokens[number] for number in self._rank])
        self._start: dict[int, int] = {}
        start = 0
        for number in self._rank:
            self._start[number] = start
            start += len(tokens[number])
        self.order = order.to(device)
        self.back = order.argsort().to(device)
        self.groups = tuple(self._group(shape, len(ns)) for shape, ns in shapes.items())
        self.device = device

    @property
    def windows(self) -> int:
        """How many windows the grid has."""
        return self.across**2

    def select(self, windows: Sequence[int]) -> Selection:
        """The tokens of these windows and no others: as little work as possible."""
        chosen = sorted(windows, key=self._rank.__getitem__)
        counts: dict[tuple[int, int], int] = {}
        for number in chosen:
            shape = self._shape_of[number]
            counts[shape] = counts.get(shape, 0) + 1
        spans = [self._span(number) for number in chosen]
        index = torch.cat(spans) if spans else torch.empty(0, dtype=torch.long)
        index = to_device(index, self.device)
        groups = tuple(self._group(shape, n) for shape, n in counts.items())
        return Selection(index, index, groups, windows=tuple(chosen))

    def select_padded(self, windows: Sequence[int], count: int) -> Selection:
        """The tokens of these windows in shapes that depend on `count` alone, for graphs.

        Windows are padded to full size and the first is repeated up to `count` of them.
        """
        return self.padded(to_device(self.table(windows, count), self.device))

    def table(self, windows: Sequence[int], count: int) -> Tensor:
        """What `padded` makes `select_padded` of: [2, count * window ** 2] int64 on the host.

        Where tokens are in the layout, and where they go to; one past its end for no place.
        """
        total = self.side**2
        places = torch.full((count, self.window, self.window), total)
        for slot, number in enumerate(sorted(windows, key=self._rank.__getitem__)):
            rows, columns = self._shape_of[number]
            places[slot, :rows, :columns] = self._span(number).view(rows, columns)
        write = places.flatten().clone()
        places[len(windows) :] = places[:1]
        return torch.stack([places.flatten(), write])

    def padded(self, table: Tensor) -> Selection:
        """The selection that a `table` on the device describes; only its shape is looked at."""
        total = self.side**2
        read, write = table
        real = read < total
        bias = torch.zeros_like(write, dtype=torch.float32)
        group = Group(len(write) // self.window**2, self.window, self.window, 0)
        return Selection(
            read=read * real,
            write=write,
            groups=(group,),
            keep=real.float()[:, None],
            bias=bias.masked_fill(write == total, float('-inf')),
        )

    def to_grid(self, tokens: Tensor) -> Tensor:
        """[side * side, C] in window order -> [1, C, side, side]."""
        grid = tokens.index_select(0, self.back).view(1, self.side, self.side, -1)
        return grid.permute(0, 3, 1, 2)

    def _span(self, number: int) -> Tensor:
        rows, columns = self._shape_of[number]
        start = self._start[number]
        return torch.arange(start, start + rows * columns)

    def _group(self, shape: tuple[int, int], count: int) -> Group:
        return Group(count, *shape, self.window**2 - shape[0] * shape[1])
