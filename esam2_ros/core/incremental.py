# SPDX-License-Identifier: Apache-2.0
"""Encode only what needs work, and take all else as it was computed last.

Hiera mixes information between windows at its global blocks only. Stages 1 and 2 are local to a
tile of 32 px, stage 3 to a window up to its first global block, stage 4 to a window again. So
tiles and windows that did not change need no work up to there; at a global block the windows in
work attend to the keys and values of all windows, new and old.
"""

from collections.abc import Sequence

import torch
from sam2.modeling.backbones.hieradet import MultiScaleBlock
from torch import Tensor

from esam2_ros.core.attention import attend_heads
from esam2_ros.core.encoder import Encoder
from esam2_ros.core.encoder import Features
from esam2_ros.core.plan import TILE
from esam2_ros.core.transfer import to_device
from esam2_ros.core.trunk import STRIDES
from esam2_ros.core.trunk import WindowTrunk
from esam2_ros.core.windows import Selection
from esam2_ros.errors import ConfigError


class FrameCache:
    """What the encoder made of each tile and window when it computed them last; fixed buffers.

    first, second  [tokens, C] stages 1 and 2, and entry [tokens, C] that of stage 3, tile by tile
    local          [tokens, C] before the first global block, window by window
    third, fourth  [tokens, C] stages 3 and 4, window by window
    tables         [2, tokens, C] keys and values of each global block

    `lossless`: nothing is kept that depends on other windows, so the result is that of all
    windows; then `local` stands for the last two. What is not kept is empty. `filled` tells
    whether all of it was ever computed.
    """

    def __init__(self, encoder: Encoder, lossless: bool, dtype: torch.dtype) -> None:
        """Allocate once. Raises ConfigError for a model whose parts are not local as here."""
        _check(encoder.trunk)
        trunk, device = encoder.trunk, encoder.windows.device
        tokens = [layout.side**2 for layout in trunk.layouts]

        def room(stage: int, kept: bool = True, *shape: int) -> Tensor:
            rows = tokens[stage] if kept else 0
            return torch.zeros(*shape, rows, trunk.widths[stage], device=device, dtype=dtype)

        self.lossless = lossless
        self.filled = False
        self.first, self.second, self.entry = room(0), room(1), room(2)
        self.local = room(2, lossless)
        self.third, self.fourth = room(2, not lossless), room(3, not lossless)
        self.tables = {number: room(2, not lossless, 2) for number in trunk.global_blocks}

    @property
    def nbytes(self) -> int:
        """Bytes of the buffers."""
        rows = (self.first, self.second, self.entry, self.local, self.third, self.fourth)
        return sum(each.nbytes for each in (*rows, *self.tables.values()))


class IncrementalEncoder:
    """Brings a FrameCache up to date with an image, and makes the image's features of it."""

    def __init__(self, encoder: Encoder) -> None:
        """Use the weights and layouts of `encoder`."""
        self._encoder = encoder
        self._trunk = encoder.trunk

    def __call__(
        self,
        image: Tensor,
        cache: FrameCache,
        windows: Sequence[int] | None,
        tiles: Sequence[int] | None,
    ) -> Features:
        """Encode [1, 3, S, S].

        Stages 1 and 2 are computed for `tiles` of 32 px, the rest for `windows` of stage 3; None
        for all, and all are where the cache was not filled yet.
        """
        if not cache.filled:
            windows = tiles = None
        # What is done by halves when something raises must not be taken up.
        filled, cache.filled = True, False
        self._early(image, cache, tiles)
        every = range(self._encoder.windows.windows)
        route = self._encoder.windows.select(every if windows is None else windows)
        stages = (self._alone if cache.lossless else self._together)(cache, route)
        features = self._encoder.finish((cache.first, cache.second, *stages))
        cache.filled = filled
        return features

    def _early(self, image: Tensor, cache: FrameCache, tiles: Sequence[int] | None) -> None:
        """Stages 1 and 2 and the entry of stage 3."""
        kept = (cache.first, cache.second, cache.entry)
        if tiles is None:
            for own, new in zip(kept, self._trunk.early(self._trunk.patches(image)), strict=True):
                own.copy_(new)
        elif tiles:
            count = self._trunk.layouts[0].windows
            numbers = to_device(torch.tensor(tiles)[:, None], image.device)
            rows = [
                (numbers * area + torch.arange(area, device=image.device)).flatten()
                for area in (len(each) // count for each in kept)
            ]
            parts = self._trunk.early(self._trunk.patches(image).index_select(0, rows[0]))
            for own, index, part in zip(kept, rows, parts, strict=True):
                own.index_copy_(0, index, part.to(own.dtype))

    def _enter(self, cache: FrameCache, route: Selection) -> Tensor:
        """The tokens of windows as they enter stage 3."""
        return cache.entry.index_select(0, self._trunk.regroup.index_select(0, route.read))

    def _alone(self, cache: FrameCache, route: Selection) -> tuple[Tensor, Tensor]:
        """Stages 3 and 4 where windows are computed up to the first global block only."""
        third = self._trunk.third
        split = min(self._trunk.global_blocks)
        if route.groups:
            tokens = self._enter(cache, route)
            for number in range(third.start, split):
                tokens = self._trunk.run(number, tokens, route.groups)
            cache.local.index_copy_(0, route.read, tokens.to(cache.local.dtype))
        return self._trunk.rest(cache.local, split)

    def _together(self, cache: FrameCache, route: Selection) -> tuple[Tensor, Tensor]:
        """Stages 3 and 4 of the windows in work, among all others as they were."""
        if not route.groups:
            return cache.third, cache.fourth
        trunk = self._trunk
        tokens = self._enter(cache, route)
        for number in trunk.third:
            table = cache.tables.get(number)
            if table is None:
                tokens = trunk.run(number, tokens, route.groups)
            else:
                tokens = self._attend_to_all(trunk.block(number), tokens, route, table)
        cache.third.index_copy_(0, route.read, tokens.to(cache.third.dtype))
        smaller = trunk.layouts[3].select(route.windows)
        for number in trunk.fourth:
            # The first of them halves windows of stage 3.
            first = number == trunk.fourth.start
            tokens = trunk.run(number, tokens, route.groups if first else smaller.groups)
        cache.fourth.index_copy_(0, smaller.read, tokens.to(cache.fourth.dtype))
        return cache.third, cache.fourth

    def _attend_to_all(
        self, block: MultiScaleBlock, tokens: Tensor, route: Selection, table: Tensor
    ) -> Tensor:
        """A global block: new rows [n, C] of its table [2, tokens, C], and attention to all."""
        skip, qkv = self._trunk.open_block(block, tokens, route.groups)
        query, key, value = qkv.chunk(3, dim=-1)
        for own, new in zip(table, (key, value), strict=True):
            own.index_copy_(0, route.read, new.to(own.dtype))
        query, key, value = (
            each.unflatten(-1, (block.attn.num_heads, -1)).transpose(0, 1)
            for each in (query, table[0], table[1])
        )
        mixed = attend_heads(query, key.to(query), value.to(query), self._encoder.linear)
        return self._trunk.close_block(block, skip, mixed.transpose(0, 1).flatten(1))


def _check(trunk: WindowTrunk) -> None:
    outside = [number for number in trunk.global_blocks if number not in trunk.third]
    if outside:
        raise ConfigError(
            f'blocks {outside} attend to all windows; to encode parts, only blocks of stage 3 may'
        )
    tile = STRIDES[0] * trunk.layouts[0].window
    if (
        tile != TILE
        or trunk.layouts[0].groups[0].count * tile**2 != (STRIDES[0] * trunk.layouts[0].side) ** 2
    ):
        raise ConfigError(
            f'windows of stage 1 are {tile} px; to encode parts, they must be {TILE} px and tile'
            ' the input'
        )
