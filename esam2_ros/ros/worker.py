# SPDX-License-Identifier: Apache-2.0
"""The thread that owns the tracker: it takes images from a mailbox and commands from a queue."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from threading import Condition
from threading import Event
from threading import Thread
from time import perf_counter
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from std_msgs.msg import Header

from esam2_ros.errors import ConfigError
from esam2_ros.errors import Esam2Error
from esam2_ros.policy.config import TrackerConfig
from esam2_ros.policy.results import FrameResult
from esam2_ros.ros.applying import apply
from esam2_ros.ros.commands import Command
from esam2_ros.ros.commands import Outcome
from esam2_ros.ros.commands import PromptCommand
from esam2_ros.ros.commands import Ticket
from esam2_ros.ros.commands import Tracker
from esam2_ros.ros.frame_log import FrameLog
from esam2_ros.ros.frame_log import LoggedFrame
from esam2_ros.ros.images import to_rgb
from esam2_ros.ros.interrupt import InterruptedWorkError
from esam2_ros.ros.mailbox import Arrival
from esam2_ros.ros.mailbox import Mailbox
from esam2_ros.ros.mailbox import Taken
from esam2_ros.ros.mailbox import since
from esam2_ros.ros.stamps import nanoseconds
from esam2_ros.ros.stamps import seconds_text


@dataclass(frozen=True, eq=False)
class ProcessedFrame:
    """A frame that is ready to be published. `started` is monotonic; durations are in ms."""

    arrival: Arrival
    image: NDArray[np.uint8]
    result: FrameResult
    started: float
    queue_ms: float
    decode_ms: float
    dropped: int

    @property
    def header(self) -> Header:
        """The image's header, as it came."""
        header: Header = self.arrival.message.header
        return header


_EARLY = 64  # prompts that may wait for their images


class Sink(Protocol):
    """Where the worker's news go; called in the worker's thread."""

    def frame(self, frame: ProcessedFrame) -> None: ...
    def applied(self, command: Command, outcome: Outcome, newest: 'Snapshot') -> None: ...
    def refused(self, arrival: Arrival, error: Esam2Error) -> None: ...
    def time_jumped(self, header: Header, seconds: float) -> None: ...
    def not_configured(self, error: ConfigError) -> None: ...
    def failed(self, error: Exception) -> None: ...


@dataclass(frozen=True)
class Snapshot:
    """The newest result, commands since then included, and its header."""

    header: Header
    result: FrameResult | None


class Worker:
    """Steps a tracker in a thread of its own; every method may be called from any other."""

    def __init__(
        self, tracker: Tracker, sink: Sink, policy: str = 'latest', stop: Event | None = None
    ) -> None:
        """`policy` is the queue policy; `stop` is set first when the worker has to end."""
        self._tracker = tracker
        self._sink = sink
        self._mailbox = Mailbox(policy)
        self._tickets: deque[Ticket] = deque()
        self._early: list[Ticket] = []  # their images are still to come
        self._frames = FrameLog()
        self._last_stamp = 0
        self._unprocessed = 0
        self._config: TrackerConfig | None = None  # wanted, and not yet handed to the tracker
        self._wake = Condition()
        self._stop = stop or Event()
        self._thread: Thread | None = None
        self.enabled = True
        self.snapshot = Snapshot(Header(), None)

    def start(self) -> None:
        """Start the thread."""
        self._stop.clear()
        self._thread = Thread(target=self._run, name='esam2 worker', daemon=True)
        self._thread.start()

    def stop(self, timeout: float | None = None) -> bool:
        """Stop and join the thread; False when it has not ended in time (seconds)."""
        with self._wake:
            self._stop.set()
            self._wake.notify()
        if self._thread is not None:
            self._thread.join(timeout)
            if self._thread.is_alive():
                return False
            self._thread = None
        for ticket in [*self._tickets, *self._early]:
            ticket.refuse('the node was deactivated')
        self._tickets.clear()
        self._early.clear()
        self._mailbox.clear()
        return True

    def offer(self, arrival: Arrival) -> bool:
        """Hand in an image; False when one was dropped for it. Ignored while paused."""
        if not self.enabled:
            return True
        with self._wake:
            fits = self._mailbox.put(arrival)
            self._wake.notify()
        return fits

    def submit(self, command: Command, answer: Callable[[Outcome], None]) -> Ticket:
        """Queue a command; `answer` gets its outcome."""
        ticket = Ticket(command, answer)
        with self._wake:
            self._tickets.append(ticket)
            self._wake.notify()
        return ticket

    def configure(self, config: TrackerConfig) -> None:
        """Have the tracker go on with other settings, before the next image or command."""
        with self._wake:
            self._config = config
            self._wake.notify()

    @property
    def is_tracking(self) -> bool:
        """Whether there are targets."""
        return bool(self._tracker.target_ids)

    def pause(self) -> None:
        """Take no images until `resume`; targets and memory stay."""
        with self._wake:
            self.enabled = False
            self._mailbox.clear()

    def resume(self) -> None:
        """Take images again."""
        self.enabled = True

    def _run(self) -> None:
        while True:
            with self._wake:
                self._wake.wait_for(
                    lambda: (
                        self._stop.is_set() or self._config or self._tickets or len(self._mailbox)
                    )
                )
                if self._stop.is_set():
                    return
                config, self._config = self._config, None
                tickets = list(self._tickets)
                self._tickets.clear()
                taken = None if tickets else self._mailbox.take()
            try:
                if config is not None:
                    self._configure(config)
                for ticket in tickets:
                    self._serve(ticket)
                if taken is not None:
                    self._process(taken)
            except InterruptedWorkError:
                return
            except Exception as error:  # whatever it is, the next image is another chance
                self._sink.failed(error)

    def _configure(self, config: TrackerConfig) -> None:
        try:
            self._tracker.configure(config)
        except ConfigError as error:
            self._sink.not_configured(error)

    def _process(self, taken: Taken) -> None:
        started = perf_counter()
        arrival = taken.arrival
        header = arrival.message.header
        stamp = nanoseconds(header.stamp)
        self._unprocessed += taken.dropped
        try:
            image = to_rgb(arrival.message)
            decode_ms = since(started)
            self._tracker.check(image)  # a refused image says nothing about time
            if self._last_stamp and 0 < stamp < self._last_stamp:
                self._tracker.forget_recent()
                self._frames.clear()
                self._sink.time_jumped(header, (stamp - self._last_stamp) / 1e9)
            self._last_stamp = stamp
            result = self._tracker.step(image, stamp or None)
        except Esam2Error as error:
            self._unprocessed += 1
            self._sink.refused(arrival, error)
            return
        except Exception:
            self._unprocessed += 1
            raise
        span = self._tracker.history_span()
        self._frames.push(LoggedFrame(result.frame_index, stamp, header), span[0] if span else None)
        self.snapshot = Snapshot(header, result)
        dropped, self._unprocessed = self._unprocessed, 0
        queue_ms = (started - arrival.at) * 1e3
        self._sink.frame(
            ProcessedFrame(arrival, image, result, started, queue_ms, decode_ms, dropped)
        )
        early, self._early = self._early, []
        for ticket in early:
            if ticket.is_open:
                self._serve(ticket)

    def _serve(self, ticket: Ticket) -> None:
        command = ticket.command
        if isinstance(command, PromptCommand) and self._frames.is_ahead(command.stamp):
            newest = self._frames.newest
            ticket.waits_for = (
                f'no image of {seconds_text(command.stamp)} or later has come; the newest is'
                f' {"none" if newest is None else "of " + seconds_text(newest.stamp)}'
            )
            self._early.append(ticket)
            if len(self._early) > _EARLY:
                self._early.pop(0).refuse(ticket.waits_for)
            return
        if not ticket.claim():
            return
        outcome = Outcome(False, 'interrupted')
        try:
            outcome = apply(command, self._tracker, self._frames, self.snapshot.header)
            self.snapshot = Snapshot(self.snapshot.header, self._tracker.result)
        except Esam2Error as error:
            outcome = Outcome(False, str(error))
        except InterruptedWorkError:
            raise
        except Exception as error:
            outcome = Outcome(False, f'internal error: {error!r}')
            self._sink.failed(error)
        finally:
            ticket.answer(outcome)
        if outcome.success:
            self._sink.applied(command, outcome, self.snapshot)
