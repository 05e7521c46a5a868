# SPDX-License-Identifier: Apache-2.0
"""A false cut in mid-clip: one frame is told, and everything that a cut causes happens."""

from functools import cache

import numpy as np
import pytest

from esam2_ros.evaluation.event_clips import ONSET
from esam2_ros.evaluation.event_clips import EventClass
from esam2_ros.evaluation.event_clips import event_clip
from esam2_ros.evaluation.false_cut import FalseCut
from esam2_ros.evaluation.modes import Setup
from esam2_ros.evaluation.modes import baseline_of
from esam2_ros.evaluation.modes import pick_modes
from esam2_ros.evaluation.run import enter
from esam2_ros.evaluation.segmenter import PromptKind
from esam2_ros.evaluation.segmenter import draw_prompt
from esam2_ros.policy.config import TrackerConfig
from esam2_ros.policy.events import EventKind
from esam2_ros.policy.monitor.monitor import SceneMonitor
from esam2_ros.policy.monitor.values import MonitorConfig
from esam2_ros.policy.monitor.values import MotionClass
from esam2_ros.weights.loading import load_model

FRAMES = 8
clip_of = cache(event_clip)


def views(monitor, frames):
    return [monitor.observe(frame) for frame in frames]


def test_one_view_is_a_cut_and_the_others_are_as_they_were():
    frames = clip_of(EventClass.CALM, 0, 0).frames[:FRAMES]
    plain = views(SceneMonitor(), frames)
    false = views(FalseCut(MonitorConfig(), 4), frames)
    classes = [view.motion_class for view in false]
    assert [n for n, each in enumerate(classes) if each is MotionClass.CUT] == [4]
    assert false[:4] == plain[:4]
    cut = false[4]
    assert (cut.shift, cut.rotation, cut.scale, cut.object_shift) == ((0, 0), 0, 1, None)
    assert cut.frame_difference == plain[4].frame_difference
    # The next frame is compared with this one, as after any cut.
    assert false[5].frame_difference == pytest.approx(plain[5].frame_difference)


def test_a_true_cut_is_left_alone():
    frames = clip_of(EventClass.CUT, 0, 0).frames[: ONSET + 3]
    true = views(SceneMonitor(), frames)
    assert true[ONSET].motion_class is MotionClass.CUT
    assert views(FalseCut(MonitorConfig(), ONSET), frames) == true


@pytest.fixture(scope='module')
def runs():
    """Results on a calm clip of eight frames, without and with a false cut; packaged weights."""
    clip = clip_of(EventClass.CALM, 0, 0)
    setup = Setup(load_model('compact', device='cpu', image_size=512), TrackerConfig())
    prompt = draw_prompt(clip.masks[0] == 1, PromptKind.MASK)
    results = []
    for mode in pick_modes(['paper_monitor', 'paper_monitor_false_cut'], floors=False):
        segmenter = enter(mode, FRAMES, lambda: setup, PromptKind.MASK).segmenter
        results.append(
            [
                segmenter.step(clip.frames[index], {} if index else {1: prompt}).result
                for index in range(FRAMES)
            ]
        )
    return results


def test_a_false_cut_costs_exactly_one_dense_frame(runs):
    plain, false = runs
    dense = [[n for n, each in enumerate(rows) if each.plan.is_dense] for rows in runs]
    assert FRAMES // 2 not in dense[0]
    assert dense[1] == sorted([*dense[0], FRAMES // 2])
    told = false[FRAMES // 2]
    assert set(told.plan.reasons) == {'cut'}
    assert [event.kind for event in told.events] == [EventKind.SCENE_CUT]
    assert not any(event.kind is EventKind.SCENE_CUT for each in plain for event in each.events)


def test_until_then_nothing_differs(runs):
    plain, false = runs
    for before, after in zip(plain[: FRAMES // 2], false[: FRAMES // 2], strict=True):
        assert before.plan == after.plan
        assert np.array_equal(before.targets[0].mask, after.targets[0].mask)


@pytest.mark.parametrize(
    ('name', 'among', 'baseline'),
    [
        ('paper', ['stock', 'paper', 'exact'], 'exact'),
        ('stock', ['stock', 'exact'], 'exact'),
        ('exact', ['stock', 'exact'], None),
        ('paper', ['stock', 'paper'], 'stock'),
        ('stock', ['stock', 'paper'], None),
        ('paper', ['paper', 'copy_first'], None),
        ('paper_monitor_false_cut', ['exact', 'paper_monitor'], 'paper_monitor'),
        ('paper_monitor_false_cut', ['exact', 'paper'], None),
    ],
)
def test_what_a_mode_is_compared_with(name, among, baseline):
    assert baseline_of(name, [*among, name]) == baseline
