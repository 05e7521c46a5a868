# SPDX-License-Identifier: Apache-2.0
"""Sparse memory retrieval: what is kept, for whom, and that it is what the paper keeps."""

import pytest
import stock_sam2
import torch

from esam2_ros import Prompt
from esam2_ros import StreamingTracker
from esam2_ros import TrackerConfig
from esam2_ros import load_model
from esam2_ros.core.conditioning import Conditioner
from esam2_ros.core.models import build_model
from esam2_ros.core.pack import ExactPack
from esam2_ros.core.retrieval import received
from esam2_ros.core.retrieval import sample_queries
from esam2_ros.training.scenes import demo_scene

SIDE = 256
BOXES = {1: (40, 60, 150, 170), 2: (20, 20, 90, 90), 3: (150, 100, 240, 220)}


@pytest.fixture(scope='module')
def model():
    return stock_sam2.sharpen(build_model('compact', SIDE, seed=1))


@pytest.fixture(scope='module')
def frames():
    generator = torch.Generator().manual_seed(2)
    video = [torch.randn(3, SIDE, SIDE, generator=generator)]
    for _ in range(11):
        fresh = torch.randn(3, SIDE, SIDE, generator=generator)
        video.append(0.9 * video[-1].roll(2, dims=2) + 0.43 * fresh)
    return torch.stack(video)


def follow(model, frames, order=(1,), **settings):
    """Mask logits of the last frame by box number, targets added in `order`."""
    tracker = StreamingTracker(model, TrackerConfig(**settings))
    tracker.step_tensor(frames[:1])
    ids = {tracker.add(Prompt(box=BOXES[number])): number for number in order}
    for frame in frames[1:]:
        result = tracker.step_tensor(frame[None])
    return {ids[target.id]: target.mask_logits for target in result.targets}, tracker


def test_keys_are_prompt_and_newest_whole_and_five_per_cent_of_five_others(model, frames):
    _, tracker = follow(model, frames, mode='smr')
    tokens, pointers = 16 * 16, 11 * 4
    kept = 2 * tokens + 5 * 12 + pointers
    assert tracker.result.memory.keys_kept == kept
    assert tracker.result.memory.keys_total == 7 * tokens + pointers
    assert tracker.result.plan.keep == 12


def test_every_target_is_retrieved_sparsely(model, frames):
    """The released code refreshes the last target only and leaves the others dense."""
    _, tracker = follow(model, frames, (1, 2, 3), mode='smr')
    assert tracker.result.memory.keys_kept == 3 * (2 * 256 + 5 * 12 + 44)


@pytest.mark.parametrize('mode', ['exact', 'smr', 'paper'])
def test_a_target_does_not_depend_on_the_order_of_targets(model, frames, mode):
    forth, _ = follow(model, frames, (1, 2, 3), mode=mode, batch_targets=True)
    back, _ = follow(model, frames, (3, 1, 2), mode=mode, batch_targets=True)
    for number, logits in forth.items():
        assert (back[number] - logits).abs().max() < 2e-3


@pytest.mark.parametrize('mode', ['exact', 'smr', 'paper'])
def test_targets_together_equal_targets_one_by_one(model, frames, mode):
    together, _ = follow(model, frames, (1, 2, 3), mode=mode, batch_targets=True)
    alone, _ = follow(model, frames, (1, 2, 3), mode=mode, batch_targets=False)
    for number, logits in together.items():
        assert (alone[number] - logits).abs().max() < 2e-3


def test_several_prompt_memories_stay_whole(model, frames):
    tracker = StreamingTracker(model, TrackerConfig(mode='smr'))
    tracker.step_tensor(frames[:1])
    target = tracker.add(Prompt(box=BOXES[1]))
    for index in range(1, 12):
        result = tracker.step_tensor(frames[index : index + 1])
        if index == 2:
            tracker.refine(target, Prompt(points=[(60, 80)]))
    assert result.memory.frames == 8
    assert result.memory.keys_kept == 3 * 256 + 5 * 12 + (1 + 1 + 9) * 4


def test_keeping_everything_is_dense(model, frames):
    dense, _ = follow(model, frames, mode='exact')
    sparse, _ = follow(model, frames, mode='smr', keep_ratio=1.0)
    assert (sparse[1] - dense[1]).abs().max() < 2e-3


def test_keeping_little_is_not_dense(model, frames):
    dense, _ = follow(model, frames, mode='exact')
    sparse, _ = follow(model, frames, mode='smr')
    assert (sparse[1] - dense[1]).abs().max() > 1e-2


def test_sampled_queries_are_spread_over_the_image():
    sample = sample_queries(4096, 256, torch.device('cpu'))
    assert len(sample.unique()) == 256
    assert set((sample // 64).tolist()) == set((sample % 64).tolist()) == set(range(2, 64, 4))
    assert len(sample_queries(100, 256, torch.device('cpu'))) == 100


def test_the_sample_finds_the_tokens_that_all_queries_find(monkeypatch):
    """Overlap of the kept 5 % with those of the full-query score, on the trained model."""
    clip = demo_scene()
    tracker = StreamingTracker(load_model('compact'), TrackerConfig(mode='smr'))
    overlaps = []
    keys = Conditioner._keys

    def compare(self, target, pointers, layer, query, retrieval, best):
        before = sum(map(len, best.values()))
        found = keys(self, target, pointers, layer, query, retrieval, best)
        if sum(map(len, best.values())) > before:
            place = [distance for _, distance in target.recall.frames].index(1)
            full = received(query, found.keys[place]).topk(retrieval.keep).indices
            newest = list(best.values())[-1][-1]
            overlaps.append(len(set(full.tolist()) & set(newest.tolist())) / retrieval.keep)
        return found

    monkeypatch.setattr(Conditioner, '_keys', compare)
    tracker.step(clip.frames[0])
    ys, xs = (clip.masks[0] == 1).nonzero()
    tracker.add(Prompt(box=(xs.min(), ys.min(), xs.max() + 1, ys.max() + 1)))
    for frame in clip.frames[1:8]:
        tracker.step(frame)
    assert len(overlaps) == 12  # two layers, from the second tracked frame on
    assert sum(overlaps) / len(overlaps) >= 0.8


@pytest.mark.parametrize(
    'flag', ['small_values', 'cached_keys', 'shared_self_attention', 'cached_tables', 'onednn']
)
@pytest.mark.parametrize('mode', ['exact', 'smr'])
def test_each_trick_can_be_left_out(model, frames, mode, flag):
    whole, _ = follow(model, frames, (1, 2), mode=mode)
    without, _ = follow(model, frames, (1, 2), mode=mode, pack=ExactPack(**{flag: False}))
    for number, logits in whole.items():
        assert (without[number] - logits).abs().max() < 2e-3
