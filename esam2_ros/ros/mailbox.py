# SPDX-License-Identifier: Apache-2.0
"""Images on their way from the subscription to the worker."""

from collections import deque
from dataclasses import dataclass
from time import perf_counter

from sensor_msgs.msg import CompressedImage
from sensor_msgs.msg import Image

QUEUE_LENGTH = 10


@dataclass(frozen=True)
class Arrival:
    """An image message, its age on arrival in ms, and when it came on the monotonic clock."""

    message: Image | CompressedImage
    age_ms: float
    at: float


@dataclass(frozen=True)
class Taken:
    """What the worker takes: an image, and how many were dropped since the one before."""

    arrival: Arrival
    dropped: int


class Mailbox:
    """Holds the newest image ('latest'), or a bounded queue of them ('all').

    What does not fit is dropped and counted: the older image of 'latest', the newer one of
    'all'. Not locked: the worker's lock protects it.
    """

    def __init__(self, policy: str) -> None:
        """Start empty; `policy` is 'latest' or 'all'."""
        self._keep_old = policy == 'all'
        self._slots: deque[Arrival] = deque()
        self._dropped = 0

    def __len__(self) -> int:
        return len(self._slots)

    def put(self, arrival: Arrival) -> bool:
        """Add an image; False when this or an older one was dropped for it."""
        if len(self._slots) < (QUEUE_LENGTH if self._keep_old else 1):
            self._slots.append(arrival)
            return True
        self._dropped += 1
        if not self._keep_old:
            self._slots[-1] = arrival
        return False

    def take(self) -> Taken | None:
        """The next image, None when there is none."""
        if not self._slots:
            return None
        taken = Taken(self._slots.popleft(), self._dropped)
        self._dropped = 0
        return taken

    def clear(self) -> None:
        """Forget all images."""
        self._slots.clear()
        self._dropped = 0


def since(start: float) -> float:
    """Milliseconds since `start` on the monotonic clock."""
    return (perf_counter() - start) * 1e3
