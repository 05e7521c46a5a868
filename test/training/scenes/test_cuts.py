# SPDX-License-Identifier: Apache-2.0
"""A labelled cut is one that can be seen: the picture changes there as nowhere else."""

import numpy as np
import pytest

from esam2_ros.training.scenes import EventKind
from esam2_ros.training.scenes import SceneSpec
from esam2_ros.training.scenes import demo_scene
from esam2_ros.training.scenes import render


def made(seed):
    events = frozenset({EventKind.CUT, EventKind.PAN})
    return render(SceneSpec(size=(96, 64), frames=24, events=events), seed)


@pytest.mark.parametrize(
    ('make', 'seed'), [(made, 0), (made, 1), (made, 2), (made, 3), (demo_scene, 0), (demo_scene, 1)]
)
def test_the_picture_jumps_at_both_cuts_and_nowhere_else(make, seed):
    clip = make(seed)
    frames = clip.frames[:, ::4, ::4].astype(np.int16)
    change = np.abs(np.diff(frames, axis=0)).mean((1, 2, 3))
    cut, back = (frame - 1 for frame in clip.cuts())
    assert min(change[cut], change[back]) > 2 * np.delete(change, [cut, back]).max()
