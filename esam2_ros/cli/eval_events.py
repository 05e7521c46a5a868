# SPDX-License-Identifier: Apache-2.0
"""`esam2 eval events`: what cuts, fast motion and occlusions do to each mode."""

import json
from pathlib import Path
from typing import Annotated

import typer

from esam2_ros.cli.eval_output import check_form
from esam2_ros.cli.eval_output import wide_console
from esam2_ros.cli.names import names
from esam2_ros.cli.options import AsJson
from esam2_ros.cli.options import AsMarkdown
from esam2_ros.cli.options import Checkpoint
from esam2_ros.cli.options import Device
from esam2_ros.cli.options import Model
from esam2_ros.cli.options import Out
from esam2_ros.cli.options import PromptName
from esam2_ros.cli.options import Resume
from esam2_ros.cli.options import ShortcutFile
from esam2_ros.cli.options import Side
from esam2_ros.errors import ConfigError


def events(
    classes: Annotated[
        str,
        typer.Option(
            help='With commas: calm, cut, cut_back, flash, pan, shake, fast_20, fast_40, fast_60, '
            'occlusion, reentry, lookalike, exposure; default: all.'
        ),
    ] = '',
    modes: Annotated[
        str,
        typer.Option(
            help='With commas: exact, swr, smr, paper, paper_monitor, paper_queries, lossless, '
            'incremental, paper_monitor_false_cut, stock, copy_first, flow_warp.'
        ),
    ] = 'exact,paper,paper_monitor',
    clips: Annotated[int, typer.Option(min=1, help='Clips of each class.')] = 4,
    seed: Annotated[int, typer.Option(min=0, help='Seed of the clips.')] = 0,
    model: Model = 'compact',
    checkpoint: Checkpoint = '',
    shortcut: ShortcutFile = '',
    size: Side = None,
    device: Device = 'auto',
    prompt: PromptName = 'mask',
    sheet: Annotated[
        Path | None, typer.Option(help='Folder for one contact sheet a class, its first clip.')
    ] = None,
    video: Annotated[
        Path | None,
        typer.Option(help='Folder for one animated WebP a class, the modes side by side.'),
    ] = None,
    within: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            metavar='POINTS',
            help='Exit with 1 when paper_monitor is more points behind exact in some class, and '
            'name it.',
        ),
    ] = None,
    out: Out = None,
    resume: Resume = False,
    as_json: AsJson = False,
    as_markdown: AsMarkdown = False,
) -> None:
    """Score modes on made clips in which one thing happens to the target.

    A clip is 640 x 360, calm for 10 frames, and goes on for 30 frames after the event; clips of
    one number share their scene, and `calm` is the control without an event. J&F is 0..1, a mean
    over all frames but the prompted one. One clip of every class is about 590 frames in each mode.

    Differences to exact (or else stock; of a false cut to paper_monitor) are in points,
    hundredths of J&F, with a 95 % interval from a paired bootstrap over clips.
    """
    from esam2_ros.cli.progress import named_progress
    from esam2_ros.core.models import model_spec
    from esam2_ros.evaluation.event_pictures import Gallery
    from esam2_ros.evaluation.event_report import classes_behind
    from esam2_ros.evaluation.event_report import event_table
    from esam2_ros.evaluation.events import EventJob
    from esam2_ros.evaluation.events import pick_classes
    from esam2_ros.evaluation.job import Job
    from esam2_ros.evaluation.markdown import events_markdown
    from esam2_ros.evaluation.modes import EXACT
    from esam2_ros.evaluation.modes import MONITORED
    from esam2_ros.evaluation.modes import pick_modes
    from esam2_ros.evaluation.segmenter import PromptKind

    check_form(as_json, as_markdown)
    if within is not None and not {EXACT, MONITORED} <= set(names(modes)):
        raise ConfigError(f'--within needs {EXACT} and {MONITORED} among --modes')
    if resume and out is None:
        raise ConfigError('--resume needs --out, the folder of the run to go on with')
    spec = model_spec(model)
    job = Job(
        modes=pick_modes(names(modes), floors=False),
        model=spec.name,
        checkpoint=checkpoint,
        shortcut=shortcut,
        image_size=spec.image_size if size is None else size,
        device=device,
        prompt=PromptKind(prompt),
    )
    run = EventJob(job, pick_classes(names(classes)), clips, seed)
    gallery = Gallery(sheet, video) if sheet or video else None
    with named_progress(len(run.classes) * clips, 'clips') as advance:
        scores, report = run.run(advance, out, resume, gallery)
    behind = {} if within is None else classes_behind(scores, within)
    if as_json:
        typer.echo(json.dumps(report, indent=2))
    elif as_markdown:
        typer.echo(events_markdown(scores))
    else:
        wide_console().print(event_table(scores))
        typer.echo(f'preset {job.preset}')
    if behind:
        listed = ', '.join(f'{name} ({points:.1f})' for name, points in behind.items())
        text = f'{MONITORED} is more than {within:g} points behind {EXACT} on: {listed}'
        typer.echo(text, err=True)
        raise typer.Exit(1)
