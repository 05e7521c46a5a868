# SPDX-License-Identifier: Apache-2.0
"""Record what the node publishes to a rosbag2."""

from pathlib import Path
from types import TracebackType

from rosbags.interfaces import Connection
from rosbags.rosbag2 import Writer

from esam2_ros.bags.schema import IMAGE
from esam2_ros.bags.schema import esam2_typestore
from esam2_ros.bags.write import METADATA_VERSION
from esam2_ros.bags.write import STORAGES

RECORDED_TOPICS = {
    'labels': IMAGE,
    'tracks': 'esam2_ros/msg/TrackArray',
    'frame_stats': 'esam2_ros/msg/FrameStats',
    'events': 'esam2_ros/msg/Event',
}


class Recorder:
    """A new bag with the topics of the node, written as the bytes come in.

    The topics stand in it without the namespace of the replay.
    """

    def __init__(self, path: Path, storage: str = 'sqlite3') -> None:
        self._bag = Writer(path, version=METADATA_VERSION, storage_plugin=STORAGES[storage])
        self._connections: dict[str, Connection] = {}

    def __enter__(self) -> 'Recorder':
        self._bag.open()
        store = esam2_typestore()
        for topic, msgtype in RECORDED_TOPICS.items():
            self._connections[topic] = self._bag.add_connection(
                f'/{topic}', msgtype, typestore=store
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # Closed, not dropped, after an error too: what was recorded until then tells why.
        self._bag.close()

    def write(self, topic: str, time_ns: int, cdr: bytes) -> None:
        """Add one serialised message of one of `RECORDED_TOPICS`."""
        self._bag.write(self._connections[topic], time_ns, cdr)
