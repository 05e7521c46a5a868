# SPDX-License-Identifier: Apache-2.0
"""Recent frames, so that a prompt can land on the frame it was drawn on."""

from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from esam2_ros.core.encoder import Features
from esam2_ros.errors import UnknownFrameError


@dataclass(frozen=True, eq=False)
class PastFrame:
    """A frame at the model's size: uint8 [S, S, 3], or a normalised tensor [1, 3, S, S]."""

    index: int
    stamp: int | None
    pixels: NDArray[np.uint8] | Tensor


class FrameHistory:
    """A ring of recent frames, bounded in bytes and in seconds; it always holds the newest."""

    def __init__(self, max_bytes: int, max_seconds: float) -> None:
        """Start empty."""
        self._max_bytes = max_bytes
        self._max_ns = round(max_seconds * 1e9)
        self._frames: deque[PastFrame] = deque()
        self._features: Features | None = None  # of the newest frame, all windows
        self.nbytes = 0

    def push(self, frame: PastFrame, features: Features | None = None) -> None:
        """Add the newest frame and let old ones go; `features` where all windows are known."""
        self._frames.append(frame)
        self._features = features
        self.nbytes += frame.pixels.nbytes
        while len(self._frames) > 1 and self._is_over(frame):
            self.nbytes -= self._frames.popleft().pixels.nbytes

    def clear(self) -> None:
        """Forget all frames."""
        self._frames.clear()
        self._features = None
        self.nbytes = 0

    def features_of(self, frame: PastFrame) -> Features | None:
        """The features of the newest frame where they are known, None for any other."""
        return self._features if self._frames and frame is self._frames[-1] else None

    def keep_features(self, frame: PastFrame, features: Features) -> None:
        """Keep what was computed for the newest frame; those of any other are let go."""
        if self._frames and frame is self._frames[-1]:
            self._features = features

    def at(self, index: int) -> PastFrame:
        """The frame with this index; UnknownFrameError names the span that is available."""
        for frame in reversed(self._frames):
            if frame.index == index:
                return frame
        raise UnknownFrameError(f'frame {index} is not in the history: {self._available()}')

    def index_at(self, stamp: int) -> int:
        """The index of the frame with this stamp; UnknownFrameError names the span available."""
        for frame in reversed(self._frames):
            if frame.stamp == stamp:
                return frame.index
        raise UnknownFrameError(
            f'no frame is stamped {stamp} ns in the history: {self._available()}'
        )

    def after(self, index: int, limit: int) -> list[PastFrame]:
        """At most `limit` evenly spaced frames newer than `index`; the newest is the last."""
        newer = [frame for frame in self._frames if frame.index > index]
        if len(newer) <= limit:
            return newer
        picks = np.linspace(len(newer) / limit - 1, len(newer) - 1, limit).round().astype(int)
        return [newer[pick] for pick in picks]

    def span(self) -> tuple[PastFrame, PastFrame] | None:
        """The oldest and the newest frame, None when empty."""
        return (self._frames[0], self._frames[-1]) if self._frames else None

    def _is_over(self, newest: PastFrame) -> bool:
        if self.nbytes > self._max_bytes:
            return True
        oldest = self._frames[0]
        if oldest.stamp is None or newest.stamp is None:
            return False
        return newest.stamp - oldest.stamp > self._max_ns

    def _available(self) -> str:
        span = self.span()
        if span is None:
            return 'it is empty'
        oldest, newest = span
        text = f'it holds frames {oldest.index} to {newest.index}'
        if oldest.stamp is not None and newest.stamp is not None:
            text += f', stamps {oldest.stamp} to {newest.stamp} ns'
        return text
