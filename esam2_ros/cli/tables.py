# SPDX-License-Identifier: Apache-2.0
"""A replay's summary as people read it."""

from rich.console import Console
from rich.table import Table

from esam2_ros.replay.summary import ReplaySummary


def print_summary(summary: ReplaySummary, console: Console) -> None:
    """Frames, time of each stage, targets, and where the files are."""
    frames = summary.frames
    pace = 'paced by the node' if summary.rate is None else f'at {summary.rate:g} times the speed'
    console.print(
        f'{summary.bag} {summary.topic}, {pace}: {frames.sent} frames in, {frames.processed} out, '
        f'{frames.dropped} dropped, {frames.processed / max(summary.seconds, 1e-9):.1f} frames/s',
        soft_wrap=True,
    )
    if summary.interrupted:
        console.print('interrupted: this is what came until then')
    if frames.restamped:
        console.print(f'{frames.restamped} images had no stamp of their own and got one')
    console.print(_stages(summary))
    if summary.targets:
        console.print(_targets(summary))
    if summary.events:
        counts = ', '.join(f'{name} {count}' for name, count in sorted(summary.events.items()))
        console.print(f'events: {counts}')
    for name, path in summary.files.items():
        console.print(f'{name + ":":<9}{path}', soft_wrap=True)


def _stages(summary: ReplaySummary) -> Table:
    table = Table('stage', title='milliseconds a frame')
    for name in ('p50', 'p95'):
        table.add_column(name, justify='right')
    for name, stage in summary.stages_ms.items():
        table.add_row(name, f'{stage.p50:.1f}', f'{stage.p95:.1f}')
    return table


def _targets(summary: ReplaySummary) -> Table:
    table = Table('id', 'label', 'last state', 'frames in each state', title='targets')
    table.add_column('mean score', justify='right')
    table.add_column('mean IoU to the truth', justify='right')
    for target in summary.targets:
        states = ', '.join(f'{name} {count}' for name, count in target.states.items())
        table.add_row(
            str(target.id),
            target.label,
            target.state,
            states,
            '-' if target.score is None else f'{target.score:.2f}',
            '-'
            if target.mean_iou is None
            else f'{target.mean_iou:.3f} over {target.scored_frames}',
        )
    return table
