# SPDX-License-Identifier: Apache-2.0
"""Recorded images as pixels, and a look at each before it is sent."""

from collections.abc import Iterable
from collections.abc import Iterator

from rclpy.serialization import deserialize_message
from sensor_msgs.msg import CompressedImage
from sensor_msgs.msg import Image

from esam2_ros.bags.images import StampedImage
from esam2_ros.bags.read import Topic
from esam2_ros.bags.schema import COMPRESSED_IMAGE
from esam2_ros.errors import BagError
from esam2_ros.errors import ImageError
from esam2_ros.overlay import Image as Picture
from esam2_ros.ros.images import to_rgb


def decode(image: StampedImage, topic: Topic) -> Picture:
    """[height, width, 3] uint8 RGB of a recorded image.

    Raises:
        BagError: the message is damaged, or its image cannot be used.
    """
    kind = CompressedImage if topic.msgtype == COMPRESSED_IMAGE else Image
    try:
        return to_rgb(deserialize_message(image.cdr, kind))
    except ImageError as error:
        raise BagError(f'message {image.index} on {topic.name}: {error}') from error
    # What rclpy raises for a message that is cut short.
    except RuntimeError as error:
        raise BagError(f'message {image.index} on {topic.name} is damaged: {error}') from error


def checked(images: Iterable[StampedImage], topic: Topic) -> Iterator[StampedImage]:
    """The same images, each looked at first: the node would refuse a bad one without an answer.

    Raises:
        BagError: an image cannot be used, or has another size than the first.
    """
    first: tuple[int, ...] | None = None
    for image in images:
        shape = decode(image, topic).shape
        first = first or shape
        if shape != first:
            raise BagError(
                f'message {image.index} on {topic.name} is {shape[1]}x{shape[0]}; '
                f'allowed: {first[1]}x{first[0]}, the size of the first image'
            )
        yield image
