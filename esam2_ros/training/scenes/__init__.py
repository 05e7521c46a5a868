# SPDX-License-Identifier: Apache-2.0
"""Made scenes: endless, seeded, labelled video for training, scoring and the demo."""

from esam2_ros.training.scenes.demo import box_of
from esam2_ros.training.scenes.demo import demo_scene
from esam2_ros.training.scenes.film import clips
from esam2_ros.training.scenes.film import random_spec
from esam2_ros.training.scenes.film import render
from esam2_ros.training.scenes.values import Clip
from esam2_ros.training.scenes.values import Event
from esam2_ros.training.scenes.values import EventKind
from esam2_ros.training.scenes.values import SceneSpec

__all__ = [
    'Clip',
    'Event',
    'EventKind',
    'SceneSpec',
    'box_of',
    'clips',
    'demo_scene',
    'random_spec',
    'render',
]
