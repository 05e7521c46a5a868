# SPDX-License-Identifier: Apache-2.0
"""`esam2 demo`: a made scene, or your own video, through the running node."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from typing import Annotated

import typer

from esam2_ros.errors import PromptError

if TYPE_CHECKING:
    from esam2_ros.bags.frames import Frame
    from esam2_ros.training.scenes import Clip

FPS = 15.0
BAG = 'scene'
TARGET = 1


def demo(
    video: Annotated[
        Path | None, typer.Option(help='Your own video, or a folder of frames; needs --box.')
    ] = None,
    box: Annotated[
        str, typer.Option(help='What to track on its first frame: x0,y0,x1,y1 in pixels.')
    ] = '',
    out: Annotated[Path, typer.Option(help='Folder for the results.')] = Path('esam2_demo'),
    frames: Annotated[int | None, typer.Option(min=1, help='At most so many frames.')] = None,
    checkpoint: Annotated[
        str, typer.Option(help='Checkpoint file of the compact model; default: the packaged one.')
    ] = '',
    image_size: Annotated[
        int | None, typer.Option(help="Model input side in pixels; default: the model's own.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option('--json', help='Print one JSON object and nothing else.')
    ] = False,
) -> None:
    """Follow one box through a clip, by the real node over DDS, and show what came out.

    Without --video the clip is a made scene with known truth: a table seen from a moving camera,
    a book that passes over the target, a hard cut away and back. Earlier results in --out are
    replaced.
    """
    if (video is None) != (not box):
        raise PromptError('give --video and --box x0,y0,x1,y1 together, or neither')
    # Imported late, and first of all: the wheels' rclpy starts the program anew to set its
    # library path.
    from esam2_ros.replay.process import NodeOptions  # noqa: I001
    from esam2_ros.cli.replay import run_replay
    from esam2_ros.cli.replay import show
    from esam2_ros.replay.prompts import parse_prompt
    from esam2_ros.replay.runner import ReplayOptions
    from esam2_ros.replay.runner import make_folder
    from esam2_ros.replay.runner import own_namespace

    if box:
        parse_prompt(f'box={box}')  # refused before anything is written
    make_folder(out, replace_old=True)
    if not as_json:
        _say_what_runs(checkpoint)
    made_box = _write_clip(out / BAG, video)
    options = ReplayOptions(
        bag=out / BAG,
        out=out,
        prompts=(parse_prompt(f'box={box or made_box} label=target'),),
        node=NodeOptions(
            namespace=own_namespace(),
            model='compact',
            checkpoint=checkpoint,
            image_size=image_size,
        ),
        frames=frames,
        replace=True,
    )
    show(run_replay(options), as_json)


def _write_clip(path: Path, video: Path | None) -> str:
    """Write the bag; returns the box of the made scene's target, '' for a video."""
    import shutil

    from esam2_ros.bags.frames import open_frames
    from esam2_ros.bags.write import BagOptions
    from esam2_ros.bags.write import write_bag
    from esam2_ros.training.scenes import box_of
    from esam2_ros.training.scenes import demo_scene

    shutil.rmtree(path, ignore_errors=True)
    if video is None:
        clip = demo_scene()
        write_bag(path, _made_frames(clip), BagOptions(fps=FPS))
        return ','.join(f'{value:g}' for value in box_of(clip, TARGET))
    source = open_frames(video)
    write_bag(path, source, BagOptions(fps=source.fps or FPS, compression='jpeg'))
    return ''


def _made_frames(clip: 'Clip') -> Iterator['Frame']:
    import numpy as np

    from esam2_ros.bags.frames import Frame

    for index, (image, mask) in enumerate(zip(clip.frames, clip.masks, strict=True)):
        truth = np.where(mask == TARGET, TARGET, 0).astype(np.uint8)
        yield Frame(image, f'frame {index} of the made scene', labels=truth)


def _say_what_runs(checkpoint: str) -> None:
    """Which weights run, and what may be expected of them."""
    if checkpoint:
        typer.echo(f'checkpoint: {checkpoint}')
        return
    from esam2_ros.weights.registry import compact
    from esam2_ros.weights.store import require

    path = require(compact())
    card = json.loads(path.with_suffix('.json').read_text())
    typer.echo(
        f'checkpoint: {path} (SHA-256 {card["sha256"][:12]}, {card["steps"]} training steps)'
    )
    share = card['metrics']['track_iou']
    typer.echo(
        f'expect: a small model that was trained on made scenes only; mean tracking IoU {share:.2f}'
        ' on made scenes it has not seen, much less on photographs'
    )
