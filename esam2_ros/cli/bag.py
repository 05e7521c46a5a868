# SPDX-License-Identifier: Apache-2.0
"""`esam2 bag`: make rosbag2 recordings of frames."""

import json
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help='Make a rosbag2 of frames.', no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Make a rosbag2 of frames."""


@app.command('make')
def make(
    source: Annotated[
        Path, typer.Argument(help='A folder of jpg or png pictures, or a video file.')
    ],
    out: Annotated[Path, typer.Argument(help='The bag to make; it must not exist.')],
    fps: Annotated[
        float | None, typer.Option(help="Frames a second; a video's own, or else 30.")
    ] = None,
    topic: Annotated[str, typer.Option(help='Topic of the images.')] = '/image',
    frame_id: Annotated[str, typer.Option(help='frame_id of the headers.')] = 'camera',
    storage: Annotated[str, typer.Option(help='sqlite3 or mcap.')] = 'sqlite3',
    encoding: Annotated[str, typer.Option(help='rgb8 or bgr8, of raw images.')] = 'rgb8',
    compressed: Annotated[
        str, typer.Option(help='none, or jpeg or png for CompressedImage; files keep their bytes.')
    ] = 'none',
    masks: Annotated[
        Path | None,
        typer.Option(help='Folder of mask PNGs (pixel = id) of the same names: ground truth.'),
    ] = None,
    as_json: Annotated[
        bool, typer.Option('--json', help='Print one JSON object and nothing else.')
    ] = False,
) -> None:
    """Make a rosbag2 of a folder of frames or of a video file.

    Stamps start at 1 s and follow from the frame rate. Ground truth goes to the topic /truth.
    """
    from esam2_ros.bags.frames import VIDEO_FPS
    from esam2_ros.bags.frames import open_frames
    from esam2_ros.bags.write import BagOptions
    from esam2_ros.bags.write import write_bag
    from esam2_ros.cli.progress import frame_progress

    frames = open_frames(source, masks)
    options = BagOptions(
        fps=fps if fps is not None else frames.fps or VIDEO_FPS,
        topic=topic,
        frame_id=frame_id,
        storage=storage,
        encoding=encoding,
        compression=compressed,
    )
    with frame_progress() as (start, advance):
        start('writing', frames.count)
        report = write_bag(out, frames, options, advance)
    if as_json:
        facts = {
            'path': str(report.path),
            'frames': report.frames,
            'image_size': list(report.image_size),
            'truth_frames': report.truth_frames,
            'topic': options.topic,
            'fps': options.fps,
            'storage': options.storage,
        }
        typer.echo(json.dumps(facts))
        return
    width, height = report.image_size
    typer.echo(f'{report.path}: {report.frames} frames of {width}x{height} on {options.topic}')
