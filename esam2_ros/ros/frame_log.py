# SPDX-License-Identifier: Apache-2.0
"""Which frame a stamp names."""

from collections import deque
from dataclasses import dataclass

from std_msgs.msg import Header

from esam2_ros.errors import UnknownFrameError
from esam2_ros.ros.stamps import seconds_text

_LIMIT = 4096


@dataclass(frozen=True)
class LoggedFrame:
    """A processed frame: its index, its stamp in ns and its header."""

    index: int
    stamp: int
    header: Header


class FrameLog:
    """The processed frames that a prompt may name, in the order of their stamps."""

    def __init__(self) -> None:
        """Start empty."""
        self._frames: deque[LoggedFrame] = deque(maxlen=_LIMIT)

    @property
    def newest(self) -> LoggedFrame | None:
        """The newest frame, None before the first."""
        return self._frames[-1] if self._frames else None

    def push(self, frame: LoggedFrame, oldest_stamp: int | None) -> None:
        """Add the newest frame and forget those before `oldest_stamp`."""
        self._frames.append(frame)
        while oldest_stamp is not None and self._frames[0].stamp < oldest_stamp:
            self._frames.popleft()

    def clear(self) -> None:
        """Forget all frames."""
        self._frames.clear()

    def is_ahead(self, stamp: int) -> bool:
        """Whether the stamp is newer than every frame: its image may still come."""
        newest = self.newest
        return stamp != 0 and (newest is None or stamp > newest.stamp)

    def at(self, stamp: int) -> LoggedFrame:
        """The frame with this stamp, or the nearest one when that image was dropped.

        Raises UnknownFrameError, with the span that is available, for one too old.
        """
        if not self._frames or stamp < self._frames[0].stamp:
            raise UnknownFrameError(
                f'the prompt was drawn on the image of {seconds_text(stamp)},'
                f' which is no longer kept; available: {self._span()}'
            )
        return min(self._frames, key=lambda frame: abs(frame.stamp - stamp))

    def _span(self) -> str:
        if not self._frames:
            return 'none'
        oldest, newest = self._frames[0].stamp, self._frames[-1].stamp
        return f'{seconds_text(oldest)} to {seconds_text(newest)}'
