# SPDX-License-Identifier: Apache-2.0
"""Ctrl-C while messages are handled."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupt:
    """A Ctrl-C or SIGTERM that waits until somebody asks.

    Raised wherever Python happens to be, within a callback or a finaliser, it would get lost.
    """

    def __init__(self) -> None:
        """Nothing has come yet."""
        self._came = False

    def check(self) -> None:
        """Raise KeyboardInterrupt if one came while it was `held`."""
        if self._came:
            raise KeyboardInterrupt

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep signals for `check`; outside the main thread Python leaves them alone anyway."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = [signal.signal(each, self._take) for each in _SIGNALS]
        try:
            yield
        finally:
            for each, handler in zip(_SIGNALS, before, strict=True):
                signal.signal(each, handler)

    def _take(self, number: int, frame: FrameType | None) -> None:
        self._came = True
