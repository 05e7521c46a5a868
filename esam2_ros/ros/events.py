# SPDX-License-Identifier: Apache-2.0
"""Event messages."""

from std_msgs.msg import Header

from esam2_ros.msg import Event
from esam2_ros.policy.events import TrackerEvent


def event_message(header: Header, event: TrackerEvent) -> Event:
    """An event on the image with this header."""
    return Event(
        header=header,
        kind=event.kind.value,
        target_id=event.target_id,
        value=float(event.value),
        text=event.text,
    )
