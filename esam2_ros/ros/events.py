# SPDX-License-Identifier: Apache-2.0
"""What is worth an Event: changes of a target's state between two frames."""

from std_msgs.msg import Header

from esam2_ros.msg import Event
from esam2_ros.policy.results import FrameResult
from esam2_ros.policy.results import TargetStatus


class StateWatch:
    """Compares each frame's states with those before."""

    def __init__(self) -> None:
        """Know no target."""
        self._states: dict[int, TargetStatus] = {}

    def changes(self, header: Header, result: FrameResult) -> list[Event]:
        """Events of this frame: targets lost, recovered after that, or suspect."""
        events = []
        for target in result.targets:
            before = self._states.get(target.id)
            if before is target.state:
                continue
            kind = None
            if target.state is TargetStatus.LOST:
                kind, text = (
                    Event.TARGET_LOST,
                    f'out of sight for {target.frames_since_seen} frames',
                )
            elif target.state is TargetStatus.SUSPECT:
                kind, text = Event.TARGET_SUSPECT, 'its area or place jumped'
            elif target.state is TargetStatus.TRACKED and before is TargetStatus.LOST:
                kind, text = Event.TARGET_RECOVERED, 'in sight again'
            # An occlusion does not end the memory of having been lost.
            if not (before is TargetStatus.LOST and target.state is TargetStatus.OCCLUDED):
                self._states[target.id] = target.state
            if kind is not None:
                events.append(event(header, kind, text, target.id, target.score))
        known = {target.id for target in result.targets}
        self._states = {key: value for key, value in self._states.items() if key in known}
        return events


def event(header: Header, kind: int, text: str, target_id: int = 0, value: float = 0.0) -> Event:
    """An Event message."""
    return Event(header=header, kind=kind, target_id=target_id, value=value, text=text)
