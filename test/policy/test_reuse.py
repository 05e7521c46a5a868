# SPDX-License-Identifier: Apache-2.0
"""What still holds of the encoder's work: the plans, and trackers that run by them."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from esam2_ros import Prompt
from esam2_ros import StreamingTracker
from esam2_ros import TrackerConfig
from esam2_ros import load_model
from esam2_ros.core.images import resize_to_square
from esam2_ros.core.plan import FramePlan
from esam2_ros.core.plan import WindowGrid
from esam2_ros.core.plan import dense_plan
from esam2_ros.errors import ConfigError
from esam2_ros.policy.modes import Mode
from esam2_ros.policy.reuse import Reuse
from esam2_ros.policy.routing import ReplayedRouter
from esam2_ros.trace import TracedFrame
from esam2_ros.trace import TraceWriter
from esam2_ros.trace import plans_of
from esam2_ros.trace import read_trace
from esam2_ros.training.scenes import demo_scene

SIDE = 256
GRID = WindowGrid(3, 3, 96, SIDE)


def reuse(mode):
    """One that has seen a grey image, with a stand-in for the encoder's cache."""
    kept = Reuse(Mode(mode), 3.0, GRID, lambda: SimpleNamespace(filled=True, nbytes=0))
    run(kept, dense_plan(GRID, mode, 'prompt'), grey())
    return kept


def run(kept, plan, image):
    """Narrow a plan and carry it out."""
    narrowed = kept.narrow(plan, image)
    kept.commit(narrowed)
    return narrowed


def grey(*patches):
    """An image with bright patches of 8 px at these places (row, column)."""
    image = np.full((SIDE, SIDE, 3), 100, np.uint8)
    for row, column in patches:
        image[row : row + 8, column : column + 8] = 200
    return image


def routed(*windows, reason='mask', **fields):
    return FramePlan('incremental', GRID, windows, (reason,) * len(windows), **fields)


# --- plans


@pytest.mark.parametrize('mode', ['lossless', 'incremental'])
def test_the_first_image_is_computed_whole(mode):
    kept = Reuse(Mode(mode), 3.0, GRID, lambda: SimpleNamespace(filled=True, nbytes=0))
    plan = kept.narrow(dense_plan(GRID, mode), grey())
    assert plan.is_dense and plan.tiles is None
    kept.commit(plan)
    assert kept.fresh == frozenset(range(9))


def test_lossless_computes_what_changed():
    plan = run(reuse('lossless'), dense_plan(GRID, 'lossless'), grey((10, 10), (200, 110)))
    assert (plan.active, plan.reasons) == ((0, 7), ('changed', 'changed'))
    assert plan.tiles == (0, 51)
    assert plan.treatment == 'reused'
    assert run(reuse('lossless'), dense_plan(GRID, 'lossless'), grey()).active == ()


def test_of_the_windows_that_matter_those_that_changed_are_computed():
    kept = reuse('incremental')
    plan = run(kept, routed(0, 1, 4), grey((10, 10), (200, 110)))
    assert (plan.active, plan.reasons, plan.treatment) == ((0,), ('mask',), 'stale')
    assert plan.tiles == (0, 51)  # the skips of the decoder are always up to date
    assert kept.fresh == frozenset(range(9)) - {7}


def test_what_changed_and_was_left_out_is_computed_once_it_matters():
    kept = reuse('incremental')
    run(kept, routed(0), grey((200, 110)))
    plan = run(kept, routed(0, 7), grey((200, 110)))
    assert plan.active == (7,)
    assert plan.tiles == ()  # its tiles are up to date
    assert run(kept, routed(0, 7), grey((200, 110))).active == ()


@pytest.mark.parametrize(
    ('reason', 'windows'), [('prompt', 9), ('cut', 9), ('jump', 9), ('doubt', 1)]
)
def test_all_anew_where_what_is_kept_is_of_another_scene(reason, windows):
    plan = run(reuse('incremental'), dense_plan(GRID, 'incremental', reason), grey((10, 10)))
    assert len(plan.active) == windows


def test_a_turn_is_of_use_only_where_something_changed():
    kept = reuse('incremental')
    plan = run(kept, routed(0, 7, reason='refresh', refresh=(0, 7)), grey((200, 110)))
    assert plan.active == plan.refresh == (7,)


def test_a_plan_from_a_log_stays_as_it_is():
    logged = routed(3, treatment='stale', tiles=(1, 2))
    assert run(reuse('incremental'), logged, grey((10, 10))) == logged


def test_while_nothing_is_kept_everything_is_computed_and_the_plan_says_so():
    kept = reuse('incremental')
    kept.cache.filled = False
    plan = run(kept, routed(0, 5), grey())
    assert (plan.reasons, plan.tiles) == (('first',) * 9, None)
    assert kept.whole


def test_whole_is_a_frame_without_windows_out_of_date():
    kept = reuse('incremental')
    assert kept.whole
    run(kept, routed(0), grey((10, 10), (200, 110)))
    assert not kept.whole
    run(kept, routed(0, 7), grey((10, 10), (200, 110)))
    assert kept.whole


def test_after_a_reset_everything_is_computed():
    kept = reuse('incremental')
    kept.reset()
    assert not kept.cache.filled
    plan = kept.narrow(routed(0, 5), grey())
    assert plan.is_fresh
    assert kept.fresh == frozenset()


# --- trackers


@pytest.fixture(scope='module')
def scene():
    return demo_scene()


@pytest.fixture(scope='module')
def model():
    return load_model('compact', image_size=SIDE)


def follow(model, images, mask, router=None, **settings):
    tracker = StreamingTracker(model, TrackerConfig(**settings), router)
    tracker.step(images[0])
    ys, xs = mask.nonzero()
    tracker.add(Prompt(box=(xs.min(), ys.min(), xs.max() + 1, ys.max() + 1)))
    return tracker, [tracker.step(image) for image in images[1:]]


def still(scene, frames=8):
    """A camera that stands: all of the picture stays but the target's own pixels."""
    base = scene.frames[0]
    images = [base.copy() for _ in range(frames)]
    for index, image in enumerate(images):
        own = scene.masks[0] == 1
        image[own] = np.roll(base, index, axis=1)[own]
    return images, scene.masks[0] == 1


def logits(results):
    return torch.stack([result.targets[0].mask_logits for result in results])


def test_lossless_is_exact(model, scene):
    for images, mask in (still(scene), (scene.frames[:8], scene.masks[0] == 1)):
        _, exact = follow(model, images, mask, mode='exact')
        _, lossless = follow(model, images, mask, mode='lossless')
        error = (logits(exact) - logits(lossless)).abs().max()
        assert error < 1e-4 * logits(exact).abs().max()
    # Of the moving scene nothing stays, of the still one most.
    _, part = follow(model, *still(scene), mode='lossless')
    assert max(len(result.plan.active) for result in part[1:]) < 9


def test_a_camera_that_stands_makes_little_work(model, scene):
    """And its masks are those of all windows, nearly: the target's own windows are computed."""
    images, mask = still(scene, 12)
    settings = {'monitor': True, 'margin_px': 0}
    _, exact = follow(model, images, mask, mode='exact', **settings)
    _, part = follow(model, images, mask, mode='incremental', **settings)
    assert np.mean([len(result.plan.active) for result in part[1:]]) < 6
    assert all(len(result.plan.tiles) < 40 for result in part[1:])  # of 64
    for one, other in zip(exact, part, strict=True):
        a, b = one.targets[0].mask, other.targets[0].mask
        assert (a & b).sum() / (a | b).sum() > 0.95


@pytest.mark.parametrize('mode', ['lossless', 'incremental'])
def test_nothing_changes_and_nothing_is_computed(model, scene, mode):
    images = [scene.frames[0]] * 6
    _, results = follow(model, images, scene.masks[0] == 1, mode=mode, monitor=True)
    assert [len(result.plan.active) for result in results[1:]] == [0] * 4


def hidden(scene):
    """A camera that stands, and a target that is covered for some frames."""
    images, mask = still(scene, 14)
    ys, xs = mask.nonzero()
    for image in images[4:9]:
        image[ys.min() : ys.max() + 1, xs.min() : xs.max() + 1] = 90
    return images, mask


@pytest.mark.parametrize(
    'film', [still, hidden, lambda scene: ([scene.frames[0]] * 6, scene.masks[0] == 1)]
)
@pytest.mark.parametrize('mode', ['lossless', 'incremental'])
def test_a_trace_gives_the_same_masks_again(model, scene, tmp_path, film, mode):
    """Also where nothing was computed, and where the target was out of view."""
    images, mask = film(scene)
    _, first = follow(model, images, mask, mode=mode, monitor=True)
    writer = TraceWriter(tmp_path / 'trace.jsonl')
    for result in first:
        writer.write(TracedFrame.of(result))
    writer.close()
    plans = plans_of(read_trace(tmp_path / 'trace.jsonl'))
    assert plans == [result.plan for result in first]
    _, again = follow(model, images, mask, ReplayedRouter(plans), mode=mode, monitor=True)
    assert torch.equal(logits(first), logits(again))
    assert [result.plan for result in again] == plans


@pytest.mark.parametrize(
    ('logged', 'settings'),
    [
        ('lossless', {'mode': 'exact'}),
        ('incremental', {'mode': 'paper', 'query_sparse': True}),
        ('incremental', {'mode': 'lossless'}),
    ],
)
def test_a_log_of_another_treatment_is_refused(model, scene, logged, settings):
    images, mask = still(scene)
    _, first = follow(model, images, mask, mode=logged, monitor=True)
    router = ReplayedRouter([result.plan for result in first])
    with pytest.raises(ConfigError, match=r"treats windows as '(stale|reused)'; allowed in mode"):
        follow(model, images, mask, router, **settings)


def test_in_a_still_picture_every_block_has_its_turn(model, scene):
    images = [scene.frames[0]] * 14
    _, results = follow(model, images, scene.masks[0] == 1, mode='incremental', monitor=True)
    seen = set().union(*(result.plan.queries[0] for result in results if result.plan.queries))
    assert seen == set(range(16))


def test_several_targets(model, scene):
    """Windows are those of all, blocks those of each."""
    images, mask = still(scene)
    tracker, _ = follow(model, images[:3], mask, mode='incremental', monitor=True)
    tracker.add(Prompt(box=(5, 5, 60, 60)))
    results = [tracker.step(image) for image in images[3:]]
    assert all(len(result.targets) == 2 for result in results)
    assert {len(result.plan.queries) for result in results if result.plan.queries} == {2}
    tracker.remove(1)
    assert len(tracker.step(images[0]).targets) == 1


def test_a_prompt_never_takes_features_that_are_old_in_part(model, scene):
    """All windows computed, but not all tiles: a prompt on that frame encodes it anew."""
    images, mask = still(scene)
    tracker, _ = follow(model, images[:3], mask, mode='incremental')
    image = np.clip(images[3].astype(int) + 1, 0, 255).astype(np.uint8)
    for row in range(4, 200, 32):
        for column in range(4, image.shape[1] - 8, 64):
            image[row : row + 8, column : column + 8] += 60
    result = tracker.step(image)
    newest = tracker._history.at(result.frame_index)
    kept = tracker._history.features_of(newest)
    assert (kept is not None) == result.plan.is_fresh


def test_settings_that_are_refused_change_nothing(model, scene, monkeypatch):
    images, mask = still(scene)
    tracker, _ = follow(model, images[:4], mask, mode='exact', monitor=True)
    before = tracker._pipeline._supervisor.config

    def refuse(lossless):
        raise ConfigError('no room')

    monkeypatch.setattr(tracker._engine, 'new_frame_cache', refuse)
    with pytest.raises(ConfigError, match='no room'):
        tracker.configure(TrackerConfig(mode='lossless', monitor=True, latency_ms=1.0))
    assert tracker.config.mode == 'exact'
    assert tracker._pipeline._supervisor.config == before


@pytest.mark.parametrize('mode', ['lossless', 'incremental'])
def test_normalised_images_are_compared_too(model, scene, mode):
    images, mask = still(scene)
    _, wanted = follow(model, images, mask, mode=mode, monitor=True)
    tracker = StreamingTracker(model, TrackerConfig(mode=mode, monitor=True))
    engine = tracker._engine
    size = (images[0].shape[1], images[0].shape[0])
    results = []
    for index, image in enumerate(images):
        tensor = engine.normalise(resize_to_square(image, SIDE))
        results.append(tracker.step_tensor(tensor, size=size))
        if not index:
            ys, xs = mask.nonzero()
            tracker.add(Prompt(box=(xs.min(), ys.min(), xs.max() + 1, ys.max() + 1)))
    assert [len(r.plan.active) for r in results[1:]] == [len(r.plan.active) for r in wanted]


def test_a_frame_that_raises_leaves_nothing_behind(model, scene, monkeypatch):
    images, mask = still(scene)
    tracker, _ = follow(model, images[:4], mask, mode='lossless')
    with monkeypatch.context() as patch, pytest.raises(ZeroDivisionError):
        patch.setattr(tracker._engine.encoder, 'finish', lambda stages: 1 / 0)
        tracker.step(images[4])
    result = tracker.step(images[5])
    assert result.plan.is_dense and result.plan.tiles is None


def test_modes_may_change_and_memory_does_not_grow(model, scene):
    images, mask = still(scene, 20)
    tracker, _ = follow(model, images[:8], mask, mode='exact', prompt_history_bytes=0)
    without = tracker.memory_bytes
    for mode in ('lossless', 'incremental'):
        tracker.configure(TrackerConfig(mode=mode, prompt_history_bytes=0, monitor=True))
        sizes = []
        for image in images[8:14]:
            first = tracker.step(image)
            sizes.append(tracker.memory_bytes)
        assert not first.plan.is_dense
        assert without < sizes[0] == sizes[-1]
    tracker.configure(TrackerConfig(mode='exact', prompt_history_bytes=0))
    tracker.step(images[14])
    assert tracker.memory_bytes == without


@pytest.mark.parametrize('mode', ['lossless', 'incremental'])
def test_after_a_change_of_mode_the_first_frame_is_whole(model, scene, mode):
    images, mask = still(scene)
    tracker, _ = follow(model, images[:5], mask, mode='exact')
    tracker.configure(TrackerConfig(mode=mode, monitor=True))
    assert tracker.step(images[5]).plan.is_fresh
    assert not tracker.step(images[6]).plan.is_dense
