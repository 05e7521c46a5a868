# SPDX-License-Identifier: Apache-2.0
"""Where a frame's time goes."""

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter

from esam2_ros.policy.results import Timings


class StageClock:
    """Adds up wall time by stage; a stage may be entered many times."""

    def __init__(self) -> None:
        """Start the total."""
        self._start = perf_counter()
        self._spent: defaultdict[str, float] = defaultdict(float)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count the block's time to stage `name`, a field of Timings."""
        start = perf_counter()
        try:
            yield
        finally:
            self._spent[name] += (perf_counter() - start) * 1e3

    def timings(self) -> Timings:
        """What was spent so far, in milliseconds."""
        return Timings(total=(perf_counter() - self._start) * 1e3, **self._spent)
