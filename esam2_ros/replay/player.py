# SPDX-License-Identifier: Apache-2.0
"""The DDS side of a replay: send images and prompts to the node, take what it publishes."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import rclpy
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import QoSHistoryPolicy
from rclpy.qos import QoSProfile
from rclpy.qos import QoSReliabilityPolicy
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import CompressedImage
from sensor_msgs.msg import Image

from esam2_ros.bags.images import StampedImage
from esam2_ros.bags.images import stamp_of
from esam2_ros.bags.schema import COMPRESSED_IMAGE
from esam2_ros.errors import PromptError
from esam2_ros.msg import Event
from esam2_ros.msg import FrameStats
from esam2_ros.msg import Prompt
from esam2_ros.msg import TrackArray
from esam2_ros.replay.process import ReplayError
from esam2_ros.replay.prompts import ReplayPrompt
from esam2_ros.replay.recorder import RECORDED_TOPICS
from esam2_ros.srv import AddTarget

NODE_NAME = 'esam2'
TYPES = {'labels': Image, 'tracks': TrackArray, 'frame_stats': FrameStats, 'events': Event}
SPIN_SECONDS = 0.05
SETTLE_SECONDS = 2.0
SECOND_NS = 1_000_000_000


def reliable(depth: int) -> QoSProfile:
    """Reliable quality of service that keeps the last `depth` messages."""
    return QoSProfile(
        history=QoSHistoryPolicy.KEEP_LAST,
        depth=depth,
        reliability=QoSReliabilityPolicy.RELIABLE,
    )


@dataclass(frozen=True)
class PromptAnswer:
    """What the node said to a prompt: frame number, id, score and box of the target."""

    frame: int
    target_id: int
    label: str
    score: float
    box: tuple[float, float, float, float]


class Player:
    """Publisher, subscriptions and service client of a replay; use it as a context manager.

    Everything happens in the calling thread: each `wait_*` spins until its answer is there.
    """

    def __init__(
        self,
        namespace: str,
        msgtype: str,
        on_message: Callable[[str, int, bytes], None],
        check_node: Callable[[], None],
        timeout_s: float,
    ) -> None:
        self._check_node = check_node
        self._timeout_s = timeout_s
        self._on_message = on_message
        self._seen: dict[str, int] = {}
        self._sent_at: dict[int, float] = {}
        self.round_trips_ms: list[float] = []
        self._context = Context()
        rclpy.init(context=self._context, signal_handler_options=SignalHandlerOptions.NO)
        self._node = rclpy.create_node(
            'esam2_replay', namespace=namespace, context=self._context, use_global_arguments=False
        )
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)
        compressed = msgtype == COMPRESSED_IMAGE
        self._images = self._node.create_publisher(
            CompressedImage if compressed else Image,
            'image/compressed' if compressed else 'image',
            reliable(5),
        )
        self._client = self._node.create_client(AddTarget, f'{NODE_NAME}/add_target')
        self._lifecycle = self._node.create_client(ChangeState, f'{NODE_NAME}/change_state')
        for topic in RECORDED_TOPICS:
            self._node.create_subscription(
                TYPES[topic], topic, self._receiver(topic), reliable(100), raw=True
            )

    def __enter__(self) -> 'Player':
        return self

    def __exit__(self, *_: object) -> None:
        self._executor.shutdown()
        self._node.destroy_node()
        rclpy.try_shutdown(context=self._context)

    def _receiver(self, topic: str) -> Callable[[bytes], None]:
        def receive(cdr: bytes) -> None:
            stamp = stamp_of(cdr)
            sent_at = self._sent_at.pop(stamp, None) if topic == 'tracks' else None
            if sent_at is not None:
                self.round_trips_ms.append((time.monotonic() - sent_at) * 1000.0)
            self._seen[topic] = stamp
            self._on_message(topic, time.time_ns(), cdr)

        return receive

    def spin(self, seconds: float = SPIN_SECONDS) -> None:
        """Handle what has come, waiting at most so long for it.

        Raises:
            ReplayError: the node has ended.
        """
        self._executor.spin_once(timeout_sec=seconds)
        self._check_node()

    def _wait(self, done: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + self._timeout_s
        while not done():
            self.spin()
            if time.monotonic() > deadline:
                raise ReplayError(f'{what} did not come within {self._timeout_s:g} s')

    def start_node(self) -> None:
        """Configure and activate the node, and wait until it takes images and prompts.

        Raises:
            ReplayError: the node has ended, refuses, or is not ready in time.
        """
        self._wait(self._lifecycle.service_is_ready, 'the node')
        self._change_state(Transition.TRANSITION_CONFIGURE, 'configured')
        self._change_state(Transition.TRANSITION_ACTIVATE, 'activated')

        def ready() -> bool:
            return (
                self._images.get_subscription_count() > 0
                and self._client.service_is_ready()
                and all(self._node.count_publishers(topic) > 0 for topic in RECORDED_TOPICS)
            )

        self._wait(ready, 'an active node')

    def _change_state(self, transition: int, what: str) -> None:
        request = ChangeState.Request(transition=Transition(id=transition))
        future = self._lifecycle.call_async(request)
        self._wait(future.done, f'a node that is {what}')
        if not future.result().success:
            raise ReplayError(f'the node cannot be {what}')

    def send(self, image: StampedImage) -> None:
        """Publish one image as the bytes that were recorded."""
        self._seen.pop('tracks', None)
        self._sent_at[image.stamp_ns] = time.monotonic()
        self._images.publish(image.cdr)

    def wait_tracks(self, image: StampedImage) -> None:
        """Wait until the node has published the tracks of this image.

        Raises:
            ReplayError: the node has ended, or has not answered in time.
        """
        self._wait(
            lambda: self._seen.get('tracks') == image.stamp_ns,
            f'the answer to frame {image.index} (stamp {image.stamp_ns / SECOND_NS:.9f} s)',
        )

    def wait_until(self, moment: float) -> None:
        """Handle messages until `time.monotonic()` reaches this moment."""
        while (left := moment - time.monotonic()) > 0:
            self.spin(min(left, SPIN_SECONDS))

    def settle(self) -> None:
        """Give the last messages a moment: stop once labels, tracks and statistics agree."""
        end = time.monotonic() + SETTLE_SECONDS
        while time.monotonic() < end:
            last = {self._seen.get(topic) for topic in ('labels', 'tracks', 'frame_stats')}
            if len(last) == 1 and None not in last:
                return
            self.spin()

    def prompt(self, prompt: ReplayPrompt, image: StampedImage) -> PromptAnswer:
        """Send a prompt, stamped with the image it was drawn on, and wait for the answer.

        Raises:
            PromptError: the node refused it.
            ReplayError: the node has ended, or has not answered in time.
        """
        future = self._client.call_async(prompt_request(prompt, image))
        self._wait(future.done, f'the answer to the prompt on frame {image.index}')
        answer = future.result()
        if not answer.success:
            raise PromptError(
                f'the node refused the prompt on frame {image.index}: {answer.message}'
            )
        left, top, right, bottom = (float(value) for value in answer.box)
        return PromptAnswer(
            frame=image.index,
            target_id=answer.target_id,
            label=prompt.label,
            score=float(answer.score),
            box=(left, top, right, bottom),
        )


def prompt_request(prompt: ReplayPrompt, image: StampedImage) -> AddTarget.Request:
    """Service request of a prompt that was drawn on this image."""
    request = AddTarget.Request()
    request.header.stamp.sec, request.header.stamp.nanosec = divmod(image.stamp_ns, SECOND_NS)
    message = request.prompt
    message.target_id = prompt.target_id
    message.label = prompt.label
    message.kind = Prompt.POINTS
    message.points_x = [x for x, _ in prompt.points]
    message.points_y = [y for _, y in prompt.points]
    message.point_labels = list(prompt.point_labels)
    if prompt.box is not None:
        message.kind = Prompt.BOX
        message.box = list(prompt.box)
    if prompt.mask is not None:
        message.kind = Prompt.MASK
        message.mask.height, message.mask.width = prompt.mask.shape
        message.mask.encoding = 'mono8'
        message.mask.step = prompt.mask.shape[1]
        message.mask.data.frombytes(prompt.mask.astype('uint8').tobytes())
    return request
