# SPDX-License-Identifier: Apache-2.0
"""`esam2 bench monitor`: how well the scene monitor sees cuts, and what it costs."""

import json
from collections.abc import Callable
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer


def monitor(
    root: Annotated[
        Path | None,
        typer.Argument(
            help='Folder of real clips, each with frames and a meta.json that lists its cuts; '
            'default: made clips.'
        ),
    ] = None,
    clips: Annotated[
        int, typer.Option(min=2, help='Made clips; every second one has two cuts.')
    ] = 144,
    frames: Annotated[int, typer.Option(min=12, help='Frames of a made clip.')] = 32,
    seed: Annotated[int, typer.Option(min=0, help='Seed of the made clips.')] = 0,
    references: Annotated[
        bool, typer.Option('--references/--no-references', help='PySceneDetect beside it.')
    ] = True,
    as_json: Annotated[
        bool, typer.Option('--json', help='Print one JSON object and nothing else.')
    ] = False,
) -> None:
    """Measure recall, precision and delay of cuts, the classes, and the time of a frame.

    The made clips mix cuts with pans, zooms, shake, flashes, exposure steps and fast targets,
    from photographs that nothing was tuned on. The time is a frame's processor time at
    1280 x 720 on one core, the thumbnail included. Exit code 1 when a goal is missed.
    """
    from rich.console import Console

    from esam2_ros.bench.monitor import run
    from esam2_ros.bench.monitor_clips import event_clips
    from esam2_ros.bench.monitor_real import real_clips
    from esam2_ros.bench.monitor_references import check_references
    from esam2_ros.bench.monitor_report import confusion_table
    from esam2_ros.bench.monitor_report import cut_table
    from esam2_ros.bench.monitor_report import missed_goals
    from esam2_ros.bench.monitor_report import report
    from esam2_ros.cli.main import FAILED
    from esam2_ros.policy.monitor import MonitorConfig

    if references:
        check_references()
    real = root is not None
    source = event_clips(clips, seed, frames) if root is None else real_clips(root)
    with _progress(None if real else clips) as advance:
        score = run(source, MonitorConfig(), references, advance)
    missed = missed_goals(score, real)
    if as_json:
        typer.echo(json.dumps(report(score, real), indent=2))
    else:
        console = Console()
        console.print(cut_table(score))
        if score.confusion:
            console.print(confusion_table(score))
        console.print(f'{score.ms_per_frame:.2f} ms a frame at 1280 x 720 on one core (median)')
        for each in missed:
            typer.echo(f'missed: {each}', err=True)
    if missed:
        raise typer.Exit(FAILED)


@contextmanager
def _progress(total: int | None) -> Iterator[Callable[[], None]]:
    from esam2_ros.cli.progress import frame_progress

    with frame_progress() as (start, step):
        start('clips', total)
        yield step
