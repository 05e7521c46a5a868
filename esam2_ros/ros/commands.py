# SPDX-License-Identifier: Apache-2.0
"""What services and prompt messages ask of the tracker, and the tickets they wait with."""

from collections.abc import Callable
from dataclasses import dataclass
from dataclasses import field
from pathlib import Path
from threading import Lock
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from std_msgs.msg import Header

from esam2_ros.core.prompts import Prompt
from esam2_ros.policy.config import TrackerConfig
from esam2_ros.policy.results import FrameResult
from esam2_ros.policy.results import TargetState


class Tracker(Protocol):
    """The part of StreamingTracker that the node uses."""

    @property
    def result(self) -> FrameResult | None: ...
    @property
    def target_ids(self) -> tuple[int, ...]: ...
    def configure(self, config: TrackerConfig) -> None: ...
    def step(self, image: NDArray[np.uint8], stamp: int | None = None) -> FrameResult: ...
    def add(self, prompt: Prompt, frame: int | None = None) -> int: ...
    def refine(self, target_id: int, prompt: Prompt, frame: int | None = None) -> None: ...
    def remove(self, target_id: int) -> None: ...
    def reset(self) -> None: ...
    def forget_recent(self) -> None: ...
    def save(self, path: Path) -> tuple[int, ...]: ...
    def load(self, path: Path) -> tuple[int, ...]: ...
    def history_span(self) -> tuple[int | None, int | None] | None: ...


@dataclass(frozen=True)
class PromptCommand:
    """Add a target (id 0) or correct one, on the image with this stamp (0: the newest)."""

    prompt: Prompt
    target_id: int
    stamp: int


@dataclass(frozen=True)
class RemoveCommand:
    """Forget one target."""

    target_id: int


@dataclass(frozen=True)
class ResetCommand:
    """Forget all targets."""


@dataclass(frozen=True)
class SaveCommand:
    """Write all targets to a file."""

    path: Path


@dataclass(frozen=True)
class LoadCommand:
    """Go on tracking the targets of a file."""

    path: Path


Command = PromptCommand | RemoveCommand | ResetCommand | SaveCommand | LoadCommand


@dataclass(frozen=True)
class Outcome:
    """What came of a command; `header` is that of the image it was applied to.

    `target_ids` are those of a file that was written or read.
    """

    success: bool
    message: str = ''
    target_id: int = 0
    target: TargetState | None = None
    header: Header = field(default_factory=Header)
    target_ids: tuple[int, ...] = ()


class Ticket:
    """A command on its way: the worker claims it, or it expires, never both."""

    def __init__(self, command: Command, answer: Callable[[Outcome], None]) -> None:
        """`answer` is called once, from either thread."""
        self.command = command
        self.waits_for = 'the worker is busy with an image'
        self._answer = answer
        self._lock = Lock()
        self._open = True

    @property
    def is_open(self) -> bool:
        """Whether nobody has claimed it and it has not expired."""
        with self._lock:
            return self._open

    def claim(self) -> bool:
        """Take the command for execution; False when it has expired."""
        with self._lock:
            was_open, self._open = self._open, False
            return was_open

    def answer(self, outcome: Outcome) -> None:
        """Answer a claimed command."""
        self._answer(outcome)

    def refuse(self, message: str) -> None:
        """Answer with a refusal, unless the command is claimed."""
        if self.claim():
            self._answer(Outcome(False, message))
