# SPDX-License-Identifier: Apache-2.0
"""The outcome of an evaluation, as one JSON object and as a table."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from rich.table import Table

from esam2_ros.evaluation.bootstrap import Difference
from esam2_ros.evaluation.bootstrap import difference
from esam2_ros.evaluation.bootstrap import json_of
from esam2_ros.evaluation.bootstrap import more_windows
from esam2_ros.evaluation.bootstrap import text_of
from esam2_ros.evaluation.modes import STOCK
from esam2_ros.evaluation.modes import baseline_of
from esam2_ros.evaluation.results import ClipScore
from esam2_ros.evaluation.results import ModeScore
from esam2_ros.evaluation.results import combine
from esam2_ros.evaluation.run import Scores

_HEADINGS = (
    'mode',
    'J&F',
    'J',
    'F',
    'false masks',
    'IoU to exact',
    'ms',
    'windows',
    'queries',
    'points',
)
POINTS = (
    'queries: share of the image conditioned on memory; '
    'points: hundredths of J&F above exact (or stock; a false cut: above paper_monitor) and their '
    '95 % interval, clips resampled.'
)


def to_json(scores: Scores, facts: Mapping[str, Any]) -> dict[str, Any]:
    """`facts`, then for every mode its means over all clips and those of each clip.

    Scores are 0..1, times milliseconds, a `difference` hundredths of J&F; null where nothing
    was measured. Raises ScoreError when no clip has an object.
    """
    means = {name: combine(clips.values()) for name, clips in scores.items()}
    apart = differences(scores)
    stock = means[STOCK].ms_per_frame if STOCK in means else None
    modes = {
        name: {
            **asdict(means[name]),
            'ms_stock': stock,
            'difference': json_of(apart[name]),
            'sequences': {clip: _sequence(score) for clip, score in clips.items()},
        }
        for name, clips in scores.items()
    }
    return {**facts, 'modes': modes}


def differences(scores: Scores) -> dict[str, Difference | None]:
    """How far each mode is from its baseline, clips resampled; None for a baseline itself."""
    found: dict[str, Difference | None] = {}
    for name, clips in scores.items():
        baseline = baseline_of(name, scores)
        found[name] = None if baseline is None else _apart(clips, baseline, scores[baseline])
    return found


def _apart(
    clips: Mapping[str, ClipScore], baseline: str, others: Mapping[str, ClipScore]
) -> Difference:
    # A clip whose target no scored frame shows has nothing to differ in.
    pairs = [(clip, others[name]) for name, clip in clips.items() if clip.objects]
    sums = [
        sum(score.jf - other.objects[target].jf for target, score in clip.objects.items())
        for clip, other in pairs
    ]
    dense = more_windows([(clip.dense_frames, other.dense_frames) for clip, other in pairs])
    return difference(baseline, sums, [len(clip.objects) for clip, _ in pairs], dense)


def _sequence(score: ClipScore) -> dict[str, Any]:
    mean = asdict(combine([score]))
    mean['objects'] = {
        str(target): {'jf': each.jf, 'j': each.j, 'f': each.f}
        for target, each in score.objects.items()
    }
    return mean


def mode_table(scores: Scores) -> Table:
    """One row a mode: means over all objects of all clips."""
    table = Table(title='all clips', title_justify='left', caption=POINTS, caption_justify='left')
    apart = differences(scores)
    for heading in _HEADINGS:
        table.add_column(heading, justify='left' if heading == 'mode' else 'right')
    for name, clips in scores.items():
        table.add_row(name, *_cells(combine(clips.values()), apart[name]))
    return table


def clip_table(scores: Scores) -> Table:
    """J&F of every clip, one column a mode."""
    table = Table('clip', title='J&F by clip', title_justify='left')
    for name in scores:
        table.add_column(name, justify='right')
    for clip in next(iter(scores.values())):
        table.add_row(clip, *(f'{combine([clips[clip]]).jf:.3f}' for clips in scores.values()))
    return table


def _cells(score: ModeScore, apart: Difference | None) -> list[str]:
    return [
        *(f'{value:.3f}' for value in (score.jf, score.j, score.f)),
        _percent(score.false_mask_rate),
        '-' if score.iou_to_exact is None else f'{score.iou_to_exact:.3f}',
        '-' if score.ms_per_frame is None else f'{score.ms_per_frame:.1f}',
        _percent(score.active_realised),
        _percent(score.queries_realised),
        text_of(apart),
    ]


def _percent(share: float | None) -> str:
    return '-' if share is None else f'{share:.1%}'
