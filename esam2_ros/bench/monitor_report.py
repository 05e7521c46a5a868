# SPDX-License-Identifier: Apache-2.0
"""The scene monitor's measurements as people and as programs read them, and its goals."""

from typing import Any

import numpy as np
from rich.table import Table

from esam2_ros.bench.monitor import CutScore
from esam2_ros.bench.monitor import MonitorScore
from esam2_ros.bench.monitor_clips import Truth
from esam2_ros.policy.monitor import MotionClass

MAX_MS = 5.0
MAX_FALSE_PER_500 = 1.0


def missed_goals(score: MonitorScore, real: bool) -> tuple[str, ...]:
    """Each goal that was missed, in words; made clips and real ones have goals of their own."""
    recall, precision = (1.0, 0.0) if real else (0.95, 0.90)
    cut = score.cut
    found = (
        ('recall', cut.recall, recall, 'at least'),
        ('precision', cut.precision, precision, 'at least'),
        ('delay_frames', cut.delay, 0.0, 'at most'),
        ('false_cuts_per_500', cut.false_per_500 if real else None, MAX_FALSE_PER_500, 'at most'),
        ('ms_per_frame', score.ms_per_frame if score.cpu_ms else None, MAX_MS, 'at most'),
    )
    return tuple(
        f'{name} is {value:.3f}, needed: {what} {goal:g}'
        for name, value, goal, what in found
        if value is not None and (value < goal if what == 'at least' else value > goal)
    )


def report(score: MonitorScore, real: bool) -> dict[str, Any]:
    """One JSON object; values without a measurement are null."""
    cut = score.cut
    confusion: dict[str, dict[str, int]] = {}
    for (truth, seen), count in sorted(score.confusion.items()):
        confusion.setdefault(truth, {})[seen] = count
    return {
        'clips': score.clips,
        'frames': score.frames,
        'cut': {
            'recall': cut.recall,
            'precision': cut.precision,
            'delay_frames': cut.delay,
            'cuts': cut.truths,
            'false': cut.false,
        },
        'false_cuts_per_500': cut.false_per_500,
        'ms_per_frame': _median(score.cpu_ms),
        'ms_per_frame_p95': float(np.percentile(score.cpu_ms, 95)) if score.cpu_ms else None,
        'ms_per_frame_wall': _median(score.wall_ms),
        'references': {
            name: {
                'recall': each.recall,
                'precision': each.precision,
                'delay_frames': each.delay,
                'false_cuts_per_500': each.false_per_500,
            }
            for name, each in score.references.items()
        },
        'confusion': confusion,
        'missed_goals': list(missed_goals(score, real)),
    }


def _median(values: list[float]) -> float | None:
    return float(np.median(values)) if values else None


def cut_table(score: MonitorScore) -> Table:
    """Cuts: the monitor beside the references."""
    table = Table('detector', title=f'{score.cut.truths} cuts in {score.frames} frames')
    for name in ('recall', 'precision', 'delay, frames', 'false', 'false in 500 calm frames'):
        table.add_column(name, justify='right')
    rows: dict[str, CutScore] = {'esam2 monitor': score.cut, **score.references}
    for name, each in rows.items():
        table.add_row(
            name,
            _number(each.recall, 3),
            _number(each.precision, 3),
            _number(each.delay, 2),
            str(each.false),
            _number(each.false_per_500, 2),
        )
    return table


def confusion_table(score: MonitorScore) -> Table:
    """Frames by what they are (rows) and what the monitor says (columns)."""
    table = Table('truth', title='frames by truth and class')
    names = [each.name for each in MotionClass]
    for name in names:
        table.add_column(name, justify='right')
    for truth in Truth:
        counts = [score.confusion[truth.value, name] for name in names]
        if any(counts):
            table.add_row(truth.value, *(str(count) if count else '' for count in counts))
    return table


def _number(value: float | None, digits: int) -> str:
    return '-' if value is None else f'{value:.{digits}f}'
