# SPDX-License-Identifier: Apache-2.0
"""The lifecycle node: its states, and what is connected to what."""

from collections.abc import Callable
from threading import Event
from threading import Lock
from threading import Thread
from time import monotonic
from time import perf_counter
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.msg import SetParametersResult
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.clock import Clock
from rclpy.clock import ClockType
from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.lifecycle import LifecycleNode
from rclpy.lifecycle import LifecycleState
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.qos import HistoryPolicy
from rclpy.qos import QoSProfile
from rclpy.qos import ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions
from rclpy.task import Future
from sensor_msgs.msg import CompressedImage
from sensor_msgs.msg import Image

from esam2_ros.errors import ConfigError
from esam2_ros.errors import Esam2Error
from esam2_ros.msg import PromptArray
from esam2_ros.policy.modes import Mode
from esam2_ros.ros.completions import Completions
from esam2_ros.ros.diagnostics import Diagnostics
from esam2_ros.ros.diagnostics import Record
from esam2_ros.ros.interrupt import InterruptedWorkError
from esam2_ros.ros.loading import LoadedTracker
from esam2_ros.ros.loading import load_tracker
from esam2_ros.ros.mailbox import QUEUE_LENGTH
from esam2_ros.ros.mailbox import Arrival
from esam2_ros.ros.outputs import Outputs
from esam2_ros.ros.parameters import changed
from esam2_ros.ros.parameters import declare
from esam2_ros.ros.parameters import refusal
from esam2_ros.ros.services import Services
from esam2_ros.ros.settings import Settings
from esam2_ros.ros.tracker_settings import tracker_config
from esam2_ros.ros.worker import Worker

Loader = Callable[[Settings, Event], LoadedTracker]


class Esam2Node(LifecycleNode):
    """Images and prompts in; labels, tracks, statistics and events out.

    Transitions run in a thread of their own, so that services answer while a model loads.
    """

    def __init__(self, load: Loader = load_tracker, **arguments: Any) -> None:
        """`load` makes the tracker; `arguments` go to rclpy's Node. Raises ConfigError."""
        super().__init__('esam2', **arguments)
        self._settings = declare(self)
        self.add_on_set_parameters_callback(self._set_parameters)
        self._load = load
        self._stop = Event()
        self._closed = False
        self._record = Record(state='unconfigured', budget_ms=self._settings.latency_ms)
        self._loaded: LoadedTracker | None = None
        self._worker: Worker | None = None
        self._inputs: list[Any] = []
        self._outputs = Outputs(self, lambda: self._settings, self._record)
        self._services_of_ours = Services(self, lambda: self._settings, self._active_worker)
        self._diagnostics = Diagnostics(self._record)
        self._health = self.create_publisher(DiagnosticArray, '/diagnostics', 1)
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(1.0, self._publish_health, clock=steady)
        self._transition = Lock()
        self._threads: list[Thread] = []
        self._completions = Completions(self)
        self._change_state_at_once = self._service_change_state.callback
        self._service_change_state.callback = self._change_state_apart
        self._service_change_state.callback_group = ReentrantCallbackGroup()
        if self._settings.autostart:
            self._apart(self._autostart)

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load the model and warm it up."""
        self._record.state = 'configuring'
        try:
            self._outputs.open_trace(self._settings.trace_path)
            self._loaded = self._load(self._settings, self._stop)
        except Esam2Error as error:
            self.get_logger().error(f'cannot be configured: {error}')
            self._record.state = 'unconfigured'
            return TransitionCallbackReturn.FAILURE
        except InterruptedWorkError:
            return TransitionCallbackReturn.FAILURE
        except Exception as error:
            self.get_logger().error(f'cannot be configured: {error!r}')
            self._record.state = 'unconfigured'
            return TransitionCallbackReturn.FAILURE
        self._worker = Worker(
            self._loaded.tracker, self._outputs, self._settings.queue_policy, self._stop
        )
        self._record.loaded = self._loaded
        self._record.state = 'inactive'
        self.get_logger().info(
            f'{self._loaded.model} on {self._loaded.device}, {self._loaded.image_size} px,'
            f' ready after {self._loaded.seconds:.1f} s'
        )
        return super().on_configure(state)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Start the worker and subscribe."""
        if self._worker is None:
            return TransitionCallbackReturn.FAILURE
        result = super().on_activate(state)
        self._worker.start()
        self._record.activated = monotonic()
        # Whoever sees the subscription may prompt at once.
        self._record.state = 'active'
        self._subscribe()
        return result

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Unsubscribe and stop the worker; targets and memory stay."""
        self._quiet()
        self._record.state = 'inactive'
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Let the model and all memory go."""
        self._drop()
        self._record.state = 'unconfigured'
        return super().on_cleanup(state)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop whatever runs and let it go."""
        self._quiet()
        self._drop()
        self._record.state = 'finalized'
        return super().on_shutdown(state)

    def close(self) -> None:
        """Stop all threads, in the middle of an image or of loading too."""
        self._closed = True
        self._stop.set()
        for thread in self._threads:
            thread.join()
        if self._worker is not None:
            self._worker.stop()
        self._outputs.close_trace()

    def _subscribe(self) -> None:
        compressed = self._settings.image_transport == 'compressed'
        kind, topic = (CompressedImage, 'image/compressed') if compressed else (Image, 'image')
        qos = QoSProfile(
            history=HistoryPolicy.KEEP_LAST,
            depth=1 if self._settings.queue_policy == 'latest' else QUEUE_LENGTH,
            reliability=ReliabilityPolicy.BEST_EFFORT,
        )
        image = self.create_subscription(
            kind,
            topic,
            self._take_image,
            qos,
            event_callbacks=SubscriptionEventCallbacks(incompatible_qos=self._mismatch),
            qos_overriding_options=QoSOverridingOptions.with_default_policies(),
        )
        prompts = self.create_subscription(
            PromptArray,
            'prompts',
            self._services_of_ours.prompts,
            10,
            callback_group=ReentrantCallbackGroup(),
        )
        self._record.topic = image.topic_name
        self._inputs = [image, prompts]

    def _quiet(self) -> None:
        inputs, self._inputs = self._inputs, []
        for each in inputs:
            self.destroy_subscription(each)
        if self._worker is not None:
            self._worker.stop()
        self._stop.clear()

    def _drop(self) -> None:
        self._outputs.close_trace()
        self._worker = self._loaded = None
        self._record.loaded = self._record.result = None
        self._record.stats.clear()

    def _take_image(self, message: Image | CompressedImage) -> None:
        worker = self._worker
        if worker is None:
            return
        self._record.received += 1
        self._record.last_image = monotonic()
        arrival = Arrival(message, self._outputs.age_ms(message.header), perf_counter())
        if not worker.offer(arrival):
            self._record.dropped += 1

    def _mismatch(self, event: Any) -> None:
        self._record.incompatible = event.total_count
        self.get_logger().warning(
            f'a publisher on {self._record.topic} offers an incompatible QoS'
            f' (policy {event.last_policy_kind}): no images from it'
        )

    def _active_worker(self) -> Worker | str:
        if self._worker is None or self._record.state != 'active':
            return f'the node is {self._record.state}; activate it first'
        return self._worker

    def _publish_health(self) -> None:
        if self._inputs:
            self._record.publishers = self.count_publishers(self._record.topic)
        message = DiagnosticArray(status=self._diagnostics.statuses())
        message.header.stamp = self.get_clock().now().to_msg()
        self._health.publish(message)

    def _set_parameters(self, parameters: list[Parameter]) -> SetParametersResult:
        try:
            settings = changed(self._settings, parameters)
            self._configure(settings)
        except ConfigError as error:
            return refusal(error)
        self._settings = settings
        self._record.budget_ms = settings.latency_ms
        return SetParametersResult(successful=True)

    def _configure(self, settings: Settings) -> None:
        """Hand settings to the tracker; ConfigError where it cannot take them now."""
        before, after = tracker_config(self._settings), tracker_config(settings)
        if self._worker is None or before == after:
            return
        rebuilt = before.mode != after.mode and Mode.STOCK in (before.mode, after.mode)
        if rebuilt and self._worker.is_tracking:
            raise ConfigError(
                f'routing.mode cannot go from {before.mode!r} to {after.mode!r} while targets are'
                ' tracked; reset first'
            )
        self._worker.configure(after)

    def _autostart(self) -> None:
        configured = self.trigger_configure() == TransitionCallbackReturn.SUCCESS
        if configured and not self._closed:
            self.trigger_activate()

    async def _change_state_apart(self, request: Any, response: Any) -> Any:
        future: Future[Any] = Future()
        self._apart(
            lambda: self._completions.resolve(future, self._change_state_at_once(request, response))
        )
        return await future

    def _apart(self, work: Callable[[], Any]) -> None:
        """Run a transition in a thread of its own, one after the other."""

        def run() -> None:
            with self._transition:
                if self.context.ok() and not self._closed:
                    work()

        self._threads = [thread for thread in self._threads if thread.is_alive()]
        thread = Thread(target=run, name='esam2 transition', daemon=True)
        self._threads.append(thread)
        thread.start()
