# SPDX-License-Identifier: Apache-2.0
"""Numbers of a replay: frames, stage times, targets."""

from collections import Counter
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import asdict
from dataclasses import dataclass
from dataclasses import field
from typing import Any
from typing import Protocol

import numpy as np

from esam2_ros.overlay import STATE_NAMES

# `age_on_arrival` and `end_to_end` are left out: they compare the stamps of a recording with the
# clock of today. `round_trip`, from sending a frame to its tracks, is measured by the player.
STAGES = ('queue', 'decode', 'motion', 'encode', 'memory', 'mask', 'publish', 'total')
ROUND_TRIP = 'round_trip'


class StampedTracks(Protocol):
    """What of a `TrackArray` message is counted."""

    targets: Sequence[Any]


@dataclass(frozen=True)
class StageTime:
    """Milliseconds of one stage over all frames."""

    p50: float
    p95: float


@dataclass(frozen=True)
class TargetSummary:
    """One target over the whole replay.

    Attributes:
        state: the last one.
        score: mean predicted IoU over the frames where it was in sight, or None.
        states: frames in each state.
        mean_iou: with the ground truth over `scored_frames`, or None without truth.
    """

    id: int
    label: str
    state: str
    score: float | None
    states: dict[str, int]
    mean_iou: float | None = None
    scored_frames: int = 0


@dataclass(frozen=True)
class Counts:
    """Frames sent to the node, processed by it, dropped on the way, given another stamp."""

    sent: int
    processed: int
    dropped: int
    restamped: int = 0


@dataclass(frozen=True)
class ReplaySummary:
    """Everything that `summary.json` holds."""

    bag: str
    topic: str
    paced: bool
    rate: float | None
    frames: Counts
    seconds: float
    stages_ms: dict[str, StageTime]
    targets: list[TargetSummary]
    events: dict[str, int]
    prompts: list[dict[str, Any]]
    mean_iou: float | None
    interrupted: bool
    node_exit_code: int
    files: dict[str, str] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Plain dictionaries, lists and numbers."""
        return asdict(self)


def stage_times(rows: Mapping[str, Sequence[float]]) -> dict[str, StageTime]:
    """Median and 95th percentile of each stage that has a value; milliseconds."""
    return {
        name: StageTime(*(float(value) for value in np.percentile(values, (50, 95))))
        for name, values in rows.items()
        if len(values)
    }


def stage_columns(
    stats: Iterable[object], round_trips_ms: Sequence[float]
) -> dict[str, list[float]]:
    """Milliseconds of each stage, one value a `FrameStats` message; the round trips beside them."""
    columns: dict[str, list[float]] = {name: [] for name in STAGES}
    for row in stats:
        for name in STAGES:
            columns[name].append(float(getattr(row, name)))
    return {**columns, ROUND_TRIP: list(round_trips_ms)}


def target_summaries(
    tracks: Iterable[StampedTracks], ious: Mapping[int, Sequence[float]]
) -> list[TargetSummary]:
    """One summary a target, by id.

    Args:
        tracks: the last `TrackArray` of each frame, in order.
        ious: for each target with ground truth, its IoU in each scored frame.
    """
    states: dict[int, list[str]] = {}
    scores: dict[int, list[float]] = {}
    labels: dict[int, str] = {}
    for frame in tracks:
        for target in frame.targets:
            name = STATE_NAMES[target.state]
            labels[target.id] = target.label
            states.setdefault(target.id, []).append(name)
            if name in ('TRACKED', 'SUSPECT'):
                scores.setdefault(target.id, []).append(float(target.score))
    return [
        TargetSummary(
            id=target_id,
            label=labels[target_id],
            state=seen[-1],
            score=float(np.mean(scores[target_id])) if target_id in scores else None,
            states=dict(Counter(seen)),
            mean_iou=mean(ious.get(target_id, ())),
            scored_frames=len(ious.get(target_id, ())),
        )
        for target_id, seen in sorted(states.items())
    ]


def mean(values: Sequence[float]) -> float | None:
    """Mean, or None of nothing."""
    return float(np.mean(values)) if len(values) else None


def mean_iou(targets: Iterable[TargetSummary]) -> float | None:
    """Mean over the targets that have ground truth, each weighing the same."""
    return mean([target.mean_iou for target in targets if target.mean_iou is not None])
