# SPDX-License-Identifier: Apache-2.0
"""What happens to the stream or to a target, told once when it happens."""

from dataclasses import dataclass
from enum import Enum


class EventKind(Enum):
    """The kinds of msg/Event, by the same names and numbers."""

    SCENE_CUT = 0
    FAST_MOTION = 1
    TARGET_ADDED = 2
    TARGET_REMOVED = 3
    TARGET_LOST = 4
    TARGET_RECOVERED = 5
    TARGET_SUSPECT = 6
    RESET = 7
    TIME_JUMP = 8
    BUDGET_EXCEEDED = 9
    IMAGE_SIZE_CHANGED = 10


@dataclass(frozen=True)
class TrackerEvent:
    """One event; `target_id` is 0 where no target is concerned.

    `value` is what was measured: levels for SCENE_CUT, pixels for FAST_MOTION, frames for
    TARGET_LOST and TARGET_RECOVERED, a ratio of areas for TARGET_SUSPECT, milliseconds for
    BUDGET_EXCEEDED.
    """

    kind: EventKind
    target_id: int = 0
    value: float = 0.0
    text: str = ''
