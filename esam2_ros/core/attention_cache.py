# SPDX-License-Identifier: Apache-2.0
"""Memory attention for a part of the image: its tokens, and what stands for all others.

Each token is a query of its own, and meets other tokens in self-attention only. So a frame may
condition some tokens and take all others as they were when they were conditioned last: their keys
and values of self-attention, and the result.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from esam2_ros.core.plan import BLOCK
from esam2_ros.core.transfer import to_device
from esam2_ros.errors import ConfigError

STRIDE = 16  # pixels a side of a token
_COUNTS = 16  # numbers of blocks on a GPU, evenly spread


class AttentionCache:
    """One target's tokens, each as it was when it was last conditioned; fixed buffers.

    keys, values  [layers - 1, tokens, C] of self-attention; the first layer's are of the current
                  frame alone and are computed anew
    conditioned   [tokens, C] float32, the result
    """

    def __init__(
        self, layers: int, tokens: int, channels: int, device: torch.device, dtype: torch.dtype
    ) -> None:
        """Allocate once; `filled` tells whether all tokens were ever conditioned."""
        self.keys = torch.zeros(layers - 1, tokens, channels, device=device, dtype=dtype)
        self.values = torch.zeros_like(self.keys)
        self.conditioned = torch.zeros(tokens, channels, device=device)
        self.filled = False

    def forget(self) -> None:
        """What is kept holds no more: the next pass conditions all tokens."""
        self.filled = False

    @property
    def nbytes(self) -> int:
        """Bytes of the buffers."""
        return self.keys.nbytes + self.values.nbytes + self.conditioned.nbytes


@dataclass(frozen=True, eq=False)
class Queries:
    """The tokens that a pass conditions, and the caches that hold the others.

    index   [targets, n] token numbers, block after block; None for all tokens
    counts  how many of each row of it are not repeats; empty for all tokens
    caches  one a target

    Tables of one target are handed out where they are kept: good until its next pass.
    """

    index: Tensor | None
    counts: Sequence[int]
    caches: Sequence[AttentionCache]

    def pick(self, tokens: Tensor) -> Tensor:
        """Those of each target: [targets, tokens, C] -> [targets, n, C]."""
        if self.index is None:
            return tokens
        return tokens.gather(1, self.index[..., None].expand(-1, -1, tokens.shape[2]))

    def renew(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Keep the keys and values [targets, n, C] of a layer above the first.

        Returns those of all tokens, old and new: [targets, tokens, C] each.
        """
        return (
            self._renew([cache.keys[layer - 1] for cache in self.caches], keys),
            self._renew([cache.values[layer - 1] for cache in self.caches], values),
        )

    def finish(self, conditioned: Tensor) -> Tensor:
        """Keep the result [targets, n, C]; returns that of all tokens [targets, tokens, C]."""
        for cache in self.caches:
            cache.filled = True
        return self._renew([cache.conditioned for cache in self.caches], conditioned)

    def _renew(self, kept: list[Tensor], rows: Tensor) -> Tensor:
        if self.index is None:
            for table, each in zip(kept, rows, strict=True):
                table.copy_(each)
            return rows
        for table, each, index in zip(kept, rows, self.index, strict=True):
            table.index_copy_(0, index, each.to(table.dtype))
        # One target's table is read where it is.
        return kept[0][None] if len(kept) == 1 else torch.stack(kept)


class QueryTable:
    """Which tokens the blocks of a plan hold, as the index of `Queries`."""

    def __init__(self, side: int, rounded: bool, device: torch.device) -> None:
        """For a side x side grid of tokens, whole blocks.

        `rounded`: numbers of blocks are rounded up, so that a GPU meets few shapes. Raises
        ConfigError where blocks do not tile the grid.
        """
        if side % (BLOCK // STRIDE):
            raise ConfigError(
                f'an input of {side * STRIDE} px cannot be conditioned in parts; needed: a'
                f' multiple of {BLOCK} px'
            )
        self._device = device
        block = BLOCK // STRIDE
        places = torch.arange(side * side).view(side // block, block, side // block, block)
        self._tokens = places.transpose(1, 2).flatten(2).flatten(0, 1)  # [blocks, tokens]
        self._step = -(-len(self._tokens) // _COUNTS) if rounded else 1

    def __call__(self, blocks: Sequence[Sequence[int] | None]) -> Tensor | None:
        """[targets, n] of each target's blocks; None when some want all (None, or none at all).

        Shorter rows repeat their first block: what is computed twice is written twice.
        """
        rows = [list(each or ()) for each in blocks]
        if not all(rows):
            return None
        count = -(-max(map(len, rows)) // self._step) * self._step
        count = min(count, len(self._tokens))
        numbers = torch.tensor([row + row[:1] * (count - len(row)) for row in rows])
        return to_device(self._tokens[numbers].flatten(1), self._device)

    @property
    def size(self) -> int:
        """Tokens of a block."""
        return self._tokens.shape[1]
