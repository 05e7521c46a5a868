# SPDX-License-Identifier: Apache-2.0
"""Which tiles of an image differ from the pixels that they were last computed from."""

import cv2
import numpy as np
from numpy.typing import NDArray

from esam2_ros.core.plan import TILE

Image = NDArray[np.uint8] | NDArray[np.float32]

_CELL = 8  # pixels a side that are averaged, which camera noise does not survive
# The patch convolution takes 3 px of the left and the upper neighbour.
_HALO = 3


class ChangeMap:
    """Compares images [S, S, 3] of the model's size, tile by tile of 32 x 32 px.

    A tile is compared with the image it was last computed from, not with the one before: what
    creeps adds up.
    """

    def __init__(self, levels: float) -> None:
        """`levels` (0..255) that the mean of 8 x 8 px may change; 0: no pixel may, by anything."""
        self._levels = levels
        self._seen: Image | None = None
        self._now: Image | None = None

    @property
    def nbytes(self) -> int:
        """Bytes of what is compared with."""
        return 0 if self._seen is None else self._seen.nbytes

    def reset(self) -> None:
        """Forget all images: every tile of the next one has changed."""
        self._seen = self._now = None

    def observe(self, image: Image) -> NDArray[np.bool_]:
        """Which tiles of the next image changed: [S / 32, S / 32]."""
        self._now = image if self._levels == 0 else self._averaged(image)
        if self._seen is None:
            across = image.shape[0] // TILE
            return np.ones((across, across), bool)
        red, green, blue = cv2.split(cv2.absdiff(self._now, self._seen))
        difference = cv2.max(cv2.max(red, green), blue)
        reach = _HALO + 1 if self._levels == 0 else 2
        # Right and down, to the tiles that take these pixels too.
        kernel = np.ones((reach, reach), np.uint8)
        spread = cv2.dilate(difference, kernel, anchor=(reach - 1, reach - 1))
        side = TILE if self._levels == 0 else TILE // _CELL
        across = len(spread) // side
        changed = spread > self._levels
        return np.asarray(changed.reshape(across, side, across, side).any(axis=(1, 3)))

    def commit(self, tiles: NDArray[np.bool_]) -> None:
        """These tiles were computed from the image that was observed last."""
        if self._now is None:
            raise RuntimeError('tiles were computed before an image was observed')
        if self._seen is None:
            self._seen = self._now.copy()
        across, side = len(tiles), len(self._now) // len(tiles)
        seen, now = (
            image.reshape(across, side, across, side, -1).swapaxes(1, 2)
            for image in (self._seen, self._now)
        )
        seen[tiles] = now[tiles]
        self._now = None

    @staticmethod
    def _averaged(image: Image) -> NDArray[np.float32]:
        side = image.shape[0] // _CELL
        # Not as bytes: rounding is as large as what noise leaves.
        small = cv2.resize(image.astype(np.float32), (side, side), interpolation=cv2.INTER_AREA)
        return np.asarray(small, np.float32)
