# SPDX-License-Identifier: Apache-2.0
"""`esam2 replay`: play a bag through the real node and look at what comes out."""

import json
import signal
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING
from typing import Annotated
from typing import NoReturn

import typer

from esam2_ros.replay.prompts import parse_prompt

if TYPE_CHECKING:
    from esam2_ros.replay.runner import ReplayOptions
    from esam2_ros.replay.summary import ReplaySummary


def replay(
    bag: Annotated[Path, typer.Argument(help='A rosbag2: folder, .mcap or .db3 file.')],
    prompts: Annotated[
        list[str] | None,
        typer.Option(
            '--prompt',
            help='What to track: "box=x0,y0,x1,y1", "points=x,y,1;x,y,0" or "mask=FILE.png", '
            'with label=NAME, at=FRAME and id=TARGET where wanted. May be given several times.',
        ),
    ] = None,
    topic: Annotated[str | None, typer.Option(help='Image topic, where there are several.')] = None,
    rate: Annotated[
        float | None,
        typer.Option(
            help='Play at so many times the speed of the recording; the node then drops frames '
            'that it has no time for.'
        ),
    ] = None,
    paced: Annotated[
        bool, typer.Option('--paced', help='Wait for the node after each frame (the default).')
    ] = False,
    out: Annotated[Path, typer.Option(help='Folder for the results.')] = Path('esam2_replay'),
    force: Annotated[bool, typer.Option('--force', help='Replace earlier results there.')] = False,
    frames: Annotated[int | None, typer.Option(min=1, help='At most so many frames.')] = None,
    truth: Annotated[
        Path | None, typer.Option(help='Folder of one mask PNG a frame (pixel = id) to score by.')
    ] = None,
    model: Annotated[
        str,
        typer.Option(help="compact, sam2.1_hiera_tiny ...; default: the node's, compact."),
    ] = '',
    checkpoint: Annotated[
        str, typer.Option(help="Checkpoint file; empty for the model's own.")
    ] = '',
    image_size: Annotated[
        int | None, typer.Option(help="Model input side in pixels; default: the model's own.")
    ] = None,
    device: Annotated[str, typer.Option(help='auto, cpu or cuda; default: auto.')] = '',
    params_file: Annotated[
        Path | None,
        typer.Option(
            help='ROS parameter file for the node, e.g. with routing.mode or trace_path; the '
            'options above come before it.'
        ),
    ] = None,
    storage: Annotated[str, typer.Option(help='sqlite3 or mcap, of the recording.')] = 'sqlite3',
    video: Annotated[bool, typer.Option(help='Write an overlay video.')] = True,
    timeout: Annotated[
        float, typer.Option(min=1.0, help='Seconds to wait for the node, each time.')
    ] = 120.0,
    as_json: Annotated[
        bool, typer.Option('--json', help='Print one JSON object and nothing else.')
    ] = False,
) -> None:
    """Play a bag to the node over DDS, record what it publishes, and sum it up.

    Exit codes: 0 good, 1 the node failed, 2 a bag, prompt or option that cannot be used.
    """
    if rate is not None and (paced or not 0.0 < rate < 1e4):
        raise typer.BadParameter(f'--rate {rate:g}: above 0, below 10000, and not with --paced')
    if params_file is not None and not params_file.is_file():
        raise typer.BadParameter(f'--params-file {params_file} is not a file')
    parsed = tuple(parse_prompt(text) for text in prompts or ())
    # Imported late, and first of all: the wheels' rclpy starts the program anew to set its
    # library path.
    from esam2_ros.replay.process import NodeOptions
    from esam2_ros.replay.runner import ReplayOptions
    from esam2_ros.replay.runner import own_namespace

    node = NodeOptions(
        namespace=own_namespace(),
        model=model,
        checkpoint=checkpoint,
        image_size=image_size,
        device=device,
        params_file=params_file,
    )
    options = ReplayOptions(
        bag=bag,
        out=out,
        prompts=parsed,
        node=node,
        topic=topic,
        rate=rate,
        frames=frames,
        storage=storage,
        truth=truth,
        video=video,
        replace=force,
        timeout_s=timeout,
    )
    show(run_replay(options), as_json)


def run_replay(options: 'ReplayOptions') -> 'ReplaySummary':
    """Replay with a progress bar; a failing node ends the program with exit code 1."""
    from esam2_ros.cli.progress import frame_progress
    from esam2_ros.replay.process import ReplayError
    from esam2_ros.replay.runner import replay as run

    signal.signal(signal.SIGTERM, _interrupt)
    try:
        with frame_progress() as (start, advance):
            start('starting the node', None)
            return run(options, lambda topic, count: start(topic.name, count), advance)
    except ReplayError as error:
        typer.echo(f'esam2: {error}', err=True)
        raise typer.Exit(1) from error


def show(summary: 'ReplaySummary', as_json: bool) -> None:
    """Print a summary; exit code 1 when the node did not end well."""
    from rich.console import Console

    from esam2_ros.cli.tables import print_summary

    if as_json:
        typer.echo(json.dumps(summary.as_json(), ensure_ascii=False))
    else:
        print_summary(summary, Console())
    if summary.node_exit_code != 0:
        typer.echo(
            f'esam2: the node ended with exit code {summary.node_exit_code}; '
            f'see {summary.files["log"]}',
            err=True,
        )
        raise typer.Exit(1)


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt
