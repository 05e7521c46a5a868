# SPDX-License-Identifier: Apache-2.0
"""`esam2 bench flops`: what a frame costs by arithmetic, mode beside mode."""

import json
from typing import TYPE_CHECKING
from typing import Annotated
from typing import Any

import typer

from esam2_ros.cli.options import AsJson
from esam2_ros.cli.options import Model
from esam2_ros.cli.options import Side

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.table import Table

    from esam2_ros.bench.flops import FrameCost

_GIGA = 1e9


def flops(
    model: Model = 'compact',
    size: Side = None,
    memories: Annotated[
        int, typer.Option(help='Spatial memories recalled, 1 to 7; all 16 pointers are held.')
    ] = 7,
    targets: Annotated[int, typer.Option(help='Targets tracked.')] = 1,
    active: Annotated[
        float, typer.Option(help='Share of windows computed where a part is; rounded up.')
    ] = 0.25,
    queries: Annotated[
        float | None,
        typer.Option(
            help='Share of the image conditioned for each target by smr, paper, incremental.'
        ),
    ] = None,
    mode: Annotated[
        str, typer.Option(help='Modes beside stock, with commas; default: all.')
    ] = 'exact,swr,smr,paper,lossless,incremental',
    as_json: AsJson = False,
) -> None:
    """Count the operations of a tracked frame from the model's shapes; nothing is run.

    In GF: 1e9 operations, a multiply-add is two. Only products are counted: matrix products,
    convolutions and attention.
    """
    from rich.console import Console

    from esam2_ros.bench.flops import Work
    from esam2_ros.bench.flops import frame_cost
    from esam2_ros.bench.model_shape import shape_named
    from esam2_ros.core.models import model_spec

    spec = model_spec(model)
    side = spec.image_size if size is None else size
    names = dict.fromkeys(('stock', *(each.strip() for each in mode.split(',') if each.strip())))
    works = {name: Work(side, memories, targets, active, queries, name) for name in names}
    shape = shape_named(spec.name)
    costs = {name: frame_cost(shape, work) for name, work in works.items()}
    if as_json:
        facts = {'model': spec.name, 'size': side, 'memories': memories, 'targets': targets}
        modes = {name: _to_json(cost, costs['stock']) for name, cost in costs.items()}
        typer.echo(json.dumps({**facts, 'active': active, 'modes': modes}, indent=2))
        return
    title = f'{spec.name} at {side}, memories {memories}, targets {targets}: GF a frame'
    Console().print(_table(title, costs))


def _to_json(cost: 'FrameCost', stock: 'FrameCost') -> dict[str, Any]:
    return {
        'gf': {name: value / _GIGA for name, value in _rows(cost).items()},
        'ratio_to_stock': stock.total / cost.total,
        'windows_active': cost.windows_active,
        'windows_total': cost.windows_total,
        'queries': cost.queries,
        'keys': cost.keys,
    }


def _rows(cost: 'FrameCost') -> dict[str, int]:
    """Sums first, then their parts; a part's name holds its sum's."""
    return {
        'encoder': sum(cost.encoder.values()),
        **{f'encoder.{name}': value for name, value in cost.encoder.items()},
        'memory_attention': sum(cost.memory_attention.values()),
        **{f'memory_attention.{name}': value for name, value in cost.memory_attention.items()},
        'mask_decoder': cost.mask_decoder,
        'memory_encoder': cost.memory_encoder,
        'frame': cost.total,
    }


def _table(title: str, costs: 'Mapping[str, FrameCost]') -> 'Table':
    from rich.table import Table

    table = Table('', title=title, title_justify='left')
    for name in costs:
        table.add_column(name, justify='right')
    rows = {name: _rows(cost) for name, cost in costs.items()}
    for row in rows['stock']:
        # A part stands under its sum, indented.
        label = ''.join(('  ' if '.' in row else '', row.split('.')[-1].replace('_', ' ')))
        values = (f'{rows[name][row] / _GIGA:.1f}' for name in costs)
        table.add_row(label, *values, end_section=row in ('memory_encoder',))
    stock = costs['stock'].total
    table.add_row('stock / mode', *(f'{stock / cost.total:.2f}' for cost in costs.values()))
    windows = (f'{cost.windows_active}/{cost.windows_total}' for cost in costs.values())
    table.add_row('windows', *windows)
    table.add_row('queries', *(str(cost.queries) for cost in costs.values()))
    table.add_row('keys', *(str(cost.keys) for cost in costs.values()))
    return table
