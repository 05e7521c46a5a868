# SPDX-License-Identifier: Apache-2.0
"""Read any rosbag2: sqlite3 or mcap, zstd, with or without its metadata.yaml."""

import logging
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType

from rosbags.rosbag2 import Reader

from esam2_ros.bags.schema import IMAGE_TYPES
from esam2_ros.bags.schema import TRUTH_TOPIC
from esam2_ros.bags.schema import full_type
from esam2_ros.errors import BagError

try:
    from compression import zstd
except ModuleNotFoundError:
    from backports import zstd

logger = logging.getLogger(__name__)

STORAGE_SUFFIXES = ('.db3', '.mcap', '.db3.zstd', '.mcap.zstd')
ZSTD_MAGIC = b'\x28\xb5\x2f\xfd'


@dataclass(frozen=True)
class Topic:
    """A topic of a bag: its name, full type name and number of messages."""

    name: str
    msgtype: str
    count: int


@dataclass(frozen=True)
class BagMessage:
    """One message as it was recorded: topic, full type, record time in ns, serialised bytes."""

    topic: str
    msgtype: str
    time_ns: int
    cdr: bytes


class BagReader:
    """An open bag; use it as a context manager.

    Raises:
        BagError: the bag is missing, or is not one, or is corrupt.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stack = ExitStack()
        self._readers: list[Reader] = []
        self.topics: tuple[Topic, ...] = ()

    def __enter__(self) -> 'BagReader':
        if not self.path.exists():
            raise BagError(f'bag {self.path} does not exist')
        try:
            for part in self._parts():
                self._readers.append(self._stack.enter_context(Reader(part)))
            self.topics = self._find_topics()
        except BagError:
            self._stack.close()
            raise
        # A damaged file shows as any error of the parser: struct, sqlite, zstd, Unicode, ...
        except Exception as error:
            self._stack.close()
            raise BagError(f'bag {self.path} cannot be read: {_reason(error)}') from error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def messages(self, *topics: str) -> Iterator[BagMessage]:
        """Messages of these topics, in the order of recording.

        Raises:
            BagError: the bag is damaged further in.
        """
        try:
            for reader in self._readers:
                connections = [item for item in reader.connections if item.topic in topics]
                if not connections:
                    continue
                for connection, time_ns, data in reader.messages(connections):
                    # Without metadata.yaml nothing says that messages are compressed; serialised
                    # data starts with 0 and cannot be mistaken for it.
                    cdr = zstd.decompress(data) if data[:4] == ZSTD_MAGIC else bytes(data)
                    yield BagMessage(connection.topic, full_type(connection.msgtype), time_ns, cdr)
        except (GeneratorExit, KeyboardInterrupt):
            raise
        except Exception as error:
            raise BagError(f'bag {self.path} is damaged: {_reason(error)}') from error

    def _parts(self) -> list[Path]:
        if self.path.is_dir() and (self.path / 'metadata.yaml').exists():
            return [self.path]
        if self.path.is_file():
            files = [self.path]
        else:
            files = sorted(item for item in self.path.iterdir() if _is_storage(item))
            logger.info('%s has no metadata.yaml; reading its files', self.path)
        if not files or not all(_is_storage(item) for item in files):
            raise BagError(
                f'{self.path} is not a rosbag2; allowed: a folder with metadata.yaml, or files '
                f'that end in {" ".join(STORAGE_SUFFIXES)}'
            )
        return [self._plain(item) for item in files]

    def _plain(self, path: Path) -> Path:
        if path.suffix != '.zstd':
            return path
        folder = Path(self._stack.enter_context(TemporaryDirectory(prefix='esam2_bag_')))
        with zstd.open(path, 'rb') as packed, (folder / path.stem).open('wb') as plain:
            shutil.copyfileobj(packed, plain)
        return folder / path.stem

    def _find_topics(self) -> tuple[Topic, ...]:
        topics: dict[str, Topic] = {}
        for reader in self._readers:
            for item in reader.connections:
                before = topics[item.topic].count if item.topic in topics else 0
                topics[item.topic] = Topic(
                    item.topic, full_type(item.msgtype), before + item.msgcount
                )
        return tuple(topics[name] for name in sorted(topics))

    def image_topic(self, name: str | None = None) -> Topic:
        """The image topic to use: the named one, or the only one.

        Raises:
            BagError: no such topic, not of an image type, without messages, or a choice to make.
        """
        if name is not None:
            return self._named(name)
        images = [
            topic
            for topic in self.topics
            if topic.msgtype in IMAGE_TYPES and topic.count and topic.name != TRUTH_TOPIC
        ]
        if not images:
            raise BagError(f'bag {self.path} has no images; its topics: {_listed(self.topics)}')
        if len(images) > 1:
            raise BagError(
                f'bag {self.path} has {len(images)} image topics; name one with --topic: '
                f'{_listed(images)}'
            )
        return images[0]

    def _named(self, name: str) -> Topic:
        topic = next((topic for topic in self.topics if topic.name == name), None)
        if topic is None:
            raise BagError(
                f'bag {self.path} has no topic {name}; its topics: {_listed(self.topics)}'
            )
        if topic.msgtype not in IMAGE_TYPES:
            raise BagError(
                f'topic {name} of {self.path} is {topic.msgtype}; allowed: {", ".join(IMAGE_TYPES)}'
            )
        if topic.count == 0:
            raise BagError(f'topic {name} of {self.path} holds no message')
        return topic


def _is_storage(path: Path) -> bool:
    return path.name.endswith(STORAGE_SUFFIXES)


def _listed(topics: tuple[Topic, ...] | list[Topic]) -> str:
    return ', '.join(f'{t.name} ({t.msgtype}, {t.count})' for t in topics) or 'none'


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__
