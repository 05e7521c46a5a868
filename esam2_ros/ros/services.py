# SPDX-License-Identifier: Apache-2.0
"""The node's services and its prompt topic. None of them waits inside the executor."""

from collections.abc import Callable
from typing import Any

import numpy as np
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.clock import Clock
from rclpy.clock import ClockType
from rclpy.node import Node
from rclpy.task import Future
from std_srvs.srv import SetBool
from std_srvs.srv import Trigger

from esam2_ros.errors import Esam2Error
from esam2_ros.msg import PromptArray
from esam2_ros.ros.commands import Command
from esam2_ros.ros.commands import LoadCommand
from esam2_ros.ros.commands import Outcome
from esam2_ros.ros.commands import PromptCommand
from esam2_ros.ros.commands import RemoveCommand
from esam2_ros.ros.commands import ResetCommand
from esam2_ros.ros.commands import SaveCommand
from esam2_ros.ros.completions import Completions
from esam2_ros.ros.memory_path import memory_path
from esam2_ros.ros.messages import target_message
from esam2_ros.ros.prompts import to_prompt
from esam2_ros.ros.settings import Settings
from esam2_ros.ros.stamps import nanoseconds
from esam2_ros.ros.worker import Worker
from esam2_ros.srv import AddTarget
from esam2_ros.srv import ListTargets
from esam2_ros.srv import LoadMemory
from esam2_ros.srv import RemoveTarget
from esam2_ros.srv import SaveMemory


class Services:
    """Turns requests into commands for the worker and outcomes into responses."""

    def __init__(
        self,
        node: Node,
        settings: Callable[[], Settings],
        worker: Callable[[], Worker | str],
    ) -> None:
        """`worker` gives the active worker, or the reason why there is none."""
        self._node = node
        self._settings = settings
        self._worker = worker
        self._completions = Completions(node)
        # A callback that awaits must not keep the others of its group waiting.
        self._group = ReentrantCallbackGroup()
        self._steady = Clock(clock_type=ClockType.STEADY_TIME)
        for kind, name, callback in (
            (AddTarget, 'add_target', self._add),
            (RemoveTarget, 'remove_target', self._remove),
            (ListTargets, 'list_targets', self._list),
            (SaveMemory, 'save_memory', self._save),
            (LoadMemory, 'load_memory', self._load),
            (Trigger, 'reset', self._reset),
            (SetBool, 'set_enabled', self._set_enabled),
        ):
            node.create_service(kind, f'~/{name}', callback, callback_group=self._group)

    async def prompts(self, message: PromptArray) -> None:
        """Apply the prompts of a message; a refusal is logged."""
        for prompt in message.prompts:
            outcome = await self._prompt(message.header, prompt)
            if not outcome.success:
                self._node.get_logger().warning(f'prompt refused: {outcome.message}')

    async def _add(self, request: Any, response: Any) -> Any:
        outcome = await self._prompt(request.header, request.prompt)
        response.success, response.message = outcome.success, outcome.message
        response.target_id, response.header = outcome.target_id, outcome.header
        if outcome.target is not None:
            response.score = outcome.target.score
            if outcome.target.box is not None:
                response.box = np.array(outcome.target.box, np.float32)
        return response

    async def _remove(self, request: Any, response: Any) -> Any:
        outcome = await self._run(RemoveCommand(request.target_id))
        response.success, response.message = outcome.success, outcome.message
        return response

    async def _reset(self, request: Any, response: Any) -> Any:
        outcome = await self._run(ResetCommand())
        response.success, response.message = outcome.success, outcome.message
        return response

    async def _save(self, request: Any, response: Any) -> Any:
        return await self._file(SaveCommand, request, response)

    async def _load(self, request: Any, response: Any) -> Any:
        return await self._file(LoadCommand, request, response)

    async def _file(
        self, kind: type[SaveCommand | LoadCommand], request: Any, response: Any
    ) -> Any:
        try:
            path = memory_path(self._settings().memory_directory, request.path)
        except Esam2Error as error:
            response.message = str(error)
            return response
        outcome = await self._run(kind(path))
        response.success, response.message = outcome.success, outcome.message
        response.target_ids = outcome.target_ids
        response.path = str(path) if outcome.success else ''
        return response

    def _list(self, request: Any, response: Any) -> Any:
        worker = self._worker()
        if isinstance(worker, str):
            response.message = worker
            return response
        snapshot = worker.snapshot
        response.success, response.header = True, snapshot.header
        if snapshot.result is not None:
            response.frame_index = snapshot.result.frame_index
            response.targets = [target_message(each) for each in snapshot.result.targets]
        return response

    def _set_enabled(self, request: Any, response: Any) -> Any:
        worker = self._worker()
        if isinstance(worker, str):
            response.message = worker
            return response
        if request.data:
            worker.resume()
        else:
            worker.pause()
        response.success = True
        return response

    async def _prompt(self, header: Any, message: Any) -> Outcome:
        try:
            prompt = to_prompt(message)
        except Esam2Error as error:
            return Outcome(False, str(error))
        return await self._run(PromptCommand(prompt, message.target_id, nanoseconds(header.stamp)))

    async def _run(self, command: Command) -> Outcome:
        """Have the worker execute a command; a refusal when its turn does not come in time."""
        worker = self._worker()
        if isinstance(worker, str):
            return Outcome(False, worker)
        future: Future[Outcome] = Future()
        ticket = worker.submit(command, lambda outcome: self._completions.resolve(future, outcome))
        limit = self._settings().service_timeout_s
        timer = self._node.create_timer(
            limit,
            lambda: ticket.refuse(f'not served within {limit:g} s: {ticket.waits_for}'),
            callback_group=self._group,
            clock=self._steady,
        )
        try:
            outcome = await future
        finally:
            self._node.destroy_timer(timer)
        return outcome or Outcome(False, 'no answer')
