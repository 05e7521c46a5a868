# SPDX-License-Identifier: Apache-2.0
"""Progress bars on standard error, so that standard output stays clean."""

from collections.abc import Callable
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn
from rich.progress import MofNCompleteColumn
from rich.progress import Progress
from rich.progress import ProgressColumn
from rich.progress import TextColumn
from rich.progress import TimeRemainingColumn


@contextmanager
def frame_progress() -> Iterator[tuple[Callable[[str, int | None], None], Callable[[], None]]]:
    """A bar over frames: gives a function to (re)start it, and one to call after each frame."""
    with _bars(Console(stderr=True)) as progress:
        task = progress.add_task('starting', total=None)

        def start(description: str, total: int | None) -> None:
            progress.reset(task, description=description, total=total)

        yield start, lambda: progress.advance(task)


@contextmanager
def named_progress(total: int, unit: str) -> Iterator[Callable[[str, int], None]]:
    """A bar over `total` units: gives a function to call with what is being done and its units.

    Nothing is drawn where standard error is no terminal.
    """
    console = Console(stderr=True)
    with _bars(console, TextColumn(unit), hidden=not console.is_terminal) as progress:
        task = progress.add_task('', total=total)
        yield lambda name, done: progress.update(task, advance=done, description=name)


def _bars(console: Console, *more: ProgressColumn, hidden: bool = False) -> Progress:
    return Progress(
        TextColumn('{task.description}'),
        BarColumn(),
        MofNCompleteColumn(),
        *more,
        TimeRemainingColumn(),
        console=console,
        disable=hidden,
    )
