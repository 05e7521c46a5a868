# SPDX-License-Identifier: Apache-2.0
"""Small made pictures and bags: a bright rectangle that moves over a dark ground."""

from pathlib import Path

import cv2
import numpy as np
from rosbags.rosbag2 import StoragePlugin
from rosbags.rosbag2 import Writer

from esam2_ros.bags.schema import typestore

WIDTH, HEIGHT = 96, 64
GROUND, OBJECT = (20, 30, 40), (200, 180, 40)
STRING = 'std_msgs/msg/String'


def box(index):
    """x0, y0, x1, y1 of the object in a frame."""
    return 10 + 4 * index, 20, 30 + 4 * index, 40


def labels(index):
    """[HEIGHT, WIDTH] uint8 truth: 1 on the object."""
    left, top, right, bottom = box(index)
    truth = np.zeros((HEIGHT, WIDTH), np.uint8)
    truth[top:bottom, left:right] = 1
    return truth


def picture(index):
    """[HEIGHT, WIDTH, 3] uint8 RGB."""
    return np.where(labels(index)[..., None] == 1, OBJECT, GROUND).astype(np.uint8)


def write_folder(folder: Path, count, suffix='.png', masks: Path | None = None):
    """Pictures 0, 1, ... of `count` frames, and their masks if a folder for them is given."""
    folder.mkdir()
    for index in range(count):
        cv2.imwrite(str(folder / f'{index}{suffix}'), picture(index)[..., ::-1])
    if masks:
        masks.mkdir()
        for index in range(count):
            cv2.imwrite(str(masks / f'{index}.png'), labels(index))
    return folder


def write_messages(path: Path, messages, plugin=StoragePlugin.SQLITE3):
    """A bag of (topic, type, record time in ns, serialised bytes)."""
    connections = {}
    with Writer(path, version=9, storage_plugin=plugin) as bag:
        for topic, msgtype, time_ns, cdr in messages:
            if topic not in connections:
                connections[topic] = bag.add_connection(topic, msgtype, typestore=typestore())
            bag.write(connections[topic], time_ns, cdr)
    return path


def text_cdr(text):
    """Serialised std_msgs/String."""
    store = typestore()
    return bytes(store.serialize_cdr(store.types[STRING](data=text), STRING))
