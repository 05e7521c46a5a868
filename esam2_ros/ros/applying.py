# SPDX-License-Identifier: Apache-2.0
"""What a command does to the tracker."""

from std_msgs.msg import Header

from esam2_ros.ros.commands import Command
from esam2_ros.ros.commands import LoadCommand
from esam2_ros.ros.commands import Outcome
from esam2_ros.ros.commands import PromptCommand
from esam2_ros.ros.commands import RemoveCommand
from esam2_ros.ros.commands import SaveCommand
from esam2_ros.ros.commands import Tracker
from esam2_ros.ros.frame_log import FrameLog


def apply(command: Command, tracker: Tracker, frames: FrameLog, header: Header) -> Outcome:
    """Execute a command; `header` is that of the newest image. Raises what the tracker raises."""
    if isinstance(command, PromptCommand):
        return _prompt(command, tracker, frames)
    if isinstance(command, SaveCommand):
        return Outcome(True, header=header, target_ids=tracker.save(command.path))
    if isinstance(command, LoadCommand):
        return Outcome(True, header=header, target_ids=tracker.load(command.path))
    if isinstance(command, RemoveCommand):
        tracker.remove(command.target_id)
        return Outcome(True, target_id=command.target_id, header=header)
    tracker.reset()
    return Outcome(True, header=header)


def _prompt(command: PromptCommand, tracker: Tracker, frames: FrameLog) -> Outcome:
    frame = frames.at(command.stamp) if command.stamp else frames.newest
    index = None if frame is None else frame.index
    message = ''
    if frame is not None and command.stamp not in (0, frame.stamp):
        offset = (frame.stamp - command.stamp) / 1e6
        message = f'that image was dropped; applied to the nearest one, {offset:+.1f} ms'
    target_id = command.target_id
    if target_id:
        tracker.refine(target_id, command.prompt, index)
    else:
        target_id = tracker.add(command.prompt, index)
    result = tracker.result
    return Outcome(
        True,
        message,
        target_id,
        None if result is None else result.target(target_id),
        Header() if frame is None else frame.header,
    )
