# SPDX-License-Identifier: Apache-2.0
"""What was done on each frame, as JSON Lines: written by the node, read for replay and study."""

import json
from collections.abc import Iterable
from collections.abc import Sequence
from dataclasses import asdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from esam2_ros.core.plan import FramePlan
from esam2_ros.errors import TraceError
from esam2_ros.policy.events import EventKind
from esam2_ros.policy.events import TrackerEvent
from esam2_ros.policy.results import FrameResult
from esam2_ros.policy.results import Timings


@dataclass(frozen=True)
class TracedFrame:
    """One processed frame; `stamp` in nanoseconds, None for an image without one."""

    frame_index: int
    stamp: int | None
    plan: FramePlan
    events: tuple[TrackerEvent, ...]
    timings: Timings

    @classmethod
    def of(cls, result: FrameResult) -> 'TracedFrame':
        """What of a result is traced."""
        return cls(
            result.frame_index, result.stamp, result.plan, tuple(result.events), result.timings
        )


class TraceWriter:
    """Writes a line for each frame; one that is complete is never lost when the program ends."""

    def __init__(self, path: str | Path) -> None:
        """Start the file anew. Raises TraceError when it cannot be written."""
        self.path = Path(path).expanduser()
        try:
            self._file = self.path.open('w', encoding='utf-8', buffering=1)
        except (OSError, ValueError) as error:
            raise TraceError(f'trace {self.path}: cannot be written ({error})') from error

    def write(self, frame: TracedFrame) -> None:
        """Add a frame. Raises TraceError when it cannot be written."""
        try:
            self._file.write(json.dumps(_as_dict(frame)) + '\n')
        except (OSError, ValueError) as error:
            raise TraceError(f'trace {self.path}: cannot be written ({error})') from error

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def read_trace(path: str | Path) -> list[TracedFrame]:
    """Read all frames of a trace, in order.

    Raises TraceError when it cannot be read, with the number of the line that is damaged.
    """
    path = Path(path).expanduser()
    try:
        lines = path.read_bytes().splitlines()
    except (OSError, ValueError) as error:
        raise TraceError(f'trace {path}: cannot be read ({error})') from error
    frames = []
    for number, line in enumerate(lines, start=1):
        try:
            frames.append(_from_dict(json.loads(line)))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise TraceError(f'trace {path}, line {number}: {_reason(error)}') from error
    return frames


def plans_of(frames: Iterable[TracedFrame]) -> Sequence[FramePlan]:
    """The plans that a `ReplayedRouter` takes: those of frames that had targets."""
    return [frame.plan for frame in frames if not frame.plan.is_idle]


def _as_dict(frame: TracedFrame) -> dict[str, Any]:
    return {
        'frame_index': frame.frame_index,
        'stamp': frame.stamp,
        'plan': frame.plan.as_dict(),
        'events': [{**asdict(each), 'kind': each.kind.name} for each in frame.events],
        'timings': asdict(frame.timings),
    }


def _from_dict(values: dict[str, Any]) -> TracedFrame:
    return TracedFrame(
        values['frame_index'],
        values['stamp'],
        FramePlan.from_dict(values['plan']),
        tuple(
            TrackerEvent(**{**each, 'kind': EventKind[each['kind']]}) for each in values['events']
        ),
        Timings(**values['timings']),
    )


def _reason(error: Exception) -> str:
    return f'{error} is missing or unknown' if isinstance(error, KeyError) else str(error)
