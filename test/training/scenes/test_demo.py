# SPDX-License-Identifier: Apache-2.0
"""The demo's table: what happens, and when."""

import pytest

from esam2_ros.training.scenes import EventKind
from esam2_ros.training.scenes import box_of
from esam2_ros.training.scenes import demo_scene


@pytest.fixture(scope='module')
def clip():
    return demo_scene(0)


def test_it_has_an_occlusion_and_a_cut_with_its_return(clip):
    assert clip.frames.shape == (90, 360, 640, 3)
    assert clip.cuts() == (52, 62)
    kinds = [(e.kind, e.frame) for e in clip.events if e.target == 1]
    assert kinds == [(EventKind.OCCLUSION, 26), (EventKind.REAPPEAR, 30)]
    assert set(range(52, 62)) <= set(clip.absent(1))
    assert not (clip.masks[62:] == 1).sum((1, 2)).min() < 1000


def test_the_box_encloses_the_mug(clip):
    x0, y0, x1, y1 = (round(v) for v in box_of(clip))
    assert (clip.masks[0][y0:y1, x0:x1] == 1).sum() == (clip.masks[0] == 1).sum()
    with pytest.raises(ValueError, match='target 200 has no pixel'):
        box_of(clip, 200)
