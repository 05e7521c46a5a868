# SPDX-License-Identifier: Apache-2.0
"""`esam2 bench speed`: our time a frame beside stock's."""

import json
from typing import Annotated

import typer

from esam2_ros.cli.options import AsJson
from esam2_ros.cli.options import Device
from esam2_ros.cli.options import Model
from esam2_ros.cli.options import Side


def speed(
    model: Model = 'compact',
    size: Side = None,
    mode: Annotated[
        str, typer.Option(help='exact, swr, smr, paper, lossless, incremental.')
    ] = 'exact',
    active: Annotated[
        float,
        typer.Option(
            help='Share of windows that swr, paper, lossless and incremental are forced to compute,'
            ' rounded up: windows side by side, moved every frame.'
        ),
    ] = 0.25,
    queries: Annotated[
        float | None,
        typer.Option(
            help='Share of the image that smr, paper and incremental are forced to condition for'
            ' each target, in the same way; default: all.'
        ),
    ] = None,
    memories: Annotated[
        int, typer.Option(help='Spatial memories each target recalls, 1 to 7; both sides.')
    ] = 7,
    targets: Annotated[int, typer.Option(help='Targets tracked, 1 to 16.')] = 1,
    frames: Annotated[int, typer.Option(help='Frames timed on both sides.')] = 5,
    device: Device = 'auto',
    dtype: Annotated[
        str, typer.Option(help='auto, float32, bfloat16 or float16; both sides.')
    ] = 'auto',
    baseline: Annotated[
        str, typer.Option(help="Stock 'eager', or 'compiled' as sam2's vos_optimized does.")
    ] = 'eager',
    ablate: Annotated[
        list[str] | None,
        typer.Option(metavar='TRICK', help='Switch one exact speed-up off; may be repeated.'),
    ] = None,
    batched: Annotated[
        bool | None,
        typer.Option(
            '--batched/--one-by-one', help='All targets in one pass, or not; default: on a GPU.'
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Time a tracked frame in a mode and in stock sam2, on the same images in turn.

    Compact has its packaged weights, the official models random ones: shares of windows are
    forced. What real video makes of it, `esam2 eval davis` says.
    """
    from rich.console import Console

    from esam2_ros.bench.speed import SpeedJob
    from esam2_ros.bench.speed import measure
    from esam2_ros.bench.speed_report import headline
    from esam2_ros.bench.speed_report import speed_table
    from esam2_ros.bench.speed_report import to_json

    job = SpeedJob(
        model=model,
        size=size,
        mode=mode,
        active=active,
        queries=queries,
        memories=memories,
        targets=targets,
        frames=frames,
        device=device,
        dtype=dtype,
        baseline=baseline,
        ablate=tuple(ablate or ()),
        batched=batched,
    )
    watched = Console(stderr=True)
    with watched.status('building the model') as status:
        result = measure(job, status.update)
    if as_json:
        typer.echo(json.dumps(to_json(result), indent=2))
        return
    console = Console()
    for line in headline(result):
        console.print(line, soft_wrap=True, highlight=False)
    console.print(speed_table(result))
