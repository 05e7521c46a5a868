# SPDX-License-Identifier: Apache-2.0
"""`esam2 eval`: how good the masks are."""

import json
from pathlib import Path
from typing import Annotated

import typer

from esam2_ros.cli.eval_events import events
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

app = typer.Typer(help='Score masks against the truth.')
app.command()(events)


@app.command()
def davis(
    root: Annotated[
        Path,
        typer.Argument(
            help='Annotated clips: DAVIS (JPEGImages and Annotations, or their 480p folders), '
            'or one folder a clip with frames and masks.'
        ),
    ],
    sequences: Annotated[str, typer.Option(help='Names of clips, with commas; default: all.')] = '',
    modes: Annotated[
        str,
        typer.Option(
            help='Modes, with commas: exact, swr, smr, paper, paper_monitor, paper_queries, '
            'lossless, incremental, paper_monitor_false_cut, stock, copy_first, flow_warp.'
        ),
    ] = 'exact',
    floors: Annotated[
        bool, typer.Option('--floors/--no-floors', help='Add copy_first and flow_warp.')
    ] = True,
    model: Model = 'compact',
    checkpoint: Checkpoint = '',
    shortcut: ShortcutFile = '',
    image_size: Side = None,
    device: Device = 'auto',
    prompt: PromptName = 'mask',
    out: Out = None,
    resume: Resume = False,
    as_json: AsJson = False,
    as_markdown: AsMarkdown = False,
) -> None:
    """Score modes by J&F, as DAVIS does, from a prompt on each target's first frame.

    Scores are 0..1, means over all objects; the first and the last frame are not scored. The
    floors copy_first (first mask kept) and flow_warp (moved by optical flow) need no network.
    paper_monitor_false_cut is paper_monitor told of a cut that is none in the middle of a clip.

    Differences to exact (or else stock; of a false cut to paper_monitor) are in points,
    hundredths of J&F, with a 95 % interval from a paired bootstrap over clips.
    """
    from esam2_ros.cli.progress import named_progress
    from esam2_ros.core.models import model_spec
    from esam2_ros.evaluation.davis import find_clips
    from esam2_ros.evaluation.job import Job
    from esam2_ros.evaluation.markdown import davis_markdown
    from esam2_ros.evaluation.modes import pick_modes
    from esam2_ros.evaluation.report import clip_table
    from esam2_ros.evaluation.report import mode_table
    from esam2_ros.evaluation.segmenter import PromptKind

    check_form(as_json, as_markdown)
    if resume and out is None:
        raise ConfigError('--resume needs --out, the folder of the run to go on with')
    spec = model_spec(model)
    job = Job(
        modes=pick_modes(names(modes), floors),
        model=spec.name,
        checkpoint=checkpoint,
        shortcut=shortcut,
        image_size=spec.image_size if image_size is None else image_size,
        device=device,
        prompt=PromptKind(prompt),
    )
    clips = find_clips(root, names(sequences) or None)
    with named_progress(sum(map(len, clips)), 'frames') as advance:
        scores, report = job.run(clips, advance, out, resume)
    if as_json:
        typer.echo(json.dumps(report, indent=2))
        return
    if as_markdown:
        typer.echo(davis_markdown(scores))
        return
    console = wide_console()
    console.print(clip_table(scores))
    console.print(mode_table(scores))
    typer.echo(f'preset {job.preset}')
