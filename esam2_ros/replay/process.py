# SPDX-License-Identifier: Apache-2.0
"""The node under replay, as a process of its own."""

import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from dataclasses import field
from pathlib import Path
from typing import Any

import yaml

from esam2_ros.bags.share import share_path

TAIL_LINES = 20
STOP_SECONDS = 30.0


class ReplayError(RuntimeError):
    """The replay did not come to its end: the node died, or did not answer in time."""


@dataclass(frozen=True)
class NodeOptions:
    """How the node is started; None and '' leave its default."""

    namespace: str
    paced: bool = True
    compressed: bool = False
    model: str = ''
    checkpoint: str = ''
    image_size: int | None = None
    device: str = ''
    params_file: Path | None = None
    extra: dict[str, Any] = field(default_factory=dict)

    def parameters(self) -> dict[str, Any]:
        """Parameters that the replay sets, nested by the dots of their names."""
        given = {
            'name': self.model,
            'checkpoint': self.checkpoint,
            'image_size': self.image_size,
            'device': self.device,
        }
        model = {key: value for key, value in given.items() if value}
        # A dependable image topic: a frame that DDS loses would look like one that the node
        # dropped.
        reliable = {f'{self.namespace}/{self.image_topic}': {'subscription': _RELIABLE}}
        return {
            'queue_policy': 'all' if self.paced else 'latest',
            'image_transport': 'compressed' if self.compressed else 'raw',
            # The player changes the node's state itself: so it is told when that fails.
            'autostart': False,
            # ROS 2 cannot read an empty map.
            **({'model': model} if model else {}),
            'qos_overrides': reliable,
            **self.extra,
        }

    @property
    def image_topic(self) -> str:
        """Topic that the node reads, without its namespace."""
        return 'image/compressed' if self.compressed else 'image'


_RELIABLE = {'reliability': 'reliable'}


def middleware_environment() -> dict[str, str]:
    """Variables that let large images through Fast DDS; what the user has set stays.

    Stock Fast DDS loses raw images above its 512 KiB shared-memory segment.
    """
    profile = str(share_path('config/fastdds_shm.xml'))
    wanted = {
        'FASTDDS_DEFAULT_PROFILES_FILE': profile,
        'FASTRTPS_DEFAULT_PROFILES_FILE': profile,
        'ROS_AUTOMATIC_DISCOVERY_RANGE': 'SYSTEM_DEFAULT',
    }
    return {key: os.environ.get(key, value) for key, value in wanted.items()}


# Keeps glibc from giving each image's pages back to the kernel; it is read as Python starts.
ALLOCATOR = {
    'MALLOC_MMAP_THRESHOLD_': '268435456',
    'MALLOC_TRIM_THRESHOLD_': '536870912',
    'MALLOC_TOP_PAD_': '33554432',
}


class NodeProcess:
    """Start the node, watch it, and stop it as a person would: with SIGINT."""

    def __init__(self, options: NodeOptions, params: Path, log_path: Path) -> None:
        self.log_path = log_path
        params.write_text(yaml.safe_dump({'/**': {'ros__parameters': options.parameters()}}))
        command = [sys.executable, '-m', 'esam2_ros.ros.node', '--ros-args']
        command += ['-r', f'__ns:={options.namespace}']
        for path in filter(None, (options.params_file, params)):
            command += ['--params-file', str(path)]
        with self.log_path.open('wb') as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **ALLOCATOR, **middleware_environment()},
                # Ctrl-C goes to the whole terminal group; the player decides when the node ends.
                start_new_session=True,
            )

    def check(self) -> None:
        """Raise ReplayError when the node has ended."""
        code = self._process.poll()
        if code is not None:
            raise ReplayError(f'the node ended with exit code {code}')

    def tail(self) -> str:
        """The last lines of the node's log, for an error message."""
        lines = self.log_path.read_text(errors='replace').splitlines()[-TAIL_LINES:]
        return f'the end of {self.log_path}:\n' + '\n'.join(lines)

    def stop(self) -> int:
        """SIGINT, wait, and SIGKILL only after `STOP_SECONDS`; the exit code."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
        return self._process.wait()
