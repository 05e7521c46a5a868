# SPDX-License-Identifier: Apache-2.0
"""The image stream of a bag: serialised images with usable stamps."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from esam2_ros.bags.read import BagReader
from esam2_ros.bags.read import Topic
from esam2_ros.errors import BagError

SECOND_NS = 1_000_000_000
# Serialised data: 4 bytes of encapsulation, whose second byte gives the byte order, and then the
# header, whose first field is the stamp.
_STAMP_AT = 4
_HEADER_BYTES = 12


@dataclass(frozen=True)
class StampedImage:
    """One recorded image: its number, header stamp and record time in ns, serialised bytes.

    `restamped` tells that the recorded stamp could not be used.
    """

    index: int
    stamp_ns: int
    time_ns: int
    cdr: bytes
    restamped: bool = False


def read_images(bag: BagReader, topic: Topic, limit: int | None = None) -> Iterator[StampedImage]:
    """The images of a topic, at most `limit` of them.

    A stamp that is zero, or the same as the one before, cannot name an image: it is replaced by
    the record time, or by the stamp before plus 1 ns where that is no later.

    Raises:
        BagError: the bag is damaged, or a message is too short for its header.
    """
    before: int | None = None
    for index, message in enumerate(bag.messages(topic.name)):
        if limit is not None and index >= limit:
            return
        try:
            stamp = stamp_of(message.cdr)
        except struct.error as error:
            raise BagError(
                f'message {index} on {topic.name} of {bag.path} has {len(message.cdr)} bytes, '
                'too few for a header'
            ) from error
        if stamp != 0 and stamp != before:
            before = stamp
            yield StampedImage(index, stamp, message.time_ns, message.cdr)
            continue
        before = max(message.time_ns, 1 if before is None else before + 1)
        cdr = with_stamp(message.cdr, before)
        yield StampedImage(index, before, message.time_ns, cdr, restamped=True)


def _order(cdr: bytes) -> str:
    return '<' if cdr[1:2] == b'\x01' else '>'


def stamp_of(cdr: bytes) -> int:
    """Header stamp in nanoseconds of a serialised message that starts with a header."""
    seconds, nanoseconds = struct.unpack_from(f'{_order(cdr)}iI', cdr, _STAMP_AT)
    return int(seconds) * SECOND_NS + int(nanoseconds)


def with_stamp(cdr: bytes, stamp_ns: int) -> bytes:
    """The same message with another header stamp."""
    stamp = struct.pack(f'{_order(cdr)}iI', *divmod(stamp_ns, SECOND_NS))
    return cdr[:_STAMP_AT] + stamp + cdr[_HEADER_BYTES:]
