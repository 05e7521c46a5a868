# SPDX-License-Identifier: Apache-2.0
"""A timed job as one JSON object and as a table."""

import statistics
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from rich.table import Table

from esam2_ros.bench.speed import SpeedResult

STAGES = ('encode', 'memory_attention', 'mask_decoder', 'memory_encoder')
_DIFFERENCE_IS = (
    'free-running over {frames} tracked frames, warm-up included, stock keeping its memories in'
    ' float32; largest logit of stock {largest:.3g}'
)


def to_json(result: SpeedResult) -> dict[str, Any]:
    """The fields `esam2 bench speed --json` prints; times are medians in milliseconds.

    `ratio_to_stock` is the median over pairs of stock's time / ours; `keys` and `queries` are
    those of each target.
    """
    job, difference = result.job, result.difference
    ratios = [pair.ratio for pair in result.pairs]
    ours = [pair.ours_ms for pair in result.pairs]
    stages = _stages(result)
    return {
        'model': result.model,
        'size': result.size,
        'mode': job.mode,
        'active': job.share,
        'active_is_forced': job.forced,
        'windows_active': result.windows_active,
        'windows_total': result.windows_total,
        'memories': job.memories,
        'targets': job.targets,
        'batched': job.in_one_pass(result.device),
        'queries': result.queries,
        'queries_are_forced': job.queries is not None,
        'keys': result.keys,
        'keys_total': result.keys_total,
        'frames': job.frames,
        'warm_up': job.warm_up,
        'ratio_to_stock': statistics.median(ratios),
        'ratio_min': min(ratios),
        'ratio_max': max(ratios),
        'max_abs_logit_error': None if difference is None else difference.absolute,
        'logit_error_is': None
        if difference is None
        else _DIFFERENCE_IS.format(frames=difference.frames, largest=difference.largest),
        'stages_ms': stages,
        'stages_ratio': {
            name: _ratio(stages['stock'][name], stages['ours'][name]) for name in stages['stock']
        },
        'p50_ms': float(np.percentile(ours, 50)),
        'p99_ms': float(np.percentile(ours, 99)),
        'preset': result.preset,
        'ablate': list(job.ablate),
        'weights': result.weights,
        'device': result.device,
        'dtype': result.dtype,
        'baseline': job.baseline,
        'machine': result.machine,
        'load': result.load,
        'torch': torch.__version__,
        'threads': torch.get_num_threads(),
    }


def speed_table(result: SpeedResult) -> Table:
    """Stages, stock beside ours."""
    fields = to_json(result)
    name = f'{fields["mode"]} ms'
    table = Table('', title='medians of a tracked frame', title_justify='left')
    for heading in (f'stock {fields["baseline"]} ms', name, 'stock / ours'):
        table.add_column(heading, justify='right')
    for stage, stock in fields['stages_ms']['stock'].items():
        ratio = fields['stages_ratio'][stage]
        ours = fields['stages_ms']['ours'][stage]
        table.add_row(
            stage.replace('_', ' '),
            f'{stock:.1f}',
            f'{ours:.1f}',
            '-' if ratio is None else f'{ratio:.2f}',
            end_section=stage == 'other',
        )
    return table


def headline(result: SpeedResult) -> Iterable[str]:
    """What was timed on what, and the ratio: one line each."""
    fields = to_json(result)
    forced = ' (forced)' if fields['active_is_forced'] else ''
    asked = ' (forced)' if fields['queries_are_forced'] else ''
    yield (
        f'{fields["model"]} at {fields["size"]}, mode {fields["mode"]}, windows'
        f' {fields["windows_active"]}/{fields["windows_total"]}{forced}, memories'
        f' {fields["memories"]}, targets {fields["targets"]}, queries {fields["queries"]}{asked},'
        f' keys {fields["keys"]} of {fields["keys_total"]}'
    )
    if fields['ablate']:
        yield f'without {", ".join(fields["ablate"])}'
    yield (
        f'{fields["machine"]}, load {fields["load"]:.1f}; torch {fields["torch"]},'
        f' {fields["threads"]} threads, {fields["device"]}, {fields["dtype"]}; weights'
        f' {fields["weights"]}'
    )
    yield (
        f'ratio to stock {fields["ratio_to_stock"]:.2f} ({fields["ratio_min"]:.2f} to'
        f' {fields["ratio_max"]:.2f} over {fields["frames"]} pairs)'
    )
    if fields['max_abs_logit_error'] is not None:
        yield (
            f'largest logit error {fields["max_abs_logit_error"]:.2g}: {fields["logit_error_is"]}'
        )
    yield f'preset {fields["preset"]}'


def _stages(result: SpeedResult) -> dict[str, dict[str, float]]:
    """Medians of every stage, of what is in none of them, and of the whole frame."""
    pairs = result.pairs
    return {
        'stock': _medians([(pair.stock_stages, pair.stock_ms) for pair in pairs]),
        'ours': _medians([(pair.our_stages, pair.ours_ms) for pair in pairs]),
    }


def _medians(frames: list[tuple[dict[str, float], float]]) -> dict[str, float]:
    rows = {name: [stages.get(name, 0.0) for stages, _ in frames] for name in STAGES}
    rows['other'] = [total - sum(stages.values()) for stages, total in frames]
    rows['total'] = [total for _, total in frames]
    return {name: statistics.median(values) for name, values in rows.items()}


def _ratio(stock: float, ours: float) -> float | None:
    return stock / ours if ours > 0 and stock > 0 else None
