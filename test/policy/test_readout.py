# SPDX-License-Identifier: Apache-2.0
"""What the host reads of a tracked frame: once, whatever is asked and however many targets.

Without a GPU a whole tracker runs on the meta device, where a tensor has no values and any look
at one raises; only the transfer is replaced by one that counts and answers.
"""

from collections.abc import Iterable

import cv2
import numpy as np
import pytest
import torch
from meta import on_meta
from skimage import data

from esam2_ros import Prompt
from esam2_ros import StreamingTracker
from esam2_ros import TrackerConfig
from esam2_ros.core.models import build_model
from esam2_ros.core.transfer import pack
from esam2_ros.core.transfer import to_host
from esam2_ros.core.transfer import unpack
from esam2_ros.policy import readout

SIDE = 256
SIZE = (320, 240)
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a CUDA device')
cases = pytest.mark.parametrize(
    ('targets', 'batched'), [(1, True), (3, True), (3, False)], ids=['one', 'three', 'one by one']
)
modes = pytest.mark.parametrize('mode', ['exact', 'paper'])
monitored = pytest.mark.parametrize('monitor', [False, True], ids=['alone', 'monitored'])


def photograph(pixels):
    return np.ascontiguousarray(cv2.resize(pixels, SIZE, interpolation=cv2.INTER_AREA))


HOME, AWAY = photograph(data.coffee()), photograph(data.astronaut())


def film() -> Iterable[np.ndarray]:
    """A scene that stays, then moves, then is cut to another."""
    yield from [HOME, HOME, np.roll(HOME, (3, 5), (0, 1)), AWAY, AWAY]


def start(model, mode, monitor, targets, batched=True, **settings):
    config = TrackerConfig(mode=mode, monitor=monitor, batch_targets=batched, **settings)
    tracker = StreamingTracker(model, config)
    tracker.step(HOME)
    for number in range(targets):
        tracker.add(Prompt(box=(60 + 30 * number, 60, 170 + 40 * number, 180)))
    return tracker


class Courier:
    """Stands in for `to_host` and counts; by default it answers for the meta device.

    Every number is 6; of masks and windows the first third is there.
    """

    def __init__(self, carry=None):
        self.calls = 0
        self._carry = carry or self._make_up

    def __call__(self, tensors):
        self.calls += 1
        return self._carry(tensors)

    @staticmethod
    def _make_up(tensors):
        assert {each.device.type for each in tensors} == {'meta'}
        packed = pack(tensors)
        answers = unpack(torch.zeros(packed.shape, dtype=packed.dtype), tensors)
        for each in answers:
            if each.dtype == torch.bool:
                each[..., : each.shape[-1] // 3] = True
            else:
                each.fill_(6.0)
        return answers


@pytest.fixture(scope='module')
def meta_model():
    return on_meta(build_model('compact', SIDE, seed=1))


@modes
@monitored
@cases
def test_a_tracked_frame_is_read_once(monkeypatch, meta_model, mode, monitor, targets, batched):
    monkeypatch.setattr(readout, 'to_host', courier := Courier())
    tracker = start(meta_model, mode, monitor, targets, batched, dtype='float32')
    computed = []
    for number, image in enumerate(film(), start=1):
        courier.calls = 0
        result = tracker.step(image)
        assert courier.calls == 1, f'frame {number}'
        assert len(result.targets) == targets
        computed.append(len(result.plan.active))
    every = result.plan.grid.count
    assert (min(computed) < every) == (mode == 'paper')  # what was read made the plans


def test_a_frame_without_targets_is_not_read(monkeypatch, meta_model):
    monkeypatch.setattr(readout, 'to_host', courier := Courier())
    start(meta_model, 'paper', monitor=True, targets=0, dtype='float32')
    assert courier.calls == 0


def biased_model(score):
    """Random weights whose object score is about `score`."""
    model = build_model('compact', SIDE, seed=1)
    model.sam_mask_decoder.pred_obj_score_head.layers[-1].bias.fill_(score)
    return model


@monitored
@pytest.mark.parametrize('batched', [True, False], ids=['together', 'one by one'])
def test_what_is_packed_on_a_gpu_is_what_a_cpu_reads(monkeypatch, monitor, batched):
    """There saliency is always computed and everything goes through the packed copy."""
    model, runs = biased_model(-1.0), []
    for packed in (False, True):
        if packed:
            monkeypatch.setattr(readout, 'to_host', lambda tensors: unpack(pack(tensors), tensors))
        # LOST at once: with the monitor on an OCCLUDED target would be searched everywhere.
        tracker = start(model, 'paper', monitor, 3, batched, lost_after_frames=1)
        tracker._pipeline._path._asks = not packed
        runs.append([tracker.step(image) for image in film()])
    assert any('saliency' in result.plan.reasons for result in runs[0])
    for free, whole in zip(*runs, strict=True):
        assert free.plan == whole.plan
        assert free.events == whole.events
        for one, other in zip(free.targets, whole.targets, strict=True):
            assert torch.equal(one.mask_logits, other.mask_logits)
            assert np.array_equal(one.mask, other.mask)
            assert (one.score, one.object_logit) == (other.score, other.object_logit)


@pytest.mark.parametrize(('score', 'asked'), [(-1.0, True), (3.0, True), (9.0, False)])
def test_a_cpu_computes_saliency_only_where_it_is_needed(monkeypatch, score, asked):
    tracker = start(biased_model(score), 'paper', monitor=False, targets=1)
    looked = []
    saliency = tracker._engine.saliency
    monkeypatch.setattr(
        tracker._engine, 'saliency', lambda looks: looked.append(looks) or saliency(looks)
    )
    tracker.step(HOME)
    (evidence,) = tracker._pipeline._evidence
    assert len(looked) == asked
    assert (evidence.saliency is not None) == asked


def test_the_monitor_looks_at_the_newest_masks(tmp_path):
    """After a frame, a prompt, a correction, and of a target that was loaded before any frame."""

    def check(tracker, result):
        tracker.step(HOME)
        seen = tracker._pipeline._supervisor._drawn
        assert len(seen) == len(result.targets) > 0
        for drawn, state in zip(seen, result.targets, strict=True):
            assert np.array_equal(drawn, state.mask_logits.numpy() > 0)

    model = biased_model(3.0)
    tracker = start(model, 'exact', monitor=True, targets=1)
    check(tracker, tracker.result)
    check(tracker, tracker.result)
    tracker.add(Prompt(box=(10, 20, 60, 90)))
    check(tracker, tracker.result)
    tracker.refine(1, Prompt(points=[(200, 100)], point_labels=[1]))
    check(tracker, tracker.result)
    tracker.save(tmp_path / 'two.safetensors')
    loaded = StreamingTracker(model, TrackerConfig(monitor=True))
    loaded.load(tmp_path / 'two.safetensors')
    check(loaded, tracker.result)


@needs_cuda
@modes
@monitored
@cases
def test_a_gpu_is_waited_for_once_a_frame(monkeypatch, mode, monitor, targets, batched):
    def carry(tensors):
        torch.cuda.set_sync_debug_mode('default')
        try:
            return to_host(tensors)
        finally:
            torch.cuda.set_sync_debug_mode('error')

    tracker = start(build_model('compact', SIDE, seed=1).cuda(), mode, monitor, targets, batched)
    for image in film():  # kernels are chosen and pinned memory is allocated
        tracker.step(image)
    monkeypatch.setattr(readout, 'to_host', courier := Courier(carry))
    torch.cuda.synchronize()
    for image in film():
        courier.calls = 0
        torch.cuda.set_sync_debug_mode('error')
        try:
            tracker.step(image)
        finally:
            torch.cuda.set_sync_debug_mode('default')
        assert courier.calls == 1
