# SPDX-License-Identifier: Apache-2.0
"""`esam2 train`: teach the compact model, export it, draw its curve; teach a shortcut."""

import json
from collections import deque
from collections.abc import Callable
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING
from typing import Annotated
from typing import TypeVar

import typer

from esam2_ros.errors import ConfigError

if TYPE_CHECKING:
    import torch
    from rich.table import Table

    from esam2_ros.training.config import Recipe
    from esam2_ros.training.shortcut import Progress as ShortcutProgress
    from esam2_ros.training.state import State
    from esam2_ros.training.trainer import Progress

app = typer.Typer(
    help='Teach the compact model, or a shortcut of any model, on made scenes.',
    no_args_is_help=True,
)

SHOWN = 16  # rows of the live table
Row = TypeVar('Row')
Json = Annotated[bool, typer.Option('--json', help='Print one JSON object and nothing else.')]


@app.callback()
def _group() -> None:
    """Teach the compact model, or a shortcut of any model, on made scenes."""


@app.command()
def compact(
    recipe: Annotated[
        Path, typer.Option(help='The recipe; the default is there in the root of a checkout.')
    ] = Path('config/train_compact.yaml'),
    folder: Annotated[
        Path, typer.Option(help='Takes state.pt (exact), carried.pt (small) and log.jsonl.')
    ] = Path('out/compact'),
    minutes: Annotated[
        float, typer.Option(min=0, help='Length of this piece; 0 = to the end of the recipe.')
    ] = 10,
    device: Annotated[str, typer.Option(help='auto, cpu, cuda or cuda:N.')] = 'auto',
    resume: Annotated[
        bool, typer.Option('--resume', help='Go on from state.pt of the folder, or carried.pt.')
    ] = False,
) -> None:
    """Train the compact model for a while; made scenes are the only material."""
    from esam2_ros.training.config import load_recipe
    from esam2_ros.training.trainer import Trainer
    from esam2_ros.weights.loading import pick_device

    plan = load_recipe(recipe)
    target = pick_device(device)
    state = _start(folder, plan, target, resume)
    trainer = Trainer(plan, state, folder, target)
    begun = state.step
    with _live_table(_table) as watch:
        trainer.run(minutes or None, watch)
    over = '; the recipe is at its end' if plan.locate(state.step) is None else ''
    typer.echo(f'{folder}: steps {begun} to {state.step}, {state.seconds / 60:.1f} minutes{over}')


def _start(folder: Path, recipe: 'Recipe', device: 'torch.device', resume: bool) -> 'State':
    from esam2_ros.training.state import fresh
    from esam2_ros.training.state import load

    paths = [path for path in (folder / 'state.pt', folder / 'carried.pt') if path.is_file()]
    if paths and not resume:
        raise ConfigError(f'{paths[0]} exists; go on with --resume, or name another --folder')
    if resume and not paths:
        raise ConfigError(f'--resume: neither state.pt nor carried.pt is in {folder}')
    return load(paths[0], recipe, device) if paths else fresh(recipe, device)


@contextmanager
def _live_table(draw: 'Callable[[deque[Row]], Table]') -> 'Iterator[Callable[[Row], None]]':
    from rich.console import Console
    from rich.live import Live

    rows: deque[Row] = deque(maxlen=SHOWN)
    with Live(draw(rows), console=Console(stderr=True), auto_refresh=False) as live:

        def watch(row: Row) -> None:
            rows.append(row)
            live.update(draw(rows), refresh=True)

        yield watch


def _table(rows: 'deque[Progress]') -> 'Table':
    from rich.table import Table

    table = Table(title='training: IoU on the lessons, and on the validation scenes (box / mask)')
    for name in ('step', 'min', 'px', 'rate', 's/step', 'loss', 'prompt', 'track', 'validation'):
        table.add_column(name, justify='right')
    for row in rows:
        scores = (row.validation[name]['track_iou'] for name in ('box', 'mask') if row.validation)
        table.add_row(
            str(row.step),
            f'{row.minutes:.1f}',
            f'{row.size} x {row.frames}',
            f'{row.lr:.1e}',
            f'{row.seconds_a_step:.2f}',
            f'{row.loss:.3f}',
            f'{row.prompt_iou:.3f}',
            f'{row.track_iou:.3f}' if row.frames > 1 else '-',
            ' / '.join(f'{score:.3f}' for score in scores),
        )
    return table


@app.command()
def export(
    state: Annotated[Path, typer.Argument(help='state.pt or carried.pt of a training folder.')],
    out: Annotated[
        Path | None, typer.Option(help='The .safetensors file; default: the packaged checkpoint.')
    ] = None,
    clips: Annotated[int, typer.Option(min=1, help='Held-out scenes to validate on.')] = 16,
    frames: Annotated[int, typer.Option(min=2, help='Frames of each scene.')] = 10,
    image_size: Annotated[int, typer.Option(help='Input side in pixels to validate at.')] = 512,
    always: Annotated[
        bool, typer.Option('--always', help='Write it even if the file at hand scores better.')
    ] = False,
    as_json: Json = False,
) -> None:
    """Write the averaged weights as float16 safetensors, validated by box and by mask.

    A sidecar .json beside it holds size, SHA-256, steps and scores. Exit code 1 if the file at
    hand scored better and was kept.
    """
    from esam2_ros.training.export import export as write
    from esam2_ros.weights.registry import compact as packaged

    done = write(state, out or packaged().path, clips, frames, image_size, always)
    if as_json:
        typer.echo(json.dumps({**asdict(done), 'path': str(done.path)}))
    else:
        for prompt, marks in done.metrics.items():
            typer.echo(
                f'{prompt}: IoU {marks.prompt_iou:.3f} at the prompt, {marks.track_iou:.3f} while '
                f'tracking, {marks.false_mask:.1%} false masks, {marks.missed:.1%} missed'
            )
        verdict = 'written' if done.replaced else 'kept, it scores better'
        typer.echo(f'{done.path}: {verdict} ({done.size} bytes, SHA-256 {done.sha256})')
    if not done.replaced:
        raise typer.Exit(1)


@app.command()
def plot(
    logs: Annotated[list[Path], typer.Argument(help='log.jsonl of one or more folders.')],
    out: Annotated[Path, typer.Option(help='The picture.')] = Path(
        'docs/images/compact_training.png'
    ),
) -> None:
    """Draw loss, IoU on the lessons and validation IoU over the steps."""
    from esam2_ros.training.plot import plot as draw
    from esam2_ros.training.plot import read_logs

    rows = read_logs(logs)
    draw(rows, out)
    last = rows[-1]
    typer.echo(f'{out}: {len(rows)} rows, up to step {last["step"]}, {last["minutes"]:.1f} minutes')


@app.command()
def shortcut(
    model: Annotated[str, typer.Option(help='compact, tiny, small, base_plus or large.')],
    checkpoint: Annotated[
        str, typer.Option(help="Its weights; default: the packaged or downloaded ones; 'random'.")
    ] = '',
    size: Annotated[
        int | None, typer.Option(help='Input side in pixels; default: usual for the model.')
    ] = None,
    folder: Annotated[Path | None, typer.Option(help='Takes state.pt and log.jsonl.')] = None,
    out: Annotated[
        Path | None, typer.Option(help='The weights; default: shortcut.safetensors in the folder.')
    ] = None,
    minutes: Annotated[
        float, typer.Option(min=0, help='Length of this piece; 0 = until all clips were seen.')
    ] = 10,
    clips: Annotated[int, typer.Option(min=1, help='Length of the training in made clips.')] = 60,
    frames: Annotated[int, typer.Option(min=3, help='Frames of each clip.')] = 8,
    held_out: Annotated[int, typer.Option(min=1, help='Held-out clips that judge it.')] = 6,
    lr: Annotated[float, typer.Option(min=0, help='Highest learning rate.')] = 2e-3,
    seed: Annotated[int, typer.Option(min=0, help='Of the clips and the first weights.')] = 1,
    device: Annotated[str, typer.Option(help='auto, cpu, cuda or cuda:N.')] = 'auto',
    resume: Annotated[
        bool, typer.Option('--resume', help='Go on from state.pt of the folder.')
    ] = False,
    as_json: Json = False,
) -> None:
    """Teach a frozen model's shortcut: what windows say that routing does not compute.

    The loss on held-out clips is compared with the identity's, which is what routing does without
    a shortcut. Exit code 1 if the identity is better: nothing is written then.
    """
    from esam2_ros.core.models import model_spec
    from esam2_ros.training.shortcut import ShortcutTrainer
    from esam2_ros.training.shortcut_state import ShortcutRecipe
    from esam2_ros.training.shortcut_state import fresh
    from esam2_ros.training.shortcut_state import load
    from esam2_ros.weights.loading import load_model
    from esam2_ros.weights.shortcuts import save_shortcut

    name = model_spec(model).name
    folder = folder or Path('out') / f'shortcut_{name}'
    recipe = ShortcutRecipe(clips=clips, frames=frames, lr=lr, seed=seed, validation_clips=held_out)
    before = folder / 'state.pt'
    if before.is_file() and not resume:
        raise ConfigError(f'{before} exists; go on with --resume, or name another --folder')
    network = load_model(name, checkpoint, device, size)
    state = load(before, network, recipe) if resume else fresh(network, recipe)
    trainer = ShortcutTrainer(network, recipe, state, folder)
    with _live_table(_shortcut_table) as watch:
        score = trainer.run(minutes or None, watch)
    target = out or folder / 'shortcut.safetensors'
    better = score.ratio < 1
    if better:
        facts = {
            'model': name,
            'image_size': str(network.image_size),
            'clips': str(state.clips),
            'loss': f'{score.loss:.6g}',
            'identity_loss': f'{score.identity:.6g}',
        }
        save_shortcut(state.average.state_dict(), target, network, facts)
    if as_json:
        counts = {'clips': state.clips, 'updates': state.updates, 'minutes': state.seconds / 60}
        typer.echo(json.dumps({**asdict(score), **counts, 'path': str(target), 'written': better}))
    else:
        typer.echo(
            f'{state.clips} of {clips} clips, {state.updates} updates, {state.seconds / 60:.1f}'
            f' minutes; on {score.frames} held-out frames with {score.active:.0%} of the windows:'
            f' loss {score.loss:.4g}, {score.ratio:.3f} of the identity'
        )
        typer.echo(f'{target}: {"written" if better else "not written, the identity is better"}')
    if not better:
        raise typer.Exit(1)


def _shortcut_table(rows: 'deque[ShortcutProgress]') -> 'Table':
    from rich.table import Table

    table = Table(title='shortcut: loss while it learns; on held-out clips, and by the identity')
    for column in ('clips', 'updates', 'min', 'rate', 'loss', 'held-out', 'of identity'):
        table.add_column(column, justify='right')
    for row in rows:
        table.add_row(
            str(row.clips),
            str(row.updates),
            f'{row.minutes:.1f}',
            f'{row.lr:.1e}',
            f'{row.loss:.5f}',
            f'{row.score.loss:.5f}' if row.score else '-',
            f'{row.score.ratio:.3f}' if row.score else '-',
        )
    return table
