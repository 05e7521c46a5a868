# SPDX-License-Identifier: Apache-2.0
"""Options that several commands have in common."""

from pathlib import Path
from typing import Annotated
from typing import Literal

import typer

Model = Annotated[
    str, typer.Option('--model', '-m', help="compact, or 'sam2.1_hiera_tiny', 'tiny' ...")
]
Checkpoint = Annotated[
    str, typer.Option(help="Checkpoint file, or 'random'; default: the packaged or fetched.")
]
ShortcutFile = Annotated[
    str, typer.Option(help="Shortcut file, or 'identity'; default: compact's packaged one.")
]
Side = Annotated[
    int | None, typer.Option(help="Model input side in pixels; default: the model's own.")
]
Device = Annotated[str, typer.Option(help='auto, cpu, cuda or cuda:N.')]
PromptName = Annotated[
    Literal['mask', 'box', 'point'],
    typer.Option(help="How a target is shown on its first frame, made from that frame's mask."),
]
Out = Annotated[Path | None, typer.Option(help='Folder for what is kept of each clip.')]
Resume = Annotated[
    bool, typer.Option('--resume', help='Take finished clips from --out, do the others.')
]
AsMarkdown = Annotated[
    bool, typer.Option('--markdown', help='Print the tables as Markdown and nothing else.')
]
AsJson = Annotated[bool, typer.Option('--json', help='Print one JSON object and nothing else.')]
