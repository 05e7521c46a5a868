# SPDX-License-Identifier: Apache-2.0
"""Everything the node publishes of frames and commands; called in the worker's thread."""

from collections.abc import Callable

from rclpy.lifecycle import LifecycleNode
from rclpy.qos_overriding_options import QoSOverridingOptions
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from esam2_ros.errors import Esam2Error
from esam2_ros.errors import ImageSizeError
from esam2_ros.msg import Event
from esam2_ros.msg import FrameStats
from esam2_ros.msg import TrackArray
from esam2_ros.ros.commands import Command
from esam2_ros.ros.commands import Outcome
from esam2_ros.ros.commands import PromptCommand
from esam2_ros.ros.commands import RemoveCommand
from esam2_ros.ros.diagnostics import Record
from esam2_ros.ros.events import StateWatch
from esam2_ros.ros.events import event
from esam2_ros.ros.mailbox import Arrival
from esam2_ros.ros.mailbox import since
from esam2_ros.ros.messages import Passage
from esam2_ros.ros.messages import image_message
from esam2_ros.ros.messages import labels_message
from esam2_ros.ros.messages import stats_message
from esam2_ros.ros.messages import tracks_message
from esam2_ros.ros.parameters import Settings
from esam2_ros.ros.stamps import nanoseconds
from esam2_ros.ros.worker import ProcessedFrame


class Outputs:
    """The node's publishers, and the worker's Sink."""

    def __init__(
        self, node: LifecycleNode, settings: Callable[[], Settings], record: Record
    ) -> None:
        """Create the publishers; `settings` gives the current ones, `record` is for diagnostics."""
        self._node = node
        self._settings = settings
        self._record = record
        self._watch = StateWatch()
        self._refused_size = ''

        def publisher(kind: type, topic: str, depth: int):  # noqa: ANN202
            return node.create_lifecycle_publisher(
                kind,
                topic,
                depth,
                qos_overriding_options=QoSOverridingOptions.with_default_policies(),
            )

        self._labels = publisher(Image, 'labels', 5)
        self._tracks = publisher(TrackArray, 'tracks', 5)
        self._stats = publisher(FrameStats, 'frame_stats', 5)
        self._events = publisher(Event, 'events', 50)
        self._overlay = publisher(Image, 'overlay', 1)

    def frame(self, frame: ProcessedFrame) -> None:
        """Publish a frame: labels, tracks, overlay where somebody looks, events, statistics."""
        settings = self._settings()
        header, result = frame.header, frame.result
        ready = since(frame.started)
        self._publish(self._labels, labels_message(header, result, settings.label_encoding))
        self._publish(self._tracks, tracks_message(header, result))
        if settings.overlay and self._overlay.get_subscription_count():
            from esam2_ros.overlay import draw_overlay

            picture = draw_overlay(frame.image, result.targets)
            self._publish(self._overlay, image_message(header, picture, 'rgb8'))
        for each in self._watch.changes(header, result):
            self._publish(self._events, each)
        total = since(frame.started)
        passage = Passage(
            age_on_arrival=frame.arrival.age_ms,
            queue=frame.queue_ms,
            decode=frame.decode_ms,
            publish=total - ready,
            total=total,
            end_to_end=self.age_ms(header),
            dropped_since_last=frame.dropped,
        )
        stats = stats_message(header, result, passage)
        self._publish(self._stats, stats)
        self._record.frame(result, stats)

    def applied(self, command: Command, outcome: Outcome) -> None:
        """Publish what a command changed."""
        header, target_id = outcome.header, outcome.target_id
        if isinstance(command, PromptCommand):
            if command.target_id:
                return
            kind, text = Event.TARGET_ADDED, command.prompt.label
        elif isinstance(command, RemoveCommand):
            kind, text = Event.TARGET_REMOVED, ''
        else:
            kind, text = Event.RESET, 'all targets were removed'
        score = 0.0 if outcome.target is None else outcome.target.score
        self._publish(self._events, event(header, kind, text, target_id, score))

    def refused(self, arrival: Arrival, error: Esam2Error) -> None:
        """Tell of an image that could not be used."""
        self._record.refusal = str(error)
        self._record.refused += 1
        self._node.get_logger().error(
            f'image on {self._record.topic} refused: {error}', throttle_duration_sec=1.0
        )
        # Once for each size, not for each image of it.
        if isinstance(error, ImageSizeError) and str(error) != self._refused_size:
            self._refused_size = str(error)
            header = arrival.message.header
            self._publish(self._events, event(header, Event.IMAGE_SIZE_CHANGED, str(error)))

    def time_jumped(self, header: Header, seconds: float) -> None:
        """Tell of a stamp that lies before the one before it."""
        text = f'the stamp went back by {-seconds:.3f} s; recent frames are forgotten'
        self._node.get_logger().warning(text)
        self._publish(self._events, event(header, Event.TIME_JUMP, text, value=seconds))

    def failed(self, error: Exception) -> None:
        """Tell of a defect; the node goes on with the next image."""
        self._node.get_logger().error(f'internal error: {error!r}', throttle_duration_sec=1.0)

    def age_ms(self, header: Header) -> float:
        """How old an image is by the node's clock; 0 for one without a stamp."""
        stamp = nanoseconds(header.stamp)
        return (self._node.get_clock().now().nanoseconds - stamp) / 1e6 if stamp else 0.0

    def _publish(self, publisher, message) -> None:  # noqa: ANN001
        if self._node.context.ok():
            publisher.publish(message)
