# SPDX-License-Identifier: Apache-2.0
"""The outcome of an event evaluation, as one JSON object and as a table."""

from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.table import Table

from esam2_ros.evaluation.bootstrap import Difference
from esam2_ros.evaluation.bootstrap import difference
from esam2_ros.evaluation.bootstrap import json_of
from esam2_ros.evaluation.bootstrap import more_windows
from esam2_ros.evaluation.bootstrap import text_of
from esam2_ros.evaluation.event_clips import EventClass
from esam2_ros.evaluation.event_scores import MOMENTS
from esam2_ros.evaluation.event_scores import ClassScore
from esam2_ros.evaluation.event_scores import EventScore
from esam2_ros.evaluation.event_scores import pool
from esam2_ros.evaluation.modes import EXACT
from esam2_ros.evaluation.modes import MONITORED
from esam2_ros.evaluation.modes import baseline_of
from esam2_ros.evaluation.report import POINTS

# By class, then by mode: one score a clip.
EventScores = dict[EventClass, dict[str, list[EventScore]]]
# By mode, then by class: one score a clip, those of one number at one place.
Group = Mapping[str, Sequence[Sequence[EventScore]]]

_HEADINGS = (
    'class',
    'mode',
    'J&F',
    *(f'+{n}' for n in MOMENTS),
    'back in',
    'never',
    'swaps',
    'false',
    'windows',
    'ms',
    'points',
)
_CAPTION = (
    '+n: J&F n frames after the event. back in: frames from '
    'the first loss after it until IoU > 0.5 (median). never: clips in which that never came, of '
    'those whose target is seen again. swaps: to another instance. false: frames without the '
    f'target that got a mask. {POINTS}'
)
ALL = 'all'
_ROUNDING = 1e-9  # points that arithmetic may be off


def to_json(scores: EventScores, facts: Mapping[str, Any]) -> dict[str, Any]:
    """`facts`, then every class and mode, and every mode over all classes.

    Scores are 0..1, times milliseconds, `points_behind_exact` and a `difference` hundredths of
    J&F; null where nothing was measured.
    """
    *classes, (_, every) = groups(scores)
    return {
        **facts,
        'classes': {name: _modes(modes) for name, modes in classes},
        'modes': _modes(every),
    }


def event_table(scores: EventScores) -> Table:
    """One row a class and mode, means over clips; the last ones over all classes."""
    table = Table(
        title='events',
        title_justify='left',
        caption=_CAPTION,
        caption_justify='left',
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    for heading in _HEADINGS:
        left = heading in ('class', 'mode')
        table.add_column(heading, justify='left' if left else 'right', no_wrap=True)
    for name, modes in groups(scores):
        table.add_section()
        apart = differences(modes)
        for number, (mode, clips) in enumerate(modes.items()):
            score = pool(row for rows in clips for row in rows)
            table.add_row('' if number else name, mode, *_cells(score, apart[mode]))
    return table


def groups(scores: EventScores) -> list[tuple[str, Group]]:
    """Every class by name, and all of them together."""
    single = [
        (str(kind), {mode: [rows] for mode, rows in modes.items()})
        for kind, modes in scores.items()
    ]
    names = next(iter(scores.values()))
    return [*single, (ALL, {name: [modes[name] for modes in scores.values()] for name in names})]


def differences(modes: Group) -> dict[str, Difference | None]:
    """How far each mode is from its baseline; None for a baseline itself.

    Clips are resampled within their classes, and those of one number together: they share a
    scene.
    """
    found: dict[str, Difference | None] = {}
    for name, classes in modes.items():
        baseline = baseline_of(name, modes)
        found[name] = None if baseline is None else _apart(classes, baseline, modes[baseline])
    return found


def classes_behind(scores: EventScores, points: float) -> dict[str, float]:
    """Classes in which `paper_monitor` is behind `exact` by more points, and by how many.

    Both must have been run.
    """
    behind = {}
    for kind, modes in scores.items():
        lag = 100 * (pool(modes[EXACT]).jf - pool(modes[MONITORED]).jf)
        if lag > points + _ROUNDING:
            behind[str(kind)] = lag
    return behind


def _apart(
    classes: Sequence[Sequence[EventScore]],
    baseline: str,
    others: Sequence[Sequence[EventScore]],
) -> Difference:
    ours, theirs = (
        np.array([[row.jf for row in rows] for rows in each]) for each in (classes, others)
    )
    dense = more_windows(
        [
            (row.dense_frames, other.dense_frames)
            for rows, other_rows in zip(classes, others, strict=True)
            for row, other in zip(rows, other_rows, strict=True)
        ]
    )
    sums = (ours - theirs).sum(axis=0)
    return difference(baseline, sums, np.full(len(sums), len(ours)), dense)


def _modes(modes: Group) -> dict[str, dict[str, Any]]:
    pooled = {
        name: pool(row for rows in classes for row in rows) for name, classes in modes.items()
    }
    exact, apart = pooled.get(EXACT), differences(modes)
    return {
        name: {
            **asdict(score),
            'jf_after': {str(n): jf for n, jf in score.jf_after.items()},
            'points_behind_exact': None if exact is None else 100 * (exact.jf - score.jf),
            'difference': json_of(apart[name]),
        }
        for name, score in pooled.items()
    }


def _cells(score: ClassScore, apart: Difference | None) -> list[str]:
    recovery = 'never' if score.never_recovered else '-'
    return [
        f'{score.jf:.3f}',
        *(f'{score.jf_after[n]:.3f}' for n in MOMENTS),
        recovery if score.recovery is None else f'{score.recovery:g}',
        f'{score.never_recovered}/{score.returning}' if score.returning else '-',
        str(score.swaps),
        '-' if score.false_mask_rate is None else f'{score.false_mask_rate:.0%}',
        '-' if score.active_realised is None else f'{score.active_realised:.0%}',
        '-' if score.ms_per_frame is None else f'{score.ms_per_frame:.1f}',
        text_of(apart),
    ]
