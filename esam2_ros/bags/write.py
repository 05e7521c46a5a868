# SPDX-License-Identifier: Apache-2.0
"""Write frames to a rosbag2."""

import re
import shutil
from collections.abc import Callable
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from rosbags.interfaces import Connection
from rosbags.rosbag2 import StoragePlugin
from rosbags.rosbag2 import Writer

from esam2_ros.bags.frames import Frame
from esam2_ros.bags.schema import COMPRESSED_IMAGE
from esam2_ros.bags.schema import IMAGE
from esam2_ros.bags.schema import TRUTH_TOPIC
from esam2_ros.bags.schema import typestore
from esam2_ros.errors import BagError

STORAGES = {'sqlite3': StoragePlugin.SQLITE3, 'mcap': StoragePlugin.MCAP}
ENCODINGS = ('rgb8', 'bgr8')
COMPRESSIONS = ('none', 'jpeg', 'png')
METADATA_VERSION = 9
JPEG_QUALITY = 95
# The first stamp is not zero: a zero stamp means "the newest image" to the node.
FIRST_STAMP_NS = 1_000_000_000
SECOND_NS = 1_000_000_000
TOPIC_NAME = re.compile(r'(/[A-Za-z_][A-Za-z0-9_]*)+')


@dataclass(frozen=True)
class BagOptions:
    """How frames are put in a bag: the tables above hold what is allowed.

    Raises:
        BagError: a value that is not allowed.
    """

    fps: float = 30.0
    topic: str = '/image'
    frame_id: str = 'camera'
    storage: str = 'sqlite3'
    encoding: str = 'rgb8'
    compression: str = 'none'

    def __post_init__(self) -> None:
        if not (np.isfinite(self.fps) and 0.0 < self.fps <= 1000.0):
            raise BagError(f'fps is {self.fps}; allowed: above 0 and up to 1000')
        for name, value, allowed in (
            ('storage', self.storage, tuple(STORAGES)),
            ('encoding', self.encoding, ENCODINGS),
            ('compression', self.compression, COMPRESSIONS),
        ):
            if value not in allowed:
                raise BagError(f'{name} is {value!r}; allowed: {", ".join(allowed)}')
        if not TOPIC_NAME.fullmatch(self.topic) or self.topic == TRUTH_TOPIC:
            raise BagError(
                f'topic is {self.topic!r}; allowed: an absolute name such as /camera/image, '
                f'and not {TRUTH_TOPIC}'
            )

    def stamp_ns(self, index: int) -> int:
        """Stamp of a frame in nanoseconds."""
        return FIRST_STAMP_NS + round(index * SECOND_NS / self.fps)


@dataclass(frozen=True)
class BagReport:
    """What was written: path, frames, (width, height) in pixels, frames with ground truth."""

    path: Path
    frames: int
    image_size: tuple[int, int]
    truth_frames: int


def write_bag(
    path: Path,
    frames: Iterable[Frame],
    options: BagOptions | None = None,
    on_frame: Callable[[], None] | None = None,
) -> BagReport:
    """Write frames, and their labels where they have some, to a new rosbag2.

    A JPEG or PNG file goes into a bag of that compression byte for byte. A failure leaves no
    half-written bag behind.

    Raises:
        BagError: the path exists, there is no frame, or a frame has another size than the first.
    """
    options = options or BagOptions()
    if path.exists():
        raise BagError(f'{path} exists already and is not overwritten')
    try:
        with Writer(
            path, version=METADATA_VERSION, storage_plugin=STORAGES[options.storage]
        ) as bag:
            return _write(bag, path, frames, options, on_frame)
    except BaseException:
        shutil.rmtree(path, ignore_errors=True)
        raise


def _write(
    bag: Writer,
    path: Path,
    frames: Iterable[Frame],
    options: BagOptions,
    on_frame: Callable[[], None] | None,
) -> BagReport:
    store = typestore()
    msgtype = IMAGE if options.compression == 'none' else COMPRESSED_IMAGE
    images = bag.add_connection(options.topic, msgtype, typestore=store)
    truth: Connection | None = None
    size: tuple[int, int] | None = None
    count = truth_count = 0
    for frame in frames:
        size = size or (frame.image.shape[1], frame.image.shape[0])
        _check_size(frame, size)
        stamp = options.stamp_ns(count)
        bag.write(images, stamp, image_cdr(frame, stamp, options))
        if frame.labels is not None:
            truth = truth or bag.add_connection(TRUTH_TOPIC, IMAGE, typestore=store)
            bag.write(truth, stamp, raw_cdr(frame.labels, 'mono8', stamp, options.frame_id))
            truth_count += 1
        count += 1
        if on_frame:
            on_frame()
    if size is None:
        raise BagError(f'there is no frame to write to {path}')
    return BagReport(path, count, size, truth_count)


def _check_size(frame: Frame, size: tuple[int, int]) -> None:
    arrays = [frame.image] if frame.labels is None else [frame.image, frame.labels]
    for what, array in zip(('', 'the mask of '), arrays, strict=False):
        height, width = array.shape[:2]
        if (width, height) != size:
            raise BagError(
                f'{what}{frame.name} is {width}x{height}; allowed: {size[0]}x{size[1]}, '
                'the size of the first frame'
            )


def image_cdr(frame: Frame, stamp_ns: int, options: BagOptions) -> bytes:
    """Serialised Image or CompressedImage of a frame."""
    if options.compression == 'none':
        image = frame.image if options.encoding == 'rgb8' else frame.image[..., ::-1]
        return raw_cdr(image, options.encoding, stamp_ns, options.frame_id)
    data = frame.encoded if frame.encoding == options.compression else None
    return compressed_cdr(
        data or _compress(frame.image, options.compression),
        options.compression,
        stamp_ns,
        options.frame_id,
    )


def raw_cdr(image: NDArray[np.uint8], encoding: str, stamp_ns: int, frame_id: str) -> bytes:
    """Serialised sensor_msgs/Image of a [height, width] or [height, width, channels] array."""
    store = typestore()
    height, width = image.shape[:2]
    message = store.types[IMAGE](
        header=_header(stamp_ns, frame_id),
        height=height,
        width=width,
        encoding=encoding,
        is_bigendian=0,
        step=width * (image.shape[2] if image.ndim == 3 else 1),
        data=np.ascontiguousarray(image).reshape(-1),
    )
    return bytes(store.serialize_cdr(message, IMAGE))


def compressed_cdr(data: bytes, encoding: str, stamp_ns: int, frame_id: str) -> bytes:
    """Serialised sensor_msgs/CompressedImage of a JPEG or PNG file."""
    store = typestore()
    message = store.types[COMPRESSED_IMAGE](
        header=_header(stamp_ns, frame_id),
        format=encoding,
        data=np.frombuffer(data, np.uint8),
    )
    return bytes(store.serialize_cdr(message, COMPRESSED_IMAGE))


def _header(stamp_ns: int, frame_id: str) -> object:
    types = typestore().types
    seconds, nanoseconds = divmod(stamp_ns, SECOND_NS)
    stamp = types['builtin_interfaces/msg/Time'](sec=seconds, nanosec=nanoseconds)
    return types['std_msgs/msg/Header'](stamp=stamp, frame_id=frame_id)


def _compress(image: NDArray[np.uint8], compression: str) -> bytes:
    quality = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY] if compression == 'jpeg' else []
    suffix = '.jpg' if compression == 'jpeg' else '.png'
    _, data = cv2.imencode(suffix, np.ascontiguousarray(image[..., ::-1]), quality)
    return data.tobytes()
