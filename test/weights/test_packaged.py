# SPDX-License-Identifier: Apache-2.0
"""The shipped checkpoint really segments: a loose bound, far above any floor."""

import numpy as np

from esam2_ros import Prompt
from esam2_ros import StreamingTracker
from esam2_ros import load_model
from esam2_ros.training.scenes import box_of
from esam2_ros.training.scenes import demo_scene

TARGET = 1


def test_follows_one_box_through_the_made_scene():
    clip = demo_scene()
    tracker = StreamingTracker(load_model('compact', device='cpu', image_size=256))
    ious = []
    for frame, ids in zip(clip.frames[:20], clip.masks[:20], strict=True):
        result = tracker.step(frame)
        if not result.targets:
            tracker.add(Prompt(box=box_of(clip, TARGET)))
            result = tracker.result
        mask, truth = result.targets[0].mask, ids == TARGET
        ious.append((mask & truth).sum() / (mask | truth).sum())
    assert np.mean(ious) > 0.8
    assert min(ious) > 0.6
