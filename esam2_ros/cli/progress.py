# SPDX-License-Identifier: Apache-2.0
"""Progress bars on standard error, so that standard output stays clean."""

from collections.abc import Callable
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn
from rich.progress import MofNCompleteColumn
from rich.progress import Progress
from rich.progress import TextColumn
from rich.progress import TimeRemainingColumn


@contextmanager
def frame_progress() -> Iterator[tuple[Callable[[str, int | None], None], Callable[[], None]]]:
    """A bar over frames: gives a function to (re)start it, and one to call after each frame."""
    columns = (
        TextColumn('{task.description}'),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task('starting', total=None)

        def start(description: str, total: int | None) -> None:
            progress.reset(task, description=description, total=total)

        yield start, lambda: progress.advance(task)
