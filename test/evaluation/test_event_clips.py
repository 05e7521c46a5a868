# SPDX-License-Identifier: Apache-2.0
"""Every class of event clips does what its name says, and leaves the rest alone."""

from functools import cache

import numpy as np
import pytest

from esam2_ros.evaluation.event_clips import AWAY
from esam2_ros.evaluation.event_clips import ONSET
from esam2_ros.evaluation.event_clips import SIZE
from esam2_ros.evaluation.event_clips import WATCHED
from esam2_ros.evaluation.event_clips import EventClass
from esam2_ros.evaluation.event_clips import event_clip
from esam2_ros.training.scenes.film import TARGET

clip_of = cache(event_clip)


def target(clip, frame):
    return clip.masks[frame] == TARGET


def centre(clip, frame):
    ys, xs = np.nonzero(target(clip, frame))
    return np.array([xs.mean(), ys.mean()])


def steps(clip):
    """Pixels the middle of the target moves, from each frame to the next."""
    places = np.array([centre(clip, frame) for frame in range(len(clip))])
    return np.hypot(*np.diff(places, axis=0).T)


@pytest.mark.parametrize('kind', EventClass)
def test_shape_and_what_goes_before(kind):
    clip = clip_of(kind, 0)
    assert clip.frames.shape == (clip.after + WATCHED + 1, SIZE[1], SIZE[0], 3)
    assert clip.masks.shape == clip.frames.shape[:3]
    assert clip.onset == ONSET >= 8
    assert clip.after >= clip.onset
    calm = clip_of(EventClass.CALM, 0)
    # The same scene as the control's until the event begins.
    for frame in (0, 5, ONSET - 1):
        assert target(clip, frame).mean() > 0.005
        np.testing.assert_array_equal(target(clip, frame), target(calm, frame))
    if kind is not EventClass.CUT:
        assert target(clip, len(clip) - 1).any()


def test_the_same_seed_gives_the_same_bytes():
    one, two = clip_of(EventClass.LOOKALIKE, 0), event_clip(EventClass.LOOKALIKE, 0)
    np.testing.assert_array_equal(one.frames, two.frames)
    np.testing.assert_array_equal(one.masks, two.masks)
    assert (one.frames[0] != clip_of(EventClass.CUT_BACK, 1).frames[0]).any()


@pytest.mark.parametrize('number', range(3))
@pytest.mark.parametrize('kind', [EventClass.CUT_BACK, EventClass.OCCLUSION, EventClass.REENTRY])
def test_out_of_sight_for_k_frames_in_one_piece(kind, number):
    clip = clip_of(kind, number)
    hidden = [frame for frame in range(len(clip)) if not target(clip, frame).any()]
    assert hidden == list(range(clip.after - len(hidden), clip.after))
    away = AWAY[number]
    # What moves goes a little farther than it must.
    spare = 0 if kind is EventClass.CUT_BACK else 2
    assert away <= len(hidden) <= away + spare


def test_a_cut_is_for_good_and_shows_other_instances():
    clip = clip_of(EventClass.CUT, 0)
    assert not (clip.masks[ONSET:] == TARGET).any()
    before, after = (
        set(np.unique(part)) - {0} for part in (clip.masks[:ONSET], clip.masks[ONSET:])
    )
    assert before and after and not before & after


@pytest.mark.parametrize('pixels', [20, 40, 60])
def test_a_fast_target_keeps_its_pace_but_where_it_bounces(pixels):
    clip = clip_of(EventClass(f'fast_{pixels}'), 0)
    moved = steps(clip)
    assert moved[: ONSET - 1].max() < 5
    assert np.median(moved[ONSET - 1 :]) == pytest.approx(pixels, abs=3)


def test_a_pan_moves_the_target_and_shake_jolts_it():
    pan = steps(clip_of(EventClass.PAN, 0))
    assert np.median(pan[ONSET - 1 :]) == pytest.approx(24, abs=3)
    shake = steps(clip_of(EventClass.SHAKE, 0))
    # Both axes of two places with a deviation of 13 px each.
    assert 15 < shake[ONSET - 1 :].mean() < 32
    for moved in (pan, shake):
        assert moved[: ONSET - 1].max() < 5


def test_a_flash_is_one_frame_and_an_exposure_step_stays():
    calm, flash, step = (
        clip_of(kind, 0).frames.mean(axis=(1, 2, 3))
        for kind in (EventClass.CALM, EventClass.FLASH, EventClass.EXPOSURE)
    )
    brighter = np.abs(flash - calm) > 20
    assert np.flatnonzero(brighter).tolist() == [ONSET]
    assert step[:ONSET] == pytest.approx(calm[:ONSET], abs=1)
    assert step[ONSET:] == pytest.approx(calm[ONSET:] * 0.5, rel=0.05)


def test_a_lookalike_has_the_targets_size_and_passes_close():
    clip = clip_of(EventClass.LOOKALIKE, 0)
    others = set(np.unique(clip.masks)) - set(np.unique(clip_of(EventClass.CALM, 0).masks))
    (twin,) = others
    seen = [(clip.masks == twin)[frame].sum() for frame in range(len(clip))]
    assert max(seen) == pytest.approx(target(clip, 0).sum(), rel=0.1)
    gaps = {}
    for frame in range(clip.onset, len(clip)):
        ys, xs = np.nonzero(clip.masks[frame] == twin)
        if len(xs) > 200:
            gaps[frame] = np.hypot(*(np.array([xs.mean(), ys.mean()]) - centre(clip, frame)))
    assert abs(min(gaps, key=gaps.get) - clip.after) <= 4
    assert min(gaps.values()) < 0.35 * SIZE[0]
