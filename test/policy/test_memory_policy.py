# SPDX-License-Identifier: Apache-2.0
"""What a target remembers: the gate, the suspicion, anchors, and the wait after a cut."""

from dataclasses import replace

import pytest

from esam2_ros import TrackerConfig
from esam2_ros.policy.memory_policy import AREAS
from esam2_ros.policy.memory_policy import Sighting
from esam2_ros.policy.memory_policy import Watch
from esam2_ros.policy.memory_policy import judge
from esam2_ros.policy.monitor import MotionClass
from esam2_ros.policy.monitor import SceneView

CONFIG = TrackerConfig(monitor=True)
CALM = SceneView()
CUT = SceneView(motion_class=MotionClass.CUT)
RAPID = SceneView(motion_class=MotionClass.PAN, rapid=True)
GOOD = Sighting(score=0.9, object_logit=5.0, area=0.1)


def settled(**settings):
    """A watch that has seen enough good frames to know the usual size."""
    watch = Watch()
    for _ in range(AREAS):
        judge(watch, GOOD, CALM, TrackerConfig(**settings))
    return watch


@pytest.mark.parametrize(
    ('sighting', 'view', 'written'),
    [
        (GOOD, CALM, True),
        (GOOD, SceneView(motion_class=MotionClass.PAN), True),
        (GOOD, CUT, False),
        (Sighting(0.29, 5.0, 0.1), CALM, False),
        # A target out of view is remembered as such, as SAM2 was taught.
        (Sighting(0.1, -3.0, 0.0), CALM, True),
        (Sighting(0.1, -3.0, 0.0), CUT, False),
        # But not by a frame that was computed in part.
        (Sighting(0.1, -3.0, 0.0, whole=False), CALM, False),
        (replace(GOOD, whole=False), CALM, True),
        # What moves is hard to see, and is remembered all the same.
        (Sighting(0.29, 5.0, 0.1), RAPID, True),
    ],
)
def test_only_frames_that_look_right_are_written(sighting, view, written):
    assert judge(Watch(), sighting, view, CONFIG).write is written


def test_a_score_below_the_gate_is_not_remembered():
    config = TrackerConfig(monitor=True, min_score=0.0)
    assert not judge(Watch(), Sighting(0.9, 0.0, 0.1), CALM, config).write
    assert judge(Watch(), Sighting(0.9, 0.1, 0.1), CALM, config).write


@pytest.mark.parametrize(
    ('area', 'suspect'), [(0.29, False), (0.31, True), (0.034, False), (0.033, True)]
)
def test_a_jump_of_area_is_suspect_and_not_written(area, suspect):
    verdict = judge(settled(), Sighting(0.9, 5.0, area), CALM, CONFIG)
    assert (verdict.suspect, verdict.write) == (suspect, not suspect)


def test_a_size_that_stays_becomes_the_usual_one():
    watch = settled()
    verdicts = [judge(watch, Sighting(0.9, 5.0, 0.5), CALM, CONFIG) for _ in range(8)]
    assert verdicts[0].suspect and not verdicts[-1].suspect


def test_nothing_is_suspect_before_the_usual_size_is_known():
    watch = Watch()
    areas = [0.01, 0.1, 0.4, 0.02]
    assert not any(judge(watch, Sighting(0.9, 5.0, a), CALM, CONFIG).suspect for a in areas)


def test_after_a_cut_nothing_is_remembered_before_three_frames_in_view():
    watch = settled()
    watch.cut()
    verdicts = [judge(watch, GOOD, CALM, CONFIG) for _ in range(4)]
    assert [v.write for v in verdicts] == [False, False, True, True]
    assert not any(v.drop for v in verdicts)


def test_a_doubtful_return_drops_the_old_memories():
    watch = settled()
    watch.cut()
    judge(watch, Sighting(0.2, 5.0, 0.1), CALM, CONFIG)
    judge(watch, GOOD, CALM, CONFIG)
    assert judge(watch, GOOD, CALM, CONFIG).drop


def test_an_absence_starts_the_count_anew():
    watch = settled()
    watch.cut()
    gone = Sighting(0.9, -3.0, 0.0)
    verdicts = [judge(watch, s, CALM, CONFIG) for s in (GOOD, GOOD, gone, GOOD, GOOD, GOOD)]
    assert [v.write for v in verdicts] == [False] * 5 + [True]


@pytest.mark.parametrize(
    ('rival', 'anchors', 'kept'), [(0.4, 1, True), (0.0, 1, False), (0.4, 0, False)]
)
def test_an_anchor_needs_a_rival_and_room(rival, anchors, kept):
    watch = settled(anchors=anchors)
    sighting = Sighting(0.9, 5.0, 0.1, rival)
    verdict = judge(watch, sighting, CALM, TrackerConfig(anchors=anchors))
    assert verdict.anchor is kept


def test_anchors_are_five_frames_apart():
    watch = settled()
    sighting = Sighting(0.9, 5.0, 0.1, 0.4)
    kept = [judge(watch, sighting, CALM, CONFIG).anchor for _ in range(11)]
    assert kept == [True, *[False] * 4, True, *[False] * 4, True]


def test_a_flicker_in_another_scene_does_not_cost_the_memories():
    watch = settled()
    watch.cut()
    flicker, gone = Sighting(0.2, 5.0, 0.1), Sighting(0.9, -3.0, 0.0)
    verdicts = [judge(watch, s, CALM, CONFIG) for s in (flicker, gone, GOOD, GOOD, GOOD)]
    assert verdicts[-1].write and not verdicts[-1].drop


@pytest.mark.parametrize(('distance', 'suspect'), [(0.35, False), (0.45, True)])
def test_a_leap_farther_than_two_diagonals_is_suspect(distance, suspect):
    watch = Watch()
    for x, expected in ((0.2, False), (0.2 + distance, suspect)):
        sighting = Sighting(0.9, 5.0, 0.1, place=(x, 0.5), extent=0.2)
        verdict = judge(watch, sighting, CALM, CONFIG)
        assert verdict.suspect is expected


def test_a_target_that_stays_where_it_leapt_to_is_trusted_in_time():
    watch = Watch()
    judge(watch, Sighting(0.9, 5.0, 0.1, place=(0.1, 0.5), extent=0.1), CALM, CONFIG)
    there = Sighting(0.9, 5.0, 0.1, place=(0.8, 0.5), extent=0.1)
    assert [judge(watch, there, CALM, CONFIG).suspect for _ in range(5)] == [True] * 3 + [False] * 2
