# SPDX-License-Identifier: Apache-2.0
"""A tracker that conditions only what is near its targets: what it saves, and what it keeps."""

import numpy as np
import pytest
import torch

from esam2_ros import Prompt
from esam2_ros import StreamingTracker
from esam2_ros import TrackerConfig
from esam2_ros import load_model
from esam2_ros.core.models import build_model
from esam2_ros.errors import ConfigError
from esam2_ros.policy.routing import ForcedRouter
from esam2_ros.policy.routing import ReplayedRouter
from esam2_ros.training.scenes import demo_scene

SIDE = 256
TOKENS = (SIDE // 16) ** 2
SETTINGS = {'mode': 'smr', 'monitor': True, 'query_sparse': True, 'prompt_history_bytes': 0}


@pytest.fixture(scope='module')
def scene():
    return demo_scene()


@pytest.fixture(scope='module')
def model():
    return load_model('compact', image_size=SIDE)


def mug(scene):
    """A box around the target."""
    ys, xs = (scene.masks[0] == 1).nonzero()
    return Prompt(box=(xs.min(), ys.min(), xs.max() + 1, ys.max() + 1))


def follow(model, scene, frames, router=None, **settings):
    """Results of the first frames of the demo scene."""
    tracker = StreamingTracker(model, TrackerConfig(**settings), router)
    tracker.step(scene.frames[0])
    tracker.add(mug(scene))
    return tracker, [tracker.step(frame) for frame in scene.frames[1:frames]]


def overlap(one, other):
    both, either = one & other, one | other
    return both.sum() / either.sum() if either.any() else 1.0


def test_calm_frames_condition_a_part_and_masks_stay(model, scene):
    _, part = follow(model, scene, 16, **SETTINGS)
    _, whole = follow(model, scene, 16, **{**SETTINGS, 'query_sparse': False})
    shares = [result.memory.queries / TOKENS for result in part]
    assert shares[0] == 1  # the prompt's
    assert np.mean(shares) < 0.6
    assert {result.memory.queries for result in whole} == {TOKENS}
    ious = [overlap(a.targets[0].mask, b.targets[0].mask) for a, b in zip(part, whole, strict=True)]
    assert np.mean(ious) > 0.98


def test_the_same_frames_and_plans_give_the_same_masks(model, scene):
    _, first = follow(model, scene, 8, **SETTINGS)
    plans = [result.plan for result in first]
    assert any(plan.queries for plan in plans)
    _, again = follow(model, scene, 8, ReplayedRouter(plans), **SETTINGS)
    for a, b in zip(first, again, strict=True):
        assert torch.equal(a.targets[0].mask_logits, b.targets[0].mask_logits)


def test_a_plan_in_parts_is_refused_where_nothing_is_kept(model, scene):
    _, first = follow(model, scene, 8, **SETTINGS)
    plans = [result.plan for result in first]
    for settings in ({'mode': 'smr'}, {'mode': 'exact', 'query_sparse': True}):
        with pytest.raises(
            ConfigError,
            match=r'query_sparse (True|False); needed: incremental, or smr or paper with',
        ):
            follow(model, scene, 8, ReplayedRouter(plans), **settings)


def test_queries_of_other_targets_are_refused(model, scene):
    _, results = follow(model, scene, 8, **SETTINGS)
    plan = next(result.plan for result in results if result.plan.queries)
    tracker = StreamingTracker(model, TrackerConfig(**SETTINGS), ReplayedRouter([plan]))
    tracker.step(scene.frames[0])
    tracker.add(mug(scene))
    tracker.add(mug(scene))
    with pytest.raises(ConfigError, match='queries of 1 targets; tracked: 2'):
        tracker.step(scene.frames[1])


def test_switched_off_and_on_again_nothing_old_is_used(model, scene):
    """What was kept before is out of date: the first frame conditions everything anew."""
    tracker, results = follow(model, scene, 8, **SETTINGS)
    assert results[-1].memory.queries < TOKENS
    bytes_with = tracker.memory_bytes
    tracker.configure(TrackerConfig(**{**SETTINGS, 'query_sparse': False}))
    assert tracker.step(scene.frames[8]).memory.queries == TOKENS
    assert tracker.memory_bytes < bytes_with
    tracker.configure(TrackerConfig(**SETTINGS))
    assert tracker.step(scene.frames[9]).memory.queries == TOKENS
    assert tracker.step(scene.frames[10]).memory.queries < TOKENS
    assert tracker.memory_bytes == bytes_with


def raising(*_, **__):
    raise RuntimeError('out of memory')


def refine(tracker, scene, monkeypatch):
    tracker.refine(1, Prompt(points=[(5, 5)], point_labels=[0]))


def late_prompt(tracker, scene, monkeypatch):
    tracker.refine(1, mug(scene), frame=tracker.result.frame_index - 2)


def jump(tracker, scene, monkeypatch):
    tracker.forget_recent()


def failed_frame(tracker, scene, monkeypatch):
    with monkeypatch.context() as patch, pytest.raises(RuntimeError, match='out of memory'):
        patch.setattr(tracker._engine, 'memorise', raising)
        tracker.step(scene.frames[8])


@pytest.mark.parametrize('event', [refine, late_prompt, jump, failed_frame])
def test_a_memory_that_is_another_is_read_everywhere(model, scene, event, monkeypatch):
    """Also where the plan, here a forced one, knows nothing of what happened."""
    router = ForcedRouter('smr', 1.0, queries=0.2)
    settings = {'mode': 'smr', 'query_sparse': True}
    tracker, results = follow(model, scene, 8, router, **settings)
    assert results[-1].memory.queries < TOKENS
    event(tracker, scene, monkeypatch)
    assert tracker.step(scene.frames[9]).memory.queries == TOKENS
    assert tracker.step(scene.frames[10]).memory.queries < TOKENS


def test_loaded_targets_are_conditioned_everywhere_at_first(model, scene, tmp_path):
    tracker, _ = follow(model, scene, 8, **SETTINGS)
    tracker.save(tmp_path / 'memory')
    other = StreamingTracker(model, TrackerConfig(**SETTINGS))
    other.load(tmp_path / 'memory')
    shares = [other.step(frame).memory.queries / TOKENS for frame in scene.frames[8:11]]
    assert shares[0] == 1
    assert shares[2] < 1


def test_without_the_monitor_nothing_is_kept(model, scene):
    tracker, results = follow(model, scene, 8, mode='smr', query_sparse=True)
    assert tracker._targets[1].cache is None
    assert {result.memory.queries for result in results} == {TOKENS}


def test_memory_does_not_grow(model, scene):
    tracker, _ = follow(model, scene, 8, **SETTINGS)
    before = tracker.memory_bytes
    for frame in scene.frames[8:20]:
        tracker.step(frame)
    assert tracker.memory_bytes == before


def test_in_one_pass_as_one_by_one():
    """Targets have blocks of their own: in one pass short lists of tokens repeat some."""
    model = build_model('compact', SIDE, seed=1)
    frames = torch.randn(6, 1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(4))
    logits = []
    for batched in (False, True):
        config = TrackerConfig(mode='smr', query_sparse=True, batch_targets=batched)
        tracker = StreamingTracker(model, config, ForcedRouter('smr', 1.0, queries=0.2))
        tracker.step_tensor(frames[0])
        for x in (20, 90, 150):
            tracker.add(Prompt(box=(x, 60, x + 80, 170)))
        for frame in frames[1:]:
            result = tracker.step_tensor(frame)
        assert result.memory.queries < 3 * TOKENS
        logits.append(torch.stack([target.mask_logits for target in result.targets]))
    assert (logits[1] - logits[0]).abs().max() < 2e-3 * logits[0].abs().max()
