# SPDX-License-Identifier: Apache-2.0
"""`esam2 bench targets` and `esam2 bench ablation`: our settings against each other."""

import json
from typing import TYPE_CHECKING
from typing import Annotated

import typer

from esam2_ros.cli.options import AsJson
from esam2_ros.cli.options import Device
from esam2_ros.cli.options import Model
from esam2_ros.cli.options import Side
from esam2_ros.errors import ConfigError

if TYPE_CHECKING:
    from esam2_ros.bench.compare import Variant

Mode = Annotated[str, typer.Option(help='exact, swr, smr, paper, lossless, incremental.')]
Active = Annotated[
    float,
    typer.Option(help='Share of windows computed where the mode computes a part: it is forced.'),
]
Queries = Annotated[
    float | None,
    typer.Option(
        help='Share of the image conditioned for each target, in smr, paper and incremental: it is'
        ' forced.'
    ),
]
Memories = Annotated[int, typer.Option(help='Spatial memories recalled, 1 to 7.')]
Frames = Annotated[int, typer.Option(help='Frames timed of each.')]


def targets(
    model: Model = 'compact',
    size: Side = None,
    mode: Mode = 'exact',
    active: Active = 0.25,
    queries: Queries = None,
    counts: Annotated[str, typer.Option(help='Numbers of targets, with commas.')] = '1,2,4,8',
    memories: Memories = 7,
    frames: Frames = 3,
    device: Device = 'auto',
    as_json: AsJson = False,
) -> None:
    """Time a tracked frame by the number of targets, in one pass and one by one."""
    from esam2_ros.bench.compare import by_targets
    from esam2_ros.bench.speed import SpeedJob

    job = SpeedJob(
        model=model,
        size=size,
        mode=mode,
        active=active,
        queries=queries,
        memories=memories,
        frames=frames,
        device=device,
    )
    _run(by_targets(job, _numbers(counts)), as_json)


def ablation(
    model: Model = 'compact',
    size: Side = None,
    mode: Mode = 'exact',
    active: Active = 0.25,
    memories: Memories = 7,
    frames: Frames = 5,
    device: Device = 'auto',
    as_json: AsJson = False,
) -> None:
    """Time a tracked frame with all exact speed-ups, and without each of them."""
    from esam2_ros.bench.compare import ablation as without_each
    from esam2_ros.bench.speed import SpeedJob

    job = SpeedJob(
        model=model,
        size=size,
        mode=mode,
        active=active,
        memories=memories,
        frames=frames,
        device=device,
    )
    _run(without_each(job), as_json)


def _run(variants: list['Variant'], as_json: bool) -> None:
    from rich.console import Console
    from rich.table import Table

    from esam2_ros.bench.compare import compare
    from esam2_ros.bench.compare import to_json

    with Console(stderr=True).status('building the model') as status:
        fields = to_json(compare(variants, status.update))
    if as_json:
        typer.echo(json.dumps(fields, indent=2))
        return
    forced = f', {fields["active"]:.0%} of the windows (forced)' * fields['active_is_forced']
    if fields['queries'] is not None:
        forced += f', {fields["queries"]:.0%} of the image conditioned (forced)'
    console = Console()
    console.print(
        f'{fields["model"]} at {fields["size"]}, mode {fields["mode"]}{forced}, memories'
        f' {fields["memories"]}, {fields["frames"]} frames in turn; {fields["machine"]}, load'
        f' {fields["load"]:.1f}, {fields["threads"]} threads; weights {fields["weights"]}',
        soft_wrap=True,
        highlight=False,
    )
    stages = tuple(fields['rows'][0]['stages_ms'])
    table = Table(title='medians of a tracked frame, ms', title_justify='left')
    table.add_column('', no_wrap=True)
    for heading in ('frame', 'ratio', *(stage.replace('_', ' ') for stage in stages)):
        table.add_column(heading, justify='right')
    for row in fields['rows']:
        spent = (f'{row["stages_ms"][stage]:.1f}' for stage in stages)
        table.add_row(row['name'], f'{row["ms"]:.1f}', f'{row["ratio"]:.2f}', *spent)
    console.print(table)


def _numbers(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(',')]
    except ValueError:
        raise ConfigError(f'counts is {text!r}; allowed: whole numbers with commas') from None
