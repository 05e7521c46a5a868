# SPDX-License-Identifier: Apache-2.0
"""Message types as bags know them: those of ROS 2 Kilted and our own."""

from functools import cache

from rosbags.typesys import Stores
from rosbags.typesys import get_types_from_msg
from rosbags.typesys import get_typestore
from rosbags.typesys.store import Typestore

from esam2_ros.bags.share import share_path

IMAGE = 'sensor_msgs/msg/Image'
COMPRESSED_IMAGE = 'sensor_msgs/msg/CompressedImage'
IMAGE_TYPES = (IMAGE, COMPRESSED_IMAGE)
# Label images of ground truth stand beside the images of a bag under this name.
TRUTH_TOPIC = '/truth'


@cache
def typestore() -> Typestore:
    """Type store of the standard messages."""
    return get_typestore(Stores.ROS2_KILTED)


@cache
def esam2_typestore() -> Typestore:
    """Type store of the standard messages and of every message in `msg/`."""
    store = get_typestore(Stores.ROS2_KILTED)
    types = {}
    for path in sorted(share_path('msg').glob('*.msg')):
        types.update(get_types_from_msg(path.read_text(), f'esam2_ros/msg/{path.stem}'))
    store.register(types)
    return store


def full_type(name: str) -> str:
    """Type name with its `/msg/`, which early recorders left out."""
    package, _, rest = name.partition('/')
    return name if '/' in rest or not rest else f'{package}/msg/{rest}'
