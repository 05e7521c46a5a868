# SPDX-License-Identifier: Apache-2.0
"""The training curve as a picture, from one or more logs of the trainer."""

import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from esam2_ros.errors import ConfigError

Row = dict[str, Any]


def read_logs(paths: Sequence[Path]) -> list[Row]:
    """Rows of the logs in the order of their steps; of a step that was run twice, the later one.

    Raises ConfigError for a file that is absent or is no log.
    """
    rows: dict[int, Row] = {}
    for path in paths:
        try:
            found = [json.loads(line) for line in path.read_text().splitlines() if line]
            rows.update({int(row['step']): row for row in found})
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ConfigError(f'{path} is not a training log (log.jsonl): {error}') from error
    if not rows:
        raise ConfigError(f'{", ".join(map(str, paths))}: the log has no rows yet')
    return [rows[step] for step in sorted(rows)]


def plot(rows: Sequence[Row], out: Path) -> None:
    """Loss above; IoU on the lessons and on the validation scenes below."""
    figure = Figure(figsize=(8, 6), layout='constrained')
    upper, lower = figure.subplots(2, 1, sharex=True)
    steps = [row['step'] for row in rows]
    upper.plot(steps, [row['loss'] for row in rows], color='tab:gray')
    upper.set_ylabel('loss')
    last = rows[-1]
    upper.set_title(f'compact: {last["step"]} steps in {last["minutes"]:.0f} minutes')
    lower.plot(steps, [row['prompt_iou'] for row in rows], label='lessons, prompted frame')
    clips = [row for row in rows if row['frames'] > 1]
    lower.plot(
        [row['step'] for row in clips],
        [row['track_iou'] for row in clips],
        label='lessons, tracked frames',
    )
    _validation(lower, rows)
    lower.set(xlabel='step', ylabel='mean IoU', ylim=(0, 1))
    for axes in (upper, lower):
        axes.grid(alpha=0.3)
        _mark_phases(axes, rows)
    figure.legend(*lower.get_legend_handles_labels(), loc='outside lower center', ncols=2)
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, dpi=120)


def _validation(axes: Axes, rows: Sequence[Row]) -> None:
    scored = [row for row in rows if row['validation']]
    for prompt, field, line, label in (
        ('box', 'prompt_iou', 'o--', 'validation, box, prompted frame'),
        ('box', 'track_iou', 's-', 'validation, box, tracked frames'),
        ('mask', 'track_iou', 'x:', 'validation, mask, tracked frames'),
    ):
        values = [row['validation'][prompt][field] for row in scored]
        axes.plot([row['step'] for row in scored], values, line, markersize=4, label=label)


def _mark_phases(axes: Axes, rows: Sequence[Row]) -> None:
    for before, after in itertools.pairwise(rows):
        if (before['size'], before['frames']) != (after['size'], after['frames']):
            axes.axvline(before['step'], color='black', linewidth=0.8, linestyle=':')
