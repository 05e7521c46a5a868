# SPDX-License-Identifier: Apache-2.0
"""`esam2 scenes`: made clips with ground truth, for scoring, monitors and demos."""

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING
from typing import Annotated

import typer

from esam2_ros.errors import ConfigError

if TYPE_CHECKING:
    from esam2_ros.training.scenes import Clip
    from esam2_ros.training.scenes import EventKind

app = typer.Typer(help='Make labelled scenes.', no_args_is_help=True)


class Layout(StrEnum):
    """How a clip lies on disk."""

    DAVIS = 'davis'
    PLAIN = 'plain'
    BAG = 'bag'


@app.callback()
def _group() -> None:
    """Make labelled scenes."""


@app.command('make')
def make(
    out: Annotated[Path, typer.Option('--out', help='Folder of clips, or the bag to make.')],
    events: Annotated[
        str,
        typer.Option(
            help='What happens to target 1, with commas: cut, occlusion, exit, exposure, blur, '
            "distractor, pan, zoom, shake; 'random' draws them for each clip."
        ),
    ] = 'random',
    frames: Annotated[int, typer.Option(min=2, help='Frames of each clip.')] = 48,
    size: Annotated[str, typer.Option(help='WIDTHxHEIGHT in pixels.')] = '640x360',
    seed: Annotated[int, typer.Option(min=0, help='Seed of the first clip.')] = 0,
    clips: Annotated[int, typer.Option(min=1, help='How many clips; one for a bag.')] = 1,
    objects: Annotated[
        int | None, typer.Option(min=1, max=60, help='Objects in a scene; default: drawn.')
    ] = None,
    layout: Annotated[Layout, typer.Option(help='Layout on disk.')] = Layout.PLAIN,
    demo: Annotated[
        bool,
        typer.Option(
            '--demo',
            help="The demo's table, 90 frames; --events, --frames, --size and --objects do "
            'nothing then.',
        ),
    ] = False,
    as_json: Annotated[
        bool, typer.Option('--json', help='Print one JSON object and nothing else.')
    ] = False,
) -> None:
    """Make clips with a mask for every instance and a label for every event.

    The photographs are of the held-out set, which training never sees. The same options give the
    same bytes.
    """
    from esam2_ros.training.scenes import demo_scene
    from esam2_ros.training.scenes import write

    if layout is Layout.BAG and clips != 1:
        raise ConfigError(f'--clips is {clips}, allowed is 1 for a bag')
    made = []
    for number in range(seed, seed + clips):
        clip = demo_scene(number) if demo else _clip(events, frames, size, number, objects)
        name = f'{"table" if demo else "scene"}_{number:05d}'
        if layout is Layout.BAG:
            path = write.write_scene_bag(clip, out, name)
        elif layout is Layout.DAVIS:
            path = write.write_davis(clip, out, name)
        else:
            path = write.write_plain(clip, out, name)
        made.append({**write.facts(clip, name), 'path': str(path)})
    if as_json:
        typer.echo(json.dumps({'clips': made}))
        return
    for facts in made:
        kinds = sorted({event['kind'] for event in facts['events']})
        typer.echo(f'{facts["path"]}: {facts["frames"]} frames, {", ".join(kinds) or "no events"}')


def _clip(events: str, frames: int, size: str, seed: int, objects: int | None) -> 'Clip':
    from dataclasses import replace

    import numpy as np

    from esam2_ros.training.scenes import SceneSpec
    from esam2_ros.training.scenes import random_spec
    from esam2_ros.training.scenes import render

    width, _, height = size.partition('x')
    if not (width.isdigit() and height.isdigit()):
        raise ConfigError(f'--size is {size!r}, allowed is WIDTHxHEIGHT such as 640x360')
    pixels = (int(width), int(height))
    if events == 'random':
        spec = random_spec(np.random.default_rng((seed, 5)), pixels, frames, 'held_out')
    else:
        spec = SceneSpec(size=pixels, frames=frames, events=_kinds(events), split='held_out')
    if objects is not None:
        spec = replace(spec, objects=objects)
    return render(spec, seed)


def _kinds(events: str) -> frozenset['EventKind']:
    from esam2_ros.training.scenes import EventKind
    from esam2_ros.training.scenes.values import ORDERABLE

    names = [name.strip() for name in events.split(',') if name.strip()]
    wrong = [name for name in names if name not in ORDERABLE]
    if wrong:
        allowed = ', '.join(sorted(ORDERABLE))
        raise ConfigError(f'--events has {", ".join(wrong)}, allowed are {allowed} or random')
    return frozenset(EventKind(name) for name in names)
