# SPDX-License-Identifier: Apache-2.0
"""What the node answered during a replay, kept for the summary."""

from collections import Counter
from dataclasses import dataclass
from dataclasses import field

from rclpy.serialization import deserialize_message

from esam2_ros.bags.images import stamp_of
from esam2_ros.msg import Event
from esam2_ros.msg import FrameStats
from esam2_ros.msg import TrackArray
from esam2_ros.replay.player import PromptAnswer
from esam2_ros.replay.prompts import ReplayPrompt

_KINDS = (
    'SCENE_CUT',
    'FAST_MOTION',
    'TARGET_ADDED',
    'TARGET_REMOVED',
    'TARGET_LOST',
    'TARGET_RECOVERED',
    'TARGET_SUSPECT',
    'RESET',
    'TIME_JUMP',
    'BUDGET_EXCEEDED',
    'IMAGE_SIZE_CHANGED',
)
EVENT_NAMES = {getattr(Event, name): name for name in _KINDS}


@dataclass
class ReplayLog:
    """Grows during a replay. Tracks and statistics go by the stamp of their image in ns."""

    prompts: list[tuple[ReplayPrompt, PromptAnswer]] = field(default_factory=list)
    tracks: dict[int, TrackArray] = field(default_factory=dict)
    stats: dict[int, FrameStats] = field(default_factory=dict)
    events: Counter[str] = field(default_factory=Counter)
    round_trips_ms: list[float] = field(default_factory=list)
    sent: int = 0
    restamped: int = 0
    seconds: float = 0.0
    interrupted: bool = False

    def take(self, topic: str, cdr: bytes) -> None:
        """Keep a message; tracks published again, after a prompt, replace the first ones."""
        if topic == 'tracks':
            self.tracks[stamp_of(cdr)] = deserialize_message(cdr, TrackArray)
        elif topic == 'frame_stats':
            self.stats.setdefault(stamp_of(cdr), deserialize_message(cdr, FrameStats))
        elif topic == 'events':
            self.events[EVENT_NAMES[deserialize_message(cdr, Event).kind]] += 1
