# SPDX-License-Identifier: Apache-2.0
"""The tables of an evaluation as GitHub's Markdown, as they stand in the documentation."""

from collections.abc import Callable
from collections.abc import Sequence

from esam2_ros.evaluation.bootstrap import Difference
from esam2_ros.evaluation.event_report import EventScores
from esam2_ros.evaluation.event_report import Group
from esam2_ros.evaluation.event_report import differences as event_differences
from esam2_ros.evaluation.event_report import groups
from esam2_ros.evaluation.event_scores import MOMENTS
from esam2_ros.evaluation.event_scores import ClassScore
from esam2_ros.evaluation.event_scores import pool
from esam2_ros.evaluation.modes import FALSE_CUT
from esam2_ros.evaluation.modes import baseline_of
from esam2_ros.evaluation.report import differences
from esam2_ros.evaluation.results import combine
from esam2_ros.evaluation.run import Scores

_INTERVAL = 'points (95 %)'


def grid(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of these rows."""
    rule = '---|' * len(headings)
    head, *body = [f'| {" | ".join(row)} |' for row in (headings, *rows)]
    return '\n'.join([head, f'|{rule}', *body])


def davis_markdown(scores: Scores) -> str:
    """A row a mode, means over all objects; then J&F of every clip, one column a mode."""
    apart = differences(scores)
    modes = []
    for name, clips in scores.items():
        score = combine(clips.values())
        modes.append(
            [
                f'`{name}`',
                *(f'{value:.3f}' for value in (score.jf, score.j, score.f)),
                '-' if score.iou_to_exact is None else f'{score.iou_to_exact:.3f}',
                _percent(score.active_realised),
                _percent(score.queries_realised),
                '-' if score.ms_per_frame is None else f'{score.ms_per_frame:.0f}',
                _against(name, apart[name]),
            ]
        )
    shares = ['windows computed', 'image conditioned']
    headings = ['mode', 'J&F', 'J', 'F', 'IoU to exact', *shares, 'ms a frame']
    by_clip = [
        [clip, *(f'{combine([clips[clip]]).jf:.3f}' for clips in scores.values())]
        for clip in next(iter(scores.values()))
    ]
    return '\n\n'.join(
        [
            grid([*headings, _INTERVAL], modes),
            grid(['clip', *(f'`{name}`' for name in scores)], by_clip),
        ]
    )


def events_markdown(scores: EventScores) -> str:
    """J&F and windows by class; how a mode recovers; and how far it is from its baseline."""
    every = groups(scores)
    pooled = [
        (
            name,
            {
                mode: pool(row for rows in classes for row in rows)
                for mode, classes in group.items()
            },
        )
        for name, group in every
    ]
    return '\n\n'.join([_quality(pooled), _recovery(pooled), _differences(every)])


def _quality(rows: Sequence[tuple[str, dict[str, ClassScore]]]) -> str:
    names = list(rows[0][1])
    # A mode that computes everything everywhere has no share worth a column.
    routed = [
        name for name in names if any((modes[name].active_realised or 1) < 1 for _, modes in rows)
    ]
    moments = ' / '.join(map(str, MOMENTS))
    headings = [
        'event',
        *_titled('J&F', names),
        *_titled(f'{moments} frames after:', names),
        *_titled('windows', routed),
    ]
    cells = [
        [
            name,
            *(f'{modes[each].jf:.3f}' for each in names),
            *(' / '.join(f'{modes[each].jf_after[n]:.2f}' for n in MOMENTS) for each in names),
            *(_percent(modes[each].active_realised) for each in routed),
        ]
        for name, modes in rows
    ]
    return grid(headings, cells)


def _recovery(rows: Sequence[tuple[str, dict[str, ClassScore]]]) -> str:
    names = ' / '.join(f'`{name}`' for name in rows[0][1])
    cells = [
        [
            name,
            _joined(modes, lambda each: '-' if each.recovery is None else f'{each.recovery:g}'),
            _joined(modes, lambda each: f'{each.never_recovered} of {each.returning}')
            if any(each.returning for each in modes.values())
            else '-',
            _joined(modes, lambda each: str(each.swaps)),
            _joined(modes, lambda each: _percent(each.false_mask_rate))
            if any(each.false_mask_rate is not None for each in modes.values())
            else '-',
        ]
        for name, modes in rows
    ]
    headings = ['event', f'frames to recover {names}', 'never', 'swaps', 'masks while absent']
    return grid(headings, cells)


def _differences(rows: Sequence[tuple[str, Group]]) -> str:
    modes = rows[0][1]
    pairs = [(name, baseline_of(name, modes)) for name in modes]
    compared = [(name, baseline) for name, baseline in pairs if baseline is not None]
    cells = []
    for name, group in rows:
        apart = event_differences(group)
        cells.append([name, *(_above(mode, apart[mode]) for mode, _ in compared)])
    headings = [f'`{name}` to `{baseline}`' for name, baseline in compared]
    return grid(['event', *headings], cells)


def _titled(title: str, names: Sequence[str]) -> list[str]:
    """A column a mode, the first one with the title they have in common."""
    return [f'`{name}`' if number else f'{title} `{name}`' for number, name in enumerate(names)]


def _joined(modes: dict[str, ClassScore], text: Callable[[ClassScore], str]) -> str:
    return ' / '.join(text(each) for each in modes.values())


def _against(mode: str, value: Difference | None) -> str:
    """Points, their interval, and of a false cut also what it made the encoder do."""
    return '-' if value is None else f'{value.text} to `{value.baseline}`{_work(mode, value)}'


def _above(mode: str, value: Difference | None) -> str:
    """The same under a heading that names the baseline."""
    return '-' if value is None else f'{value.text}{_work(mode, value)}'


def _work(mode: str, value: Difference) -> str:
    if mode != FALSE_CUT or value.dense_frames is None:
        return ''
    return f', {value.dense_frames:+.2f} dense frames a clip'


def _percent(share: float | None) -> str:
    return '-' if share is None else f'{100 * share:.0f} %'
