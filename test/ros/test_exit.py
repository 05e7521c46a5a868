# SPDX-License-Identifier: Apache-2.0
"""The program ends with 0 on SIGINT and SIGTERM, whatever it is doing."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import rclpy
from esam2_ros.msg import Prompt
from esam2_ros.msg import TrackArray
from esam2_ros.srv import AddTarget
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from sensor_msgs.msg import Image

from .conftest import picture

# The warm-up and a step with a target take long enough to be hit.
_SLOW = 'model.image_size:=768'
_QUICK = 'model.image_size:=256'


class Process:
    """The program in a process of its own, and a client that sees it from here."""

    def __init__(self, folder, *parameters):
        self._log = folder / 'stderr.txt'
        self._place = f'/process{os.getpid()}_{time.monotonic_ns()}'
        settings = ('model.checkpoint:=random', *parameters)
        command = [sys.executable, '-m', 'esam2_ros.ros.node', '--ros-args', '-r']
        command.append(f'__ns:={self._place}')
        command += [part for each in settings for part in ('-p', each)]
        with self._log.open('w') as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        self.context = Context()
        rclpy.init(context=self.context)
        self.client = rclpy.create_node('client', context=self.context, namespace=self._place)
        self.tracks = []
        self.client.create_subscription(TrackArray, 'tracks', self.tracks.append, 10)
        self.images = self.client.create_publisher(Image, 'image', 1)
        self._executor = SingleThreadedExecutor(context=self.context)
        self._executor.add_node(self.client)

    def wait(self, condition, seconds=30.0):
        """Spin until the condition holds; fail otherwise, also when the program has ended."""
        end = time.monotonic() + seconds
        while not condition():
            assert self.process.poll() is None, self.output()
            assert time.monotonic() < end, self.output()
            self._executor.spin_once(0.01)

    def output(self):
        """What the program has written."""
        return self._log.read_text()

    def idle(self):
        """Wait until it is active."""
        self.wait(lambda: self.images.get_subscription_count() > 0)

    def starting(self):
        """Wait only until it has its signal handlers; the node is still to be made."""
        status = Path(f'/proc/{self.process.pid}/status')

        def handled():
            (caught,) = re.findall(r'SigCgt:\s+(\w+)', status.read_text())
            return int(caught, 16) >> (signal.SIGTERM - 1) & 1

        self.wait(handled)

    def loading(self):
        """Wait until the weights are there and the model warms up."""
        self.wait(lambda: 'random weights' in self.output())
        assert 'ready after' not in self.output()

    def stepping(self):
        """Wait until it is in the middle of an image."""
        self.idle()
        self.wait(lambda: self.images.publish(picture()) or self.tracks)
        adding = self.client.create_client(AddTarget, 'esam2/add_target')
        self.wait(adding.service_is_ready)
        prompt = Prompt(kind=Prompt.BOX, box=np.array((10, 10, 50, 50), np.float32))
        added = adding.call_async(AddTarget.Request(prompt=prompt))
        self.wait(added.done)
        assert added.result().success
        self.take_in()
        self.tracks.clear()
        self.images.publish(picture())
        self.take_in()

    def take_in(self):
        """Receive what was sent."""
        for _ in range(5):
            self._executor.spin_once(0.02)

    def close(self):
        """Leave nothing behind."""
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        self.process.wait()
        self._executor.shutdown()
        self.client.destroy_node()
        rclpy.try_shutdown(context=self.context)


@pytest.fixture
def program(tmp_path):
    """Start programs; the last one is stopped at the end."""
    started = []

    def start(*parameters):
        started.append(Process(tmp_path, *parameters))
        return started[-1]

    yield start
    for each in started:
        each.close()


@pytest.mark.parametrize(
    ('moment', 'number'),
    [
        ('starting', signal.SIGINT),
        ('loading', signal.SIGINT),
        ('loading', signal.SIGTERM),
        ('idle', signal.SIGTERM),
        ('stepping', signal.SIGINT),
        ('stepping', signal.SIGTERM),
    ],
)
def test_a_signal_ends_the_program_with_0(program, moment, number):
    running = program(_QUICK if moment == 'idle' else _SLOW)
    getattr(running, moment)()
    running.process.send_signal(number)
    assert running.process.wait(30.0) == 0, running.output()
    assert 'Traceback' not in running.output()
    assert 'ERROR' not in running.output()
    assert 'Failed' not in running.output()
    running.take_in()
    assert not running.tracks


def test_a_parameter_out_of_range_ends_the_program_with_2(program):
    running = program('tracking.max_targets:=300')
    assert running.process.wait(30.0) == 2
    assert 'max_targets' in running.output()
    assert 'Traceback' not in running.output()
