# SPDX-License-Identifier: Apache-2.0
"""Made scenes: repeatable, and their labels say what the pixels show."""

import numpy as np
import pytest

from esam2_ros.training.scenes import EventKind
from esam2_ros.training.scenes import SceneSpec
from esam2_ros.training.scenes import box_of
from esam2_ros.training.scenes import clips
from esam2_ros.training.scenes import demo_scene
from esam2_ros.training.scenes import render

SIZE = (96, 64)


def make(*kinds, seed=3, frames=24):
    return render(SceneSpec(size=SIZE, frames=frames, events=frozenset(kinds)), seed)


def jumps(clip):
    """Mean absolute difference of each frame to the one before, from frame 1."""
    frames = clip.frames.astype(np.int16)
    return np.abs(np.diff(frames, axis=0)).mean((1, 2, 3))


def frames_of(clip, kind):
    return [event.frame for event in clip.events if event.kind is kind and event.target in (0, 1)]


def test_the_same_order_gives_the_same_bytes():
    kinds = (EventKind.CUT, EventKind.OCCLUSION, EventKind.SHAKE, EventKind.BLUR)
    one, same, other = make(*kinds), make(*kinds), make(*kinds, seed=4)
    assert one.frames.tobytes() == same.frames.tobytes()
    assert one.masks.tobytes() == same.masks.tobytes()
    assert one.events == same.events
    assert one.frames.tobytes() != other.frames.tobytes()
    assert one.frames.shape == (24, 64, 96, 3)
    assert one.masks.shape == (24, 64, 96)
    assert one.frames.dtype == one.masks.dtype == np.uint8


def test_the_stream_of_random_clips_is_repeatable_and_varied():
    first, second = clips(5, SIZE, 4), clips(5, SIZE, 4)
    seen = [next(first).frames.tobytes() for _ in range(3)]
    assert seen == [next(second).frames.tobytes() for _ in range(3)]
    assert len(set(seen)) == 3


@pytest.mark.parametrize('seed', range(4))
def test_a_cut_is_labelled_where_the_picture_changes(seed):
    clip = make(EventKind.CUT, seed=seed)
    cut, back = clip.cuts()
    assert frames_of(clip, EventKind.CUT) == [cut]
    assert frames_of(clip, EventKind.CUT_BACK) == [back]
    change = jumps(clip)
    inside = np.delete(change, [cut - 1, back - 1])
    assert min(change[cut - 1], change[back - 1]) > 2 * inside.max()
    # The other scene has other instances; the first ones come back.
    before, elsewhere = set(np.unique(clip.masks[:cut])), set(np.unique(clip.masks[cut:back]))
    assert before & elsewhere <= {0}
    assert set(np.unique(clip.masks[back:])) & before > {0}


@pytest.mark.parametrize('seed', range(4))
def test_the_target_is_absent_between_exit_and_reentry(seed):
    clip = make(EventKind.EXIT, seed=seed)
    leave, enter = frames_of(clip, EventKind.EXIT)[0], frames_of(clip, EventKind.REENTRY)[0]
    assert 0 < leave < enter
    seen = (clip.masks == 1).any((1, 2))
    assert seen[0]
    assert not seen[leave:enter].any()
    assert set(range(leave, enter)) <= set(clip.absent(1))


def test_an_occlusion_hides_the_target():
    clip = make(EventKind.OCCLUSION, frames=48)
    area = (clip.masks == 1).sum((1, 2))
    start = frames_of(clip, EventKind.OCCLUSION)[0]
    end = frames_of(clip, EventKind.REAPPEAR)[0]
    assert area[start:end].max() < area[:start].max()


def test_an_exposure_step_changes_the_light():
    clip = make(EventKind.EXPOSURE)
    step = frames_of(clip, EventKind.EXPOSURE)[0]
    assert jumps(clip).argmax() == step - 1


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        ({'size': (16, 64)}, 'size is .16, 64., allowed is 32 px or more'),
        ({'frames': 0}, 'frames is 0, allowed is 1..100000'),
        ({'objects': 61}, 'objects is 61, allowed is 1..60'),
        ({'split': 'test'}, "split is 'test', allowed are 'train' and 'held_out'"),
        ({'events': frozenset({EventKind.REENTRY})}, 'events has reentry, allowed are'),
    ],
)
def test_a_bad_order_is_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        SceneSpec(**settings)


def test_the_demo_has_a_box_an_occlusion_and_a_cut():
    clip = demo_scene(0)
    assert clip.frames.shape == (90, 360, 640, 3)
    x0, y0, x1, y1 = box_of(clip)
    inside = clip.masks[0][int(y0) : int(y1), int(x0) : int(x1)] == 1
    assert inside.sum() == (clip.masks[0] == 1).sum() > 2000
    cut, back = clip.cuts()
    area = (clip.masks == 1).sum((1, 2))
    assert not area[cut:back].any()
    assert area[cut - 1] > 2000
    assert area[back] > 2000
    # Something passes over the target well before the cut, and it is seen again.
    assert area[5:cut].min() < 0.5 * area[0]
    change = jumps(clip)
    assert min(change[cut - 1], change[back - 1]) > 2 * np.delete(change, [cut - 1, back - 1]).max()
