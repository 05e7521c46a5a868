# SPDX-License-Identifier: Apache-2.0
"""When each image and each prompt is sent."""

import time
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from contextlib import contextmanager

from esam2_ros.bags.images import StampedImage
from esam2_ros.replay.log import ReplayLog
from esam2_ros.replay.player import Player
from esam2_ros.replay.prompts import ReplayPrompt

SECOND_NS = 1_000_000_000


class Clock:
    """When frames are due, on the monotonic clock; pauses do not count.

    `rate` is the speed as a multiple of the recording's, None for "at once".
    """

    def __init__(self, rate: float | None) -> None:
        self._rate = rate
        self._began = self._start = time.monotonic()
        self._first_ns: int | None = None

    def due(self, time_ns: int) -> float:
        """Moment for a frame with this record time, as of `time.monotonic()`."""
        if self._rate is None:
            return self._start
        if self._first_ns is None:
            self._first_ns, self._start = time_ns, time.monotonic()
        return self._start + (time_ns - self._first_ns) / SECOND_NS / self._rate

    def elapsed(self) -> float:
        """Seconds since the beginning, pauses included."""
        return time.monotonic() - self._began

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Let the recording's clock stand still."""
        began = time.monotonic()
        yield
        self._start += time.monotonic() - began


def play(
    player: Player,
    images: Iterable[StampedImage],
    prompts: Iterable[ReplayPrompt],
    rate: float | None,
    log: ReplayLog,
    on_frame: Callable[[], None],
) -> None:
    """Send every image when it is due, and each prompt once its image has been processed.

    Without a rate the next image follows the tracks of the one before, so none is dropped. At a
    rate the recording stands still while a prompt is given, so that its image is not dropped.

    Raises:
        PromptError: the node refused a prompt.
        ReplayError: the node has ended, or has not answered in time.
    """
    by_frame: dict[int, list[ReplayPrompt]] = {}
    for prompt in prompts:
        by_frame.setdefault(prompt.at, []).append(prompt)
    clock = Clock(rate)
    last: StampedImage | None = None
    for image in images:
        if last is not None and (rate is None or image.index in by_frame):
            with clock.paused():
                player.wait_tracks(last)
        player.wait_until(clock.due(image.time_ns))
        player.send(image)
        log.sent += 1
        log.restamped += image.restamped
        with clock.paused():
            _give(player, by_frame.get(image.index, []), image, log)
        last = image
        log.seconds = clock.elapsed()
        on_frame()
    if last is not None:
        player.wait_tracks(last)
        log.seconds = clock.elapsed()
        player.settle()


def _give(player: Player, prompts: list[ReplayPrompt], image: StampedImage, log: ReplayLog) -> None:
    if prompts:
        player.wait_tracks(image)
    for prompt in prompts:
        log.prompts.append((prompt, player.prompt(prompt, image)))
