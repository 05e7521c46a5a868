# SPDX-License-Identifier: Apache-2.0
"""The outcome of an event evaluation, as one JSON object and as a table."""

from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from esam2_ros.evaluation.event_clips import EventClass
from esam2_ros.evaluation.event_scores import MOMENTS
from esam2_ros.evaluation.event_scores import ClassScore
from esam2_ros.evaluation.event_scores import EventScore
from esam2_ros.evaluation.event_scores import pool
from esam2_ros.evaluation.modes import EXACT

# By class, then by mode: one score a clip.
EventScores = dict[EventClass, dict[str, list[EventScore]]]

_HEADINGS = (
    'class',
    'mode',
    'J&F',
    'behind',
    *(f'+{n}' for n in MOMENTS),
    'back in',
    'never',
    'swaps',
    'false',
    'windows',
    'ms',
)
_CAPTION = (
    'behind: exact, in hundredths of J&F. +n: J&F n frames after the event. back in: frames from '
    'the first loss after it until IoU > 0.5 (median). never: clips in which that never came, of '
    'those whose target is seen again. swaps: to another instance. false: frames without the '
    'target that got a mask.'
)
ALL = 'all'


def to_json(scores: EventScores, facts: Mapping[str, Any]) -> dict[str, Any]:
    """`facts`, then every class and mode, and every mode over all classes.

    Scores are 0..1, times milliseconds, `points_behind_exact` hundredths of J&F; null where
    nothing was measured.
    """
    classes = {str(kind): _modes(modes) for kind, modes in scores.items()}
    return {**facts, 'classes': classes, 'modes': _modes(_all(scores))}


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
    groups: dict[str, Mapping[str, Sequence[EventScore]]] = {
        **{str(kind): modes for kind, modes in scores.items()},
        ALL: _all(scores),
    }
    for name, modes in groups.items():
        table.add_section()
        pooled = {mode: pool(rows) for mode, rows in modes.items()}
        for number, (mode, score) in enumerate(pooled.items()):
            behind = _points_behind(score, pooled.get(EXACT))
            table.add_row('' if number else name, mode, *_cells(score, behind))
    return table


def _all(scores: EventScores) -> dict[str, list[EventScore]]:
    names = next(iter(scores.values()))
    return {name: [row for modes in scores.values() for row in modes[name]] for name in names}


def _modes(modes: Mapping[str, Sequence[EventScore]]) -> dict[str, dict[str, Any]]:
    pooled = {name: pool(rows) for name, rows in modes.items()}
    exact = pooled.get(EXACT)
    return {
        name: {
            **asdict(score),
            'jf_after': {str(n): jf for n, jf in score.jf_after.items()},
            'points_behind_exact': _points_behind(score, exact),
        }
        for name, score in pooled.items()
    }


def _points_behind(score: ClassScore, exact: ClassScore | None) -> float | None:
    return None if exact is None else 100 * (exact.jf - score.jf)


def _cells(score: ClassScore, behind: float | None) -> list[str]:
    recovery = 'never' if score.never_recovered else '-'
    return [
        f'{score.jf:.3f}',
        '-' if behind is None else f'{behind:+.1f}',
        *(f'{score.jf_after[n]:.3f}' for n in MOMENTS),
        recovery if score.recovery is None else f'{score.recovery:g}',
        f'{score.never_recovered}/{score.returning}' if score.returning else '-',
        str(score.swaps),
        '-' if score.false_mask_rate is None else f'{score.false_mask_rate:.0%}',
        '-' if score.active_realised is None else f'{score.active_realised:.0%}',
        '-' if score.ms_per_frame is None else f'{score.ms_per_frame:.1f}',
    ]
