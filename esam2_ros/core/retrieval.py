# SPDX-License-Identifier: Apache-2.0
"""Sparse memory retrieval (Efficient-SAM2, section 3.3): the few tokens of old memories to keep.

When a memory is recalled for the first time, as the newest one, each layer scores its tokens by
the attention they receive; later the layer attends to the best of them only.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

_NEVER = -1


class KeptTokens:
    """The best tokens of each recent memory of one target, layer by layer, in a fixed buffer.

    `index` [layers, slots, tokens] int32 holds, for each slot of the recent ring, token numbers
    by falling score; `scored` the frame and the number of tokens that are valid.
    """

    def __init__(self, layers: int, slots: int, tokens: int, device: torch.device) -> None:
        """Allocate once."""
        self.index = torch.zeros(layers, slots, tokens, dtype=torch.int32, device=device)
        self._frames = [_NEVER] * slots
        self._counts = [0] * slots

    @property
    def nbytes(self) -> int:
        """Bytes of the buffer."""
        return self.index.nbytes

    def holds(self, slot: int, frame: int) -> bool:
        """Whether the memory of `frame` in `slot` was scored."""
        return self._frames[slot] == frame

    def forget(self, slot: int) -> None:
        """The slot's memory is another now."""
        self._frames[slot] = _NEVER

    def count(self, slot: int) -> int:
        """How many tokens of the slot's memory are known."""
        return self._counts[slot]

    def write(self, slot: int, frame: int, best: list[Tensor]) -> None:
        """Store the best tokens of a memory, one [k] a layer."""
        for layer, numbers in enumerate(best):
            self.index[layer, slot, : len(numbers)].copy_(numbers)
        self._frames[slot] = frame
        self._counts[slot] = len(best[0])

    def scored(self) -> tuple[tuple[int, int], ...]:
        """For each slot, the frame that was scored and how many of its tokens are known."""
        return tuple(zip(self._frames, self._counts, strict=True))

    def restore(self, index: Tensor, scored: Sequence[tuple[int, int]]) -> None:
        """Take over `index` and `scored` of another bank of this shape."""
        self.index.copy_(index)
        self._frames = [frame for frame, _ in scored]
        self._counts = [count for _, count in scored]


def received(query: Tensor, key: Tensor) -> Tensor:
    """Attention that each key receives, averaged over queries: [n, d] scaled, [M, d] -> [M]."""
    return (query @ key.T).softmax(dim=-1).mean(dim=0)


def sample_queries(tokens: int, count: int, device: torch.device, whole: bool = True) -> Tensor:
    """`count` query numbers spread evenly over the image (all of them when there are fewer).

    `tokens`: how many queries there are, row by row of a `whole` image, else in any order.
    """
    if not whole:
        return _steps(tokens, min(tokens, count), device)
    side = round(tokens**0.5)
    rows = _steps(side, min(side, round(count**0.5)), device)
    numbers: Tensor = rows[:, None] * side + rows[None]
    return numbers.flatten()


def _steps(length: int, count: int, device: torch.device) -> Tensor:
    """The middles of `count` equal parts of `length` numbers."""
    return ((torch.arange(count, device=device) + 0.5) * length / count).long()
