# SPDX-License-Identifier: Apache-2.0
"""The tracker with the scene monitor on: cuts, events, settings that change on the way."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from skimage import data

from esam2_ros import Prompt
from esam2_ros import StreamingTracker
from esam2_ros import TargetStatus
from esam2_ros import TrackerConfig
from esam2_ros.core.models import build_model
from esam2_ros.core.pack import ExactPack
from esam2_ros.errors import ConfigError
from esam2_ros.policy import pipeline
from esam2_ros.policy.events import EventKind
from esam2_ros.policy.monitor import MotionClass

SIZE = (320, 240)
BOX = Prompt(box=(90, 60, 200, 180))


@pytest.fixture(scope='module')
def model():
    """Random weights that always see the target."""
    made = build_model('compact', 256, seed=1)
    made.sam_mask_decoder.pred_obj_score_head.layers[-1].bias.fill_(10.0)
    made.sam_mask_decoder.iou_prediction_head.layers[-1].bias.fill_(4.0)
    return made


@pytest.fixture(scope='module')
def blind_model():
    """Random weights that never see the target."""
    made = build_model('compact', 256, seed=1)
    made.sam_mask_decoder.pred_obj_score_head.layers[-1].bias.fill_(-10.0)
    return made


@pytest.fixture(scope='module')
def unsure_model():
    """Random weights that see the target with a score of about 1."""
    made = build_model('compact', 256, seed=1)
    made.sam_mask_decoder.pred_obj_score_head.layers[-1].bias.fill_(1.0)
    made.sam_mask_decoder.iou_prediction_head.layers[-1].bias.fill_(4.0)
    return made


def photograph(pixels):
    return np.ascontiguousarray(cv2.resize(pixels, SIZE, interpolation=cv2.INTER_AREA))


HOME, AWAY = photograph(data.coffee()), photograph(data.astronaut())


def start(model, **settings):
    tracker = StreamingTracker(
        model, TrackerConfig(**{'monitor': True, 'mode': 'paper', **settings})
    )
    tracker.step(HOME)
    tracker.add(BOX)
    for _ in range(4):
        tracker.step(HOME)
    return tracker


def kinds(result):
    return [event.kind for event in result.events]


def test_a_cut_is_told_on_its_frame_and_computes_everything(model):
    tracker = start(model)
    calm = tracker.result
    cut = tracker.step(AWAY)
    assert calm.view.motion_class is MotionClass.STILL and calm.events == ()
    assert cut.view.motion_class is MotionClass.CUT
    assert kinds(cut) == [EventKind.SCENE_CUT]
    assert cut.events[0].value == pytest.approx(cut.view.frame_difference)
    assert cut.plan.is_dense and set(cut.plan.reasons) == {'cut'}
    assert cut.timings.motion > 0


def test_a_pan_computes_everything_until_it_rests(model):
    tracker = start(model)
    results = [tracker.step(np.roll(HOME, x, axis=1)) for x in (12, 24, 24, 24)]
    assert [result.view.motion_class.name for result in results] == ['PAN', 'PAN', *['STILL'] * 2]
    assert ['rapid' in result.plan.reasons for result in results] == [True, True, True, False]
    assert all(result.plan.is_dense for result in results[:3])


def test_below_the_doubt_logit_everything_is_computed(model, unsure_model):
    assert 'doubt' not in start(model).step(HOME).plan.reasons
    assert set(start(unsure_model).step(HOME).plan.reasons) == {'doubt'}
    trusting = start(unsure_model, doubt_logit=0.0)
    assert 'doubt' not in trusting.step(HOME).plan.reasons


def test_only_a_whole_frame_may_say_that_a_target_is_hidden(blind_model):
    tracker = start(blind_model, lost_after_frames=3)
    (target,) = tracker._targets.values()
    seen = [(tracker.step(HOME).plan.is_dense, target.committed) for _ in range(6)]
    assert {(True, True), (False, False)} == set(seen)


def test_without_the_monitor_a_cut_goes_unnoticed(model):
    tracker = start(model, monitor=False)
    cut = tracker.step(AWAY)
    assert cut.view is None and cut.events == ()


def test_hold_freezes_the_memory_until_the_target_is_trusted(model):
    tracker = start(model)
    frames = [tracker.step(image).memory.frames for image in (AWAY, HOME, HOME, HOME, HOME)]
    # Read as it was, and not written before three frames in view.
    assert frames == [5, 5, 5, 5, 6]


def test_forget_drops_recent_memories(model):
    tracker = start(model, cut_policy='forget')
    frames = [tracker.step(image).memory.frames for image in (AWAY, AWAY, AWAY)]
    assert frames == [1, 1, 2]  # the cut's own frame is not remembered


def test_reset_forgets_the_targets(model):
    tracker = start(model, cut_policy='reset')
    cut = tracker.step(AWAY)
    assert kinds(cut) == [EventKind.SCENE_CUT, EventKind.RESET]
    assert tracker.target_ids == () and cut.targets == ()


def test_a_normalised_tensor_is_watched_too(model):
    tracker = StreamingTracker(model, TrackerConfig(monitor=True))
    pixels = [cv2.resize(image, (256, 256)) for image in (HOME, AWAY)]
    normalise = tracker._engine.normalise
    tracker.step_tensor(normalise(pixels[0]))
    assert kinds(tracker.step_tensor(normalise(pixels[1]))) == [EventKind.SCENE_CUT]
    assert np.array_equal(normalise.undo(normalise(pixels[0])), pixels[0])


def test_a_lost_target_is_told_once(blind_model):
    tracker = start(blind_model, lost_after_frames=6)
    results = [tracker.step(HOME) for _ in range(5)]
    told = [r.frame_index for r in results if EventKind.TARGET_LOST in kinds(r)]
    assert told == [5]
    assert results[-1].targets[0].state is TargetStatus.LOST
    assert results[0].plan.is_dense and set(results[0].plan.reasons) == {'search'}


def test_frames_that_are_not_remembered_do_not_age_the_memory(model):
    """Stock recalls nothing but prompts once the target was away for longer than its ring."""
    tracker = start(model, min_iou=0.0)
    (target,) = tracker._targets.values()
    before = target.bank.recall(target.next_at)
    tracker.configure(replace(tracker.config, min_iou=1.0))  # nothing is good enough now
    for _ in range(12):
        tracker.step(HOME)
    assert target.bank.recall(target.next_at) == before


def test_the_bytes_do_not_grow(model):
    tracker = start(model, prompt_history_bytes=1 << 20)
    sizes = set()
    for i in range(40):
        tracker.step(HOME if i % 7 else AWAY)
        sizes.add(tracker.memory_bytes)
    assert len(sizes) == 1


@pytest.mark.parametrize(
    'change',
    [
        {'mode': 'exact'},
        {'margin_px': 64},
        {'keep_ratio': 0.1},
        {'monitor': False},
        {'cut_policy': 'reset'},
        {'latency_ms': 5.0},
    ],
)
def test_settings_change_while_targets_are_tracked(model, change):
    tracker = start(model)
    tracker.configure(replace(tracker.config, **change))
    result = tracker.step(HOME)
    assert len(result.targets) == 1
    assert result.memory.frames == 5


@pytest.mark.parametrize(
    'change', [{'memory_frames': 3}, {'pack': ExactPack(onednn=False)}, {'mode': 'stock'}]
)
def test_what_buffers_depend_on_cannot_change_while_targets_are_tracked(model, change):
    tracker = start(model)
    before = tracker.config
    with pytest.raises(ConfigError, match='cannot go from'):
        tracker.configure(replace(before, **change))
    assert tracker.config is before
    tracker.reset()
    tracker.configure(replace(before, **change))
    tracker.step(HOME)
    tracker.add(BOX)
    assert torch.isfinite(tracker.step(HOME).targets[0].mask_logits).all()


def test_a_missed_budget_is_told_once(model):
    tracker = start(model, latency_ms=0.01)
    told = [EventKind.BUDGET_EXCEEDED in kinds(tracker.step(HOME)) for _ in range(12)]
    assert told.count(True) == 1


def test_removing_a_target_leaves_the_others_their_own_evidence(model):
    tracker = start(model)
    tracker.add(Prompt(box=(10, 10, 60, 60)))
    for _ in range(3):
        tracker.step(HOME)
    (first, second) = tracker._pipeline._evidence
    tracker.remove(1)
    assert tracker._pipeline._evidence == (second,)
    assert first is not second


def test_nothing_waits_once_the_monitor_is_off(model):
    tracker = start(model)
    tracker.step(AWAY)
    tracker.configure(replace(tracker.config, monitor=False))
    assert tracker.step(HOME).memory.frames == 5


def test_a_late_correction_finds_its_frame_in_the_bank(model):
    """Frames that were not remembered and frames that a catch-up skips do not move it."""
    tracker = start(model, catch_up_frames=2, prompt_history_s=60.0)
    tracker.configure(replace(tracker.config, min_iou=1.0))
    for _ in range(5):  # none of these is remembered
        tracker.step(HOME)
    (target,) = tracker._targets.values()
    assert target.at_frame(0) == 0 and target.at_frame(3) == 3 and target.at_frame(8) == 5
    first = target.bank.features[0].clone()
    tracker.refine(1, Prompt(points=[(120, 100)]), frame=3)
    assert torch.equal(target.bank.features[0], first)  # the first prompt is never replaced
    assert target.bank.holds_prompt(3) and target.at == 5
    assert target.prompt_frame == 3


def test_a_correction_that_fails_leaves_the_target_as_it_was(model, monkeypatch):
    tracker = start(model)
    (target,) = tracker._targets.values()
    before, at = target.bank.state(), target.at

    def fail(*_):
        raise MemoryError

    monkeypatch.setattr(tracker._prompter, '_catch_up', fail)
    with pytest.raises(MemoryError):
        tracker.refine(1, Prompt(points=[(120, 100)]))
    after = target.bank.state()
    assert target.at == at and after.prompts == before.prompts and after.recent == before.recent
    assert torch.equal(after.features, before.features)


def test_a_jump_in_time_is_no_cut_and_no_motion(model):
    tracker = start(model, cut_policy='reset')
    tracker.forget_recent()
    result = tracker.step(AWAY)
    assert result.events == () and tracker.target_ids == (1,)
    assert result.targets[0].state is TargetStatus.TRACKED
    assert result.plan.is_dense
    plain = start(model, monitor=False)
    plain.forget_recent()
    assert plain.step(AWAY).plan.is_dense


@pytest.mark.parametrize('frames', [1, 5])
def test_a_correction_before_the_next_image_keeps_what_was_loaded(model, tmp_path, frames):
    first = StreamingTracker(model)
    first.step(HOME)
    first.add(BOX)
    for _ in range(frames - 1):
        first.step(HOME)
    first.save(tmp_path / 'a')
    second = StreamingTracker(model)
    second.step(HOME)
    second.load(tmp_path / 'a')
    (target,) = second._targets.values()
    loaded = target.bank.state()
    second.refine(1, Prompt(points=[(120, 100)]))
    after = target.bank.state()
    assert set(loaded.prompts) < set(after.prompts)
    assert torch.equal(after.features[0], loaded.features[0])


def test_a_step_that_fails_while_it_is_read_moves_no_target(model, monkeypatch):
    tracker = start(model)
    (target,) = tracker._targets.values()
    at, seen = target.at, target.segmentation

    def fail(*_):
        raise MemoryError

    monkeypatch.setattr(pipeline, 'read_out', fail)
    with pytest.raises(MemoryError):
        tracker.step(HOME)
    assert (target.at, target.segmentation) == (at, seen)


def test_a_prompt_from_before_a_cut_waits_as_the_others_do(model):
    tracker = start(model, prompt_history_s=10.0)
    before = tracker.result.frame_index
    assert tracker.step(AWAY).view.motion_class is MotionClass.CUT
    late = tracker.add(BOX, frame=before)
    now = tracker.add(BOX)
    assert tracker._targets[late].watch.waiting and not tracker._targets[now].watch.waiting


def test_a_result_can_be_written_to_without_harm(model):
    tracker = start(model)
    result = tracker.step(HOME)
    (target,) = tracker._targets.values()
    before = target.segmentation.logits.clone()
    result.targets[0].mask_logits.numpy()[:] = 0
    assert torch.equal(target.segmentation.logits, before)


def test_other_motion_settings_keep_where_the_camera_went(model):
    tracker = start(model)
    for x in (12, 24, 36):
        tracker.step(np.roll(HOME, x, axis=1))
    supervisor = tracker._pipeline._supervisor
    travel = list(supervisor._travel)
    assert travel[0] > 0
    motion = replace(tracker.config.motion, rapid_shift=0.1)
    tracker.configure(replace(tracker.config, motion=motion))
    assert tracker._pipeline._supervisor._travel == travel


def test_an_unexplained_fit_moves_no_mask(model):
    tracker = start(model)
    noisy = np.random.default_rng(0)
    supervisor = tracker._pipeline._supervisor
    shifts = []
    for _ in range(6):
        image = np.clip(HOME + noisy.normal(0, 10, HOME.shape), 0, 255).astype(np.uint8)
        view = tracker.step(image).view
        assert view.motion_class in (MotionClass.STILL, MotionClass.NORMAL)
        shifts.append(view.shift)
    assert supervisor._travel == [0.0, 0.0]
    assert any(shift != (0.0, 0.0) for shift in shifts)
