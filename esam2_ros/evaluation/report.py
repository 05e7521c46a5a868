# SPDX-License-Identifier: Apache-2.0
"""The outcome of an evaluation, as one JSON object and as a table."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from rich.table import Table

from esam2_ros.evaluation.modes import STOCK
from esam2_ros.evaluation.results import ClipScore
from esam2_ros.evaluation.results import ModeScore
from esam2_ros.evaluation.results import combine
from esam2_ros.evaluation.run import Scores


def to_json(scores: Scores, facts: Mapping[str, Any]) -> dict[str, Any]:
    """`facts`, then for every mode its means over all clips and those of each clip.

    Scores are 0..1, times milliseconds; null where nothing was measured. Raises ScoreError
    when no clip has an object.
    """
    means = {name: combine(clips.values()) for name, clips in scores.items()}
    stock = means[STOCK].ms_per_frame if STOCK in means else None
    modes = {
        name: {
            **asdict(means[name]),
            'ms_stock': stock,
            'sequences': {clip: _sequence(score) for clip, score in clips.items()},
        }
        for name, clips in scores.items()
    }
    return {**facts, 'modes': modes}


def _sequence(score: ClipScore) -> dict[str, Any]:
    mean = asdict(combine([score]))
    mean['objects'] = {
        str(target): {'jf': each.jf, 'j': each.j, 'f': each.f}
        for target, each in score.objects.items()
    }
    return mean


def mode_table(scores: Scores) -> Table:
    """One row a mode: means over all objects of all clips."""
    table = Table(title='all clips', title_justify='left')
    for heading in ('mode', 'J&F', 'J', 'F', 'false masks', 'IoU to exact', 'ms', 'windows'):
        table.add_column(heading, justify='left' if heading == 'mode' else 'right')
    for name, clips in scores.items():
        table.add_row(name, *_cells(combine(clips.values())))
    return table


def clip_table(scores: Scores) -> Table:
    """J&F of every clip, one column a mode."""
    table = Table('clip', title='J&F by clip', title_justify='left')
    for name in scores:
        table.add_column(name, justify='right')
    for clip in next(iter(scores.values())):
        table.add_row(clip, *(f'{combine([clips[clip]]).jf:.3f}' for clips in scores.values()))
    return table


def _cells(score: ModeScore) -> list[str]:
    return [
        *(f'{value:.3f}' for value in (score.jf, score.j, score.f)),
        _percent(score.false_mask_rate),
        '-' if score.iou_to_exact is None else f'{score.iou_to_exact:.3f}',
        '-' if score.ms_per_frame is None else f'{score.ms_per_frame:.1f}',
        _percent(score.active_realised),
    ]


def _percent(share: float | None) -> str:
    return '-' if share is None else f'{share:.1%}'
