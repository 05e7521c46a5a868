# SPDX-License-Identifier: Apache-2.0
"""An endless made video for timing: textured squares that move over a drifting ground."""

import torch
from torch import Tensor
from torch.nn import functional

from esam2_ros.core.prompts import Prompt

_GROUND_CELLS, _TARGET_CELLS = 12, 4
_DRIFT = 2  # pixels a frame


class MadeVideo:
    """Frames as normalised model input, and the boxes of the targets on the first one."""

    def __init__(
        self, size: int, targets: int, device: torch.device | str = 'cpu', seed: int = 0
    ) -> None:
        """Place `targets` squares on a `size` x `size` picture; frames are on `device`."""
        self._device = device
        generator = torch.Generator().manual_seed(seed)
        self._ground = _texture(_GROUND_CELLS, 2 * size, generator)
        across = int((targets - 1) ** 0.5) + 1  # squares lie on an across x across board
        self._cell = size // across
        self._side = max(self._cell // 2, 8)
        self._size = size
        self._squares = [
            (divmod(number, across), 2 * _texture(_TARGET_CELLS, self._side, generator))
            for number in range(targets)
        ]

    def frame(self, index: int) -> Tensor:
        """Frame `index`: [1, 3, size, size] float32."""
        shift = index * _DRIFT % self._size
        image = self._ground[:, shift : shift + self._size, : self._size].clone()
        for (row, column), texture in self._squares:
            top, left = self._corner(row, column, index)
            image[:, top : top + self._side, left : left + self._side] = texture
        return image[None].to(self._device)

    def prompts(self) -> list[Prompt]:
        """A box round each target on frame 0."""
        corners = [self._corner(row, column, 0) for (row, column), _ in self._squares]
        return [
            Prompt(box=(left, top, left + self._side, top + self._side)) for top, left in corners
        ]

    def _corner(self, row: int, column: int, index: int) -> tuple[int, int]:
        """Top and left of a square, which goes to and fro within its cell."""
        room = self._cell - self._side
        step = index * _DRIFT % (2 * room) if room else 0
        return row * self._cell + room // 2, column * self._cell + min(step, 2 * room - step)


def _texture(cells: int, side: int, generator: torch.Generator) -> Tensor:
    """Smooth random colours [3, side, side], mean 0 and deviation about 1."""
    coarse = torch.randn(1, 3, cells, cells, generator=generator)
    return functional.interpolate(coarse, (side, side), mode='bicubic', align_corners=False)[0]
