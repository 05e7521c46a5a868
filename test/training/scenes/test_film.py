# SPDX-License-Identifier: Apache-2.0
"""Made scenes: the same bytes again, and masks that agree with the events."""

import numpy as np
import pytest

from esam2_ros.errors import ConfigError
from esam2_ros.training.scenes import EventKind
from esam2_ros.training.scenes import SceneSpec
from esam2_ros.training.scenes import clips
from esam2_ros.training.scenes import render

SIZE = (96, 64)


def order(*kinds: EventKind, frames: int = 20, **more) -> SceneSpec:
    return SceneSpec(size=SIZE, frames=frames, events=frozenset(kinds), **more)


def test_same_seed_gives_the_same_bytes():
    spec = order(EventKind.CUT, EventKind.OCCLUSION, EventKind.SHAKE, EventKind.BLUR)
    first, second, other = render(spec, 5), render(spec, 5), render(spec, 6)
    assert first.frames.tobytes() == second.frames.tobytes()
    assert first.masks.tobytes() == second.masks.tobytes()
    assert first.events == second.events
    assert first.frames.tobytes() != other.frames.tobytes()


def test_endless_clips_are_seeded_and_differ():
    first, second = clips(1, SIZE, 2), clips(1, SIZE, 2)
    pairs = [(next(first), next(second)) for _ in range(3)]
    assert all((a.frames == b.frames).all() for a, b in pairs)
    assert not (pairs[0][0].frames == pairs[1][0].frames).all()
    assert pairs[0][0].frames.shape == (2, 64, 96, 3)


@pytest.mark.parametrize('seed', range(4))
def test_a_cut_is_labelled_where_the_ids_change(seed: int):
    clip = render(order(EventKind.CUT, speed=0.3), seed)
    cut, back = clip.cuts()
    here, there = set(np.unique(clip.masks[0])), set(np.unique(clip.masks[cut]))
    assert here & there <= {0}
    assert set(range(cut, back)) <= set(clip.absent(1))
    change = np.abs(np.diff(clip.frames.astype(int), axis=0)).mean((1, 2, 3))
    assert {int(i) + 1 for i in np.argsort(change)[-2:]} == {cut, back}


@pytest.mark.parametrize('seed', range(4))
def test_an_exited_target_has_no_pixel_until_it_is_back(seed: int):
    clip = render(order(EventKind.EXIT), seed)
    marks = [event for event in clip.events if event.target == 1]
    gone = next(event.frame for event in marks if event.kind is EventKind.EXIT)
    back = [event.frame for event in marks if event.kind is EventKind.REENTRY]
    end = back[0] if back else len(clip.frames)
    assert gone < end
    assert set(range(gone, end)) <= set(clip.absent(1))


@pytest.mark.parametrize('seed', range(4))
def test_an_occlusion_covers_the_target(seed: int):
    clip = render(order(EventKind.OCCLUSION, frames=24, speed=0.3, objects=1), seed)
    hidden = [e.frame for e in clip.events if e.kind is EventKind.OCCLUSION and e.target == 1]
    assert hidden
    areas = (clip.masks == 1).sum((1, 2))
    assert areas[hidden[0]] < 0.5 * areas.max()


def test_exposure_changes_brightness_from_its_frame_on():
    clip = render(order(EventKind.EXPOSURE, speed=0.1, noise=0.0), 3)
    frame = next(event.frame for event in clip.events if event.kind is EventKind.EXPOSURE)
    level = clip.frames.mean((1, 2, 3))
    calm = abs(level[1:frame] - level[0]).max(initial=0.5)
    assert abs(level[frame] - level[frame - 1]) > 5 * calm


def test_a_distractor_looks_like_the_target():
    clip = render(order(EventKind.DISTRACTOR, speed=0.0, noise=0.0, objects=2, clutter=0), 8)
    colours = [clip.frames[0][clip.masks[0] == ident].mean(0) for ident in (1, 2)]
    assert np.abs(colours[0] - colours[1]).max() < 25


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'size': (16, 64)}, 'size is'),
        ({'frames': 0}, 'frames is 0'),
        ({'objects': 0}, 'objects is 0'),
        ({'split': 'test'}, "split is 'test'"),
        ({'events': frozenset({EventKind.CUT_BACK})}, 'events has cut_back'),
    ],
)
def test_a_bad_order_is_refused(change, message):
    with pytest.raises(ConfigError, match=message):
        SceneSpec(**change)
