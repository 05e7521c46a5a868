# SPDX-License-Identifier: Apache-2.0
"""`esam2 weights`: list, download and check the checkpoints."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING
from typing import Annotated

import typer

from esam2_ros.weights.registry import Checkpoint
from esam2_ros.weights.registry import cache_dir
from esam2_ros.weights.registry import checkpoints
from esam2_ros.weights.registry import find

if TYPE_CHECKING:
    from rich.progress import Progress
    from rich.progress import TaskID

    from esam2_ros.weights.inspection import Verdict

app = typer.Typer(help='List, download and check the checkpoints.')

Json = Annotated[bool, typer.Option('--json', help='Print one JSON object and nothing else.')]


@app.command('list')
def list_checkpoints(as_json: Json = False) -> None:
    """Show every checkpoint of the registry and whether it is on this disk."""
    from rich.console import Console
    from rich.table import Table

    entries = checkpoints()
    if as_json:
        rows = [_facts(entry) for entry in entries]
        typer.echo(json.dumps({'cache': str(cache_dir()), 'checkpoints': rows}, indent=2))
        return
    table = Table('name', 'size', 'here', 'licence', 'SHA-256')
    for entry in entries:
        size = f'{entry.size / 1e6:.1f} MB' if entry.size is not None else '-'
        digest = f'{entry.sha256[:12]}...' if entry.sha256 else '-'
        table.add_row(entry.model, size, _presence(entry), entry.licence, digest)
    Console().print(table)
    typer.echo(f'downloads go to {cache_dir()}')


def _facts(entry: Checkpoint) -> dict[str, object]:
    return {
        'name': entry.model,
        'here': _presence(entry),
        'size': entry.size,
        'sha256': entry.sha256,
        'licence': entry.licence,
        'reference': entry.reference,
        'url': entry.url or None,
        'path': str(entry.path),
    }


def _presence(entry: Checkpoint) -> str:
    """Judge by presence and size alone: reading the files is what `check` is for."""
    path = entry.path
    if path.is_file():
        whole = entry.size in (None, path.stat().st_size)
        return ('packaged' if entry.packaged else 'downloaded') if whole else 'damaged'
    if path.with_name(path.name + '.part').exists():
        return 'unfinished'
    return 'absent'


@app.command('fetch')
def fetch_checkpoints(
    names: Annotated[
        list[str], typer.Argument(help='tiny, small, base_plus or large; one or more.')
    ],
    force: Annotated[
        bool, typer.Option('--force', help='Download again though a good file is there.')
    ] = False,
    as_json: Json = False,
) -> None:
    """Download official SAM 2.1 checkpoints: resumed after a break, checked by SHA-256."""
    from esam2_ros.weights.store import fetch

    entries = [find(name) for name in names]
    done = []
    with _progress_bars() as bars:
        for entry in entries:
            bar = bars.add_task(entry.model, total=entry.size)

            def show(received: int, total: int | None, bar: 'TaskID' = bar) -> None:
                bars.update(bar, completed=received, total=total)

            fresh = fetch(entry, force=force, progress=show)
            bars.update(bar, completed=entry.size)
            done.append({'name': entry.model, 'path': str(entry.path), 'downloaded': fresh})
    if as_json:
        typer.echo(json.dumps({'checkpoints': done}, indent=2))
        return
    for row in done:
        typer.echo(f'{row["path"]}: {"downloaded" if row["downloaded"] else "already there"}, good')


def _progress_bars() -> 'Progress':
    from rich.console import Console
    from rich.progress import BarColumn
    from rich.progress import DownloadColumn
    from rich.progress import Progress
    from rich.progress import TextColumn
    from rich.progress import TimeRemainingColumn
    from rich.progress import TransferSpeedColumn

    console = Console(stderr=True)
    return Progress(
        TextColumn('{task.description}'),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    )


@app.command('check')
def check_checkpoints(
    what: Annotated[
        list[str] | None,
        typer.Argument(help='Names of the registry, or files; default: all that are here.'),
    ] = None,
    model: Annotated[
        str, typer.Option('--model', '-m', help='Model that the files must fit; default: any.')
    ] = '',
    as_json: Json = False,
) -> None:
    """Check size, SHA-256 and the name and shape of every tensor; exit code 1 if one is bad."""
    from esam2_ros.weights.inspection import Condition
    from esam2_ros.weights.inspection import inspect_registered

    if what:
        verdicts = [_inspect(item, model) for item in what]
    else:
        verdicts = [inspect_registered(entry) for entry in checkpoints() if entry.path.is_file()]
    good = all(verdict.condition is Condition.GOOD for verdict in verdicts)
    if as_json:
        rows = [asdict(verdict) for verdict in verdicts]
        typer.echo(json.dumps({'good': good, 'checkpoints': rows}, indent=2))
    else:
        _show(verdicts)
    if not good:
        raise typer.Exit(1)


def _inspect(item: str, model: str) -> 'Verdict':
    from esam2_ros.weights.inspection import inspect_file
    from esam2_ros.weights.inspection import inspect_registered

    path = Path(item).expanduser()
    if path.exists() or '/' in item or path.suffix in ('.pt', '.pth', '.safetensors'):
        return inspect_file(path, model)
    return inspect_registered(find(item))


def _show(verdicts: list['Verdict']) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    if not verdicts:
        typer.echo(f'no checkpoint here: none packaged, none in {cache_dir()}')
        return
    table = Table('checkpoint', 'model', 'condition')
    for verdict in verdicts:
        colour = 'green' if verdict.condition == 'good' else 'red'
        table.add_row(verdict.name, verdict.model, Text(verdict.condition, colour))
    Console().print(table)
    # Below the table, because a column would cut the names of the tensors.
    for verdict in verdicts:
        if verdict.message:
            typer.echo(verdict.message)
