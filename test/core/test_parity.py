# SPDX-License-Identifier: Apache-2.0
"""Ours against the stock `sam2` predictor: same weights, same tensors, sparsity off."""

import copy
from dataclasses import replace

import pytest
import stock_sam2
import torch

from esam2_ros import Prompt
from esam2_ros import StreamingTracker
from esam2_ros import TrackerConfig
from esam2_ros.core.memory import MemoryBank
from esam2_ros.core.models import build_model

SIDE = 256
FRAMES = 20
LATE, CORRECTED = 7, 12

FIRST = {1: {'box': [40.0, 60.0, 150.0, 170.0]}}
THREE = {
    **FIRST,
    2: {'points': [[200.0, 90.0]], 'labels': [1]},
    3: {
        'points': [[90.0, 200.0], [20.0, 20.0]],
        'labels': [1, 0],
        'box': [60.0, 150.0, 140.0, 250.0],
    },
}
ADDED = {'points': [[128.0, 40.0]], 'labels': [1]}
CORRECTION = {'points': [[70.0, 100.0], [150.0, 150.0]], 'labels': [1, 0]}


@pytest.fixture(scope='module')
def models():
    names = ('compact', 'tiny')
    return {name: stock_sam2.sharpen(build_model(name, SIDE, seed=1)) for name in names}


@pytest.fixture
def model(models):
    return models['compact']


# The official shape once a way: it is ten times slower than the compact one.
CASES = [('compact', FIRST), ('compact', THREE)]


@pytest.fixture(scope='module')
def frames():
    """Slowly changing random images: each frame keeps most of the last one."""
    generator = torch.Generator().manual_seed(2)
    video = [torch.randn(3, SIDE, SIDE, generator=generator)]
    for _ in range(FRAMES - 1):
        fresh = torch.randn(3, SIDE, SIDE, generator=generator)
        video.append(0.9 * video[-1].roll(2, dims=2) + 0.43 * fresh)
    return torch.stack(video)


def ours(prompt):
    return Prompt(
        points=prompt.get('points'),
        point_labels=prompt.get('labels'),
        box=prompt.get('box'),
        mask=prompt.get('mask'),
    )


def teach(tracker, stream, target, before):
    """Overwrite a target's bank with what stock remembers of the frames before `before`."""
    bank = tracker._targets[target].bank
    added = before - 1 - tracker._targets[target].at  # a bank counts frames from its own first
    for kind, write in (('non_cond', bank.write_recent), ('cond', bank.write_prompt)):
        for frame, out in sorted(stream.outputs(target, kind).items()):
            if frame < before:
                memory = out['maskmem_features'][0].float().flatten(1).T
                write(frame - added, memory, out['obj_ptr'][0])


def run(model, frames, prompts, *, config=None, stock_model=None, taught=False, stop=FRAMES):
    """Both trackers over the video; yields (frame, target, stock's logits, ours)."""
    config = config or TrackerConfig(refine_is_prompt=False)
    twin = stock_sam2.predictor(stock_model or model, config.refine_is_prompt)
    stream = stock_sam2.StockStream(twin, frames)
    tracker = StreamingTracker(model, config)

    def prompted(frame, target, prompt, act):
        theirs = stream.prompt(frame, target, **prompt)
        act(ours(prompt))
        return frame, target, theirs, tracker.result.target(target).mask_logits

    for index in range(stop):
        theirs = stream.track(index) if index else {}
        if taught:
            for target in tracker.target_ids:
                teach(tracker, stream, target, index)
        result = tracker.step_tensor(frames[index : index + 1])
        for target, logits in theirs.items():
            yield index, target, logits, result.target(target).mask_logits
        if index == 0:
            for target, prompt in prompts.items():
                yield prompted(0, target, prompt, tracker.add)
        if index == LATE:
            yield prompted(index, len(prompts) + 1, ADDED, tracker.add)
        if index == CORRECTED:
            yield prompted(index, 1, CORRECTION, lambda prompt: tracker.refine(1, prompt))


def worst(pairs):
    """The largest error relative to max(1, |logit|), over all frames and targets."""
    errors = [
        ((theirs - got).abs().max() / theirs.abs().max().clamp(min=1)).item()
        for _, _, theirs, got in pairs
    ]
    assert len(errors) > 5
    return max(errors)


@pytest.mark.parametrize(('name', 'prompts'), [*CASES, ('tiny', FIRST)])
def test_teacher_forced_equals_stock(models, frames, name, prompts):
    assert worst(run(models[name], frames, prompts, taught=True)) <= 1e-4


@pytest.mark.parametrize(('name', 'prompts'), [*CASES, ('tiny', THREE)])
def test_free_running_equals_stock(models, frames, name, prompts, monkeypatch):
    stock_sam2.keep_memories_in_fp32(monkeypatch)
    assert worst(run(models[name], frames, prompts)) <= 5e-4


def test_corrections_as_prompts_equal_stock(model, frames, monkeypatch):
    stock_sam2.keep_memories_in_fp32(monkeypatch)
    assert worst(run(model, frames, FIRST, config=TrackerConfig())) <= 5e-4


def test_mask_prompt_equals_stock(model, frames, monkeypatch):
    stock_sam2.keep_memories_in_fp32(monkeypatch)
    mask = torch.zeros(SIDE, SIDE, dtype=torch.bool)
    mask[50:120, 80:200] = True
    assert worst(run(model, frames, {1: {'mask': mask.numpy()}}, stop=10)) <= 5e-4


def test_the_logits_are_responsive(model, frames):
    """A parity bound means nothing on logits near zero."""
    sizes = [got.abs().max().item() for _, _, _, got in run(model, frames, FIRST, stop=8)]
    assert min(sizes) > 1.0


def slots_reversed(tracker_model, monkeypatch):
    tracker_model.maskmem_tpos_enc.data = tracker_model.maskmem_tpos_enc.data.flip(0)


def rope_off(tracker_model, monkeypatch):
    for layer in tracker_model.memory_attention.layers:
        for attention in (layer.self_attn, layer.cross_attn_image):
            attention.freqs_cis = torch.ones_like(attention.freqs_cis)


def recall_less(change):
    def mutate(tracker_model, monkeypatch):
        recall = MemoryBank.recall
        monkeypatch.setattr(MemoryBank, 'recall', lambda bank, frame: change(recall(bank, frame)))

    return mutate


MUTATIONS = {
    'slots reversed': slots_reversed,
    'RoPE off': rope_off,
    'newest memory dropped': recall_less(lambda recall: replace(recall, frames=recall.frames[:-1])),
    'pointers off': recall_less(lambda recall: replace(recall, pointers=())),
}


@pytest.mark.parametrize('mutate', MUTATIONS.values(), ids=MUTATIONS.keys())
def test_a_bug_would_show(model, frames, mutate, monkeypatch):
    broken = copy.deepcopy(model)
    mutate(broken, monkeypatch)
    pairs = run(broken, frames, FIRST, stock_model=model, taught=True, stop=11)
    assert worst(pair for pair in pairs if pair[0] > 1) > 1e-2
