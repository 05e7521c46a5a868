# SPDX-License-Identifier: Apache-2.0
"""Milliseconds of a frame and of its stages, on a CPU or a GPU."""

from collections import defaultdict
from collections.abc import Callable
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import Any

import torch


class FrameClock:
    """Times one frame at a time; a stage is whatever goes through a wrapped call.

    On a GPU the frame's time is from an idle device to an idle device. Stages are then marked
    by events in the stream, so that measuring them makes nobody wait.
    """

    def __init__(self, device: torch.device) -> None:
        """Time work on `device`."""
        self._cuda = device.type == 'cuda'
        self._device = device
        self._marks: list[tuple[str, Any, Any]] = []
        self.total = 0.0

    @contextmanager
    def frame(self) -> Iterator[None]:
        """Time a frame; `total` and `stages` then hold its milliseconds."""
        self._marks.clear()
        self._wait()
        start = perf_counter()
        yield
        self._wait()
        self.total = (perf_counter() - start) * 1e3

    @property
    def stages(self) -> dict[str, float]:
        """Milliseconds of the last frame by stage."""
        spent: defaultdict[str, float] = defaultdict(float)
        for stage, start, end in self._marks:
            spent[stage] += start.elapsed_time(end) if self._cuda else (end - start) * 1e3
        return dict(spent)

    def wrap(self, stage: str, call: Callable[..., Any]) -> Callable[..., Any]:
        """`call`, with its time counted to `stage`."""

        def timed(*arguments: Any, **settings: Any) -> Any:
            start = self._mark()
            result = call(*arguments, **settings)
            self._marks.append((stage, start, self._mark()))
            return result

        return timed

    def _mark(self) -> Any:
        if not self._cuda:
            return perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def _wait(self) -> None:
        if self._cuda:
            torch.cuda.synchronize(self._device)
