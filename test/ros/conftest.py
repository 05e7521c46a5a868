# SPDX-License-Identifier: Apache-2.0
"""A node and a client of it in one process, over real DDS."""

import contextlib
import itertools
import threading
import time
from dataclasses import replace

import cv2
import numpy as np
import pytest
import rclpy
from esam2_ros.msg import Event
from esam2_ros.msg import FrameStats
from esam2_ros.msg import Prompt
from esam2_ros.msg import TrackArray
from esam2_ros.srv import AddTarget
from rclpy.context import Context
from rclpy.executors import ExternalShutdownException
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from esam2_ros.ros.lifecycle import Esam2Node
from esam2_ros.ros.loading import load_tracker
from esam2_ros.ros.messages import image_message


def picture(width=96, height=64):
    """An image message without a header."""
    pixels = np.random.default_rng(0).integers(0, 255, (height, width, 3), np.uint8)
    return image_message(Header(), pixels, 'rgb8')


def scene(seed, width=160, height=120):
    """An image message of soft coloured spots, other ones for each seed."""
    coarse = np.random.default_rng(seed).integers(0, 255, (6, 8, 3), np.uint8)
    pixels = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return image_message(Header(), pixels, 'rgb8')


class SlowTracker:
    """A real tracker whose steps take `seconds` longer."""

    def __init__(self, tracker, seconds):
        self._tracker, self._seconds = tracker, seconds

    def __getattr__(self, name):
        return getattr(self._tracker, name)

    def step(self, image, stamp=None):
        time.sleep(self._seconds)
        return self._tracker.step(image, stamp)


def slow(seconds):
    """A loader of slow trackers."""

    def load(settings, stop):
        loaded = load_tracker(settings, stop)
        return replace(loaded, tracker=SlowTracker(loaded.tracker, seconds))

    return load


class Bench:
    """A node under test and what it published, in a namespace of its own."""

    _numbers = itertools.count()

    def __init__(self, load=load_tracker, namespace=None, **parameters):
        self.context = Context()
        rclpy.init(context=self.context)
        values = {'model.checkpoint': 'random', 'model.image_size': 256, **parameters}
        overrides = [Parameter(name, value=value) for name, value in values.items()]
        namespace = namespace or f'/bench{next(self._numbers)}'
        place = {'context': self.context, 'namespace': namespace}
        self.node = Esam2Node(load, parameter_overrides=overrides, **place)
        self.client = rclpy.create_node('client', **place)
        self.got = {'labels': [], 'tracks': [], 'frame_stats': [], 'events': []}
        for kind, name in (
            (Image, 'labels'),
            (TrackArray, 'tracks'),
            (FrameStats, 'frame_stats'),
            (Event, 'events'),
        ):
            self.client.create_subscription(kind, name, self.got[name].append, 50)
        self.images = self.client.create_publisher(Image, 'image', 1)
        self._executors = [SingleThreadedExecutor(context=self.context) for _ in range(2)]
        self._threads = []
        for executor, node in zip(self._executors, (self.node, self.client), strict=True):
            executor.add_node(node)
            thread = threading.Thread(target=self._spin, args=(executor,))
            thread.start()
            self._threads.append(thread)
        self._stamp = 0

    def _spin(self, executor):
        with contextlib.suppress(ExternalShutdownException):
            executor.spin()

    def wait(self, condition, seconds=15.0):
        """Wait until the condition holds; fail otherwise."""
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, 'waited in vain'
            time.sleep(0.005)

    def ready(self):
        """Wait until the node is active and connected."""
        self.wait(lambda: self.images.get_subscription_count() > 0)
        self.wait(lambda: all(self.node.count_subscribers(topic) > 0 for topic in self.got))
        return self

    def told(self, kinds, among=None):
        """Wait until the events that came, or those `among` these kinds, are of `kinds`."""

        def came():
            seen = [event.kind for event in self.got['events']]
            return [kind for kind in seen if among is None or kind in among]

        with contextlib.suppress(AssertionError):
            self.wait(lambda: came() == kinds, 5.0)
        assert came() == kinds

    def send(self, message=None, stamp=None):
        """Publish an image with the next stamp, or this one in ns."""
        message = picture() if message is None else message
        self._stamp = self._stamp + 33_000_000 if stamp is None else stamp
        message.header.stamp.sec, message.header.stamp.nanosec = divmod(self._stamp, 10**9)
        message.header.frame_id = 'camera'
        self.images.publish(message)
        return message

    def step(self, message=None, stamp=None):
        """Publish an image and wait until all that is told of it came."""
        topics = [self.got[name] for name in ('frame_stats', 'tracks', 'labels')]
        before = [len(each) for each in topics]
        sent = self.send(message, stamp)
        self.wait(
            lambda: all(
                any(message.header == sent.header for message in each[count:])
                for each, count in zip(topics, before, strict=True)
            )
        )
        return sent

    def call(self, kind, name, seconds=15.0, **fields):
        """Call a service of the node."""
        client = self.client.create_client(kind, f'esam2/{name}')
        assert client.wait_for_service(5.0)
        future = client.call_async(kind.Request(**fields))
        self.wait(future.done, seconds)
        return future.result()

    def add_box(self, box=(10.0, 10.0, 50.0, 50.0), target_id=0, header=None):
        """Add or correct a target by a box."""
        prompt = Prompt(kind=Prompt.BOX, box=np.array(box, np.float32), target_id=target_id)
        return self.call(AddTarget, 'add_target', prompt=prompt, header=header or Header())

    def close(self):
        """Stop everything."""
        for executor in self._executors:
            executor.shutdown()
        for thread in self._threads:
            thread.join(10)
        self.node.close()
        self.node.destroy_node()
        self.client.destroy_node()
        rclpy.try_shutdown(context=self.context)


@pytest.fixture
def bench():
    """Make benches; all are closed at the end."""
    made = []

    def make(load=load_tracker, namespace=None, **parameters):
        made.append(Bench(load, namespace, **parameters))
        return made[-1]

    yield make
    for each in made:
        each.close()
