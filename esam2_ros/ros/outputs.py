# SPDX-License-Identifier: Apache-2.0
"""Everything the node publishes of frames and commands; called in the worker's thread."""

from collections.abc import Callable

from rclpy.lifecycle import LifecycleNode
from rclpy.qos_overriding_options import QoSOverridingOptions
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from esam2_ros.errors import ConfigError
from esam2_ros.errors import Esam2Error
from esam2_ros.errors import ImageSizeError
from esam2_ros.errors import TraceError
from esam2_ros.msg import Event
from esam2_ros.msg import FrameStats
from esam2_ros.msg import TrackArray
from esam2_ros.policy.events import EventKind
from esam2_ros.policy.events import TrackerEvent
from esam2_ros.policy.results import FrameResult
from esam2_ros.ros.commands import Command
from esam2_ros.ros.commands import LoadCommand
from esam2_ros.ros.commands import Outcome
from esam2_ros.ros.commands import PromptCommand
from esam2_ros.ros.commands import RemoveCommand
from esam2_ros.ros.commands import ResetCommand
from esam2_ros.ros.diagnostics import Record
from esam2_ros.ros.events import event_message
from esam2_ros.ros.mailbox import Arrival
from esam2_ros.ros.mailbox import since
from esam2_ros.ros.messages import Passage
from esam2_ros.ros.messages import image_message
from esam2_ros.ros.messages import labels_message
from esam2_ros.ros.messages import stats_message
from esam2_ros.ros.messages import tracks_message
from esam2_ros.ros.settings import Settings
from esam2_ros.ros.stamps import nanoseconds
from esam2_ros.ros.worker import ProcessedFrame
from esam2_ros.ros.worker import Snapshot
from esam2_ros.trace import TracedFrame
from esam2_ros.trace import TraceWriter


class Outputs:
    """The node's publishers, and the worker's Sink."""

    def __init__(
        self, node: LifecycleNode, settings: Callable[[], Settings], record: Record
    ) -> None:
        """Create the publishers; `settings` gives the current ones, `record` is for diagnostics."""
        self._node = node
        self._settings = settings
        self._record = record
        self._trace: TraceWriter | None = None
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
        self._publish_targets(header, result)
        if settings.overlay and self._overlay.get_subscription_count():
            from esam2_ros.overlay import draw_overlay

            plan = result.plan if settings.overlay_windows else None
            picture = draw_overlay(frame.image, result.targets, plan)
            self._publish(self._overlay, image_message(header, picture, 'rgb8'))
        for each in result.events:
            self._tell(header, each)
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
        self._record.frame(result, stats)
        self._write_trace(result)
        self._publish(self._stats, stats)

    def applied(self, command: Command, outcome: Outcome, newest: Snapshot) -> None:
        """Publish what a command changed; after a prompt also the newest image's result again."""
        header, target_id = outcome.header, outcome.target_id
        score = 0.0 if outcome.target is None else outcome.target.score
        if isinstance(command, PromptCommand) and not command.target_id:
            added = TrackerEvent(EventKind.TARGET_ADDED, target_id, score, command.prompt.label)
            self._tell(header, added)
        elif isinstance(command, LoadCommand):
            for each in outcome.target_ids:
                text = f'from {command.path.name}'
                self._tell(header, TrackerEvent(EventKind.TARGET_ADDED, each, text=text))
        elif isinstance(command, RemoveCommand):
            self._tell(header, TrackerEvent(EventKind.TARGET_REMOVED, target_id))
        elif isinstance(command, ResetCommand):
            text = 'all targets were removed'
            self._tell(header, TrackerEvent(EventKind.RESET, text=text))
        if isinstance(command, PromptCommand) and newest.result is not None:
            self._publish_targets(newest.header, newest.result)

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
            changed = TrackerEvent(EventKind.IMAGE_SIZE_CHANGED, text=str(error))
            self._tell(arrival.message.header, changed)

    def time_jumped(self, header: Header, seconds: float) -> None:
        """Tell of a stamp that lies before the one before it."""
        text = f'the stamp went back by {-seconds:.3f} s; recent frames are forgotten'
        self._node.get_logger().warning(text)
        self._tell(header, TrackerEvent(EventKind.TIME_JUMP, value=seconds, text=text))

    def not_configured(self, error: ConfigError) -> None:
        """Tell of settings that the tracker did not take; it goes on with those before."""
        self._node.get_logger().error(f'the tracker keeps its settings: {error}')

    def failed(self, error: Exception) -> None:
        """Tell of a defect; the node goes on with the next image."""
        self._node.get_logger().error(f'internal error: {error!r}', throttle_duration_sec=1.0)

    def age_ms(self, header: Header) -> float:
        """How old an image is by the node's clock; 0 for one without a stamp."""
        stamp = nanoseconds(header.stamp)
        return (self._node.get_clock().now().nanoseconds - stamp) / 1e6 if stamp else 0.0

    def open_trace(self, path: str) -> None:
        """Write a trace from now on; none for an empty path. Raises TraceError."""
        self.close_trace()
        self._trace = TraceWriter(path) if path else None

    def close_trace(self) -> None:
        """Write no trace any more."""
        if self._trace is not None:
            self._trace.close()
        self._trace = None

    def _write_trace(self, result: FrameResult) -> None:
        if self._trace is None:
            return
        try:
            self._trace.write(TracedFrame.of(result))
        except TraceError as error:
            self._node.get_logger().error(f'{error}; it ends here')
            self.close_trace()

    def _publish_targets(self, header: Header, result: FrameResult) -> None:
        encoding = self._settings().label_encoding
        self._publish(self._labels, labels_message(header, result, encoding))
        self._publish(self._tracks, tracks_message(header, result))

    def _tell(self, header: Header, event: TrackerEvent) -> None:
        self._record.events[event.kind.name] += 1
        self._publish(self._events, event_message(header, event))

    def _publish(self, publisher, message) -> None:  # noqa: ANN001
        if self._node.context.ok():
            publisher.publish(message)
