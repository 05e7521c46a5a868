# SPDX-License-Identifier: Apache-2.0
"""Answers that cross from other threads into the executor's."""

from collections import deque
from contextlib import suppress
from typing import Any

from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.exceptions import InvalidHandle
from rclpy.node import Node
from rclpy.task import Future


class Completions:
    """Resolves futures inside the executor, so that a callback may await another thread's work.

    A future that another thread resolves by itself does not wake the executor.
    """

    def __init__(self, node: Node) -> None:
        """Give the node a guard condition that other threads trigger."""
        self._done: deque[tuple[Future[Any], Any]] = deque()
        self._guard = node.create_guard_condition(self._resolve, ReentrantCallbackGroup())

    def resolve(self, future: Future[Any], result: Any) -> None:
        """Resolve a future, from any thread."""
        self._done.append((future, result))
        # Without the node nobody waits any more.
        with suppress(InvalidHandle):
            self._guard.trigger()

    def _resolve(self) -> None:
        while self._done:
            future, result = self._done.popleft()
            if not future.done():
                future.set_result(result)
