# SPDX-License-Identifier: Apache-2.0
import gc

import numpy as np
import pytest
import torch

from esam2_ros import Prompt
from esam2_ros import StreamingTracker
from esam2_ros import TargetStatus
from esam2_ros import TrackerConfig
from esam2_ros.core.models import build_model
from esam2_ros.errors import ConfigError
from esam2_ros.errors import ImageError
from esam2_ros.errors import ImageSizeError
from esam2_ros.errors import NoImageError
from esam2_ros.errors import PromptError
from esam2_ros.errors import TooManyTargetsError
from esam2_ros.errors import UnknownFrameError
from esam2_ros.errors import UnknownTargetError

BOX = Prompt(box=[20, 20, 90, 70], label='cup')
CLICK = Prompt(points=[[60, 40]])


@pytest.fixture(scope='module')
def model():
    return build_model('compact', 256, seed=0)


@pytest.fixture
def tracker(model):
    return StreamingTracker(model)


def image(seed, size=(160, 90)):
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    return pixels


def logits(tracker, target):
    return tracker.result.target(target).mask_logits


def test_a_frame_without_targets_is_cheap_and_empty(tracker):
    result = tracker.step(image(0), stamp=7)
    assert (result.frame_index, result.stamp, result.image_size) == (0, 7, (160, 90))
    assert result.targets == ()
    assert result.timings.encode == 0.0


def test_add_gives_a_full_state(tracker):
    tracker.step(image(0))
    target = tracker.add(BOX)
    state = tracker.result.target(target)
    assert (state.id, state.label, state.age_frames) == (1, 'cup', 0)
    assert state.mask.shape == (90, 160)
    assert state.mask.dtype == np.bool_
    assert state.mask_logits.shape == (64, 64)
    assert state.area_px == state.mask.sum()
    rows, columns = np.nonzero(state.mask)
    assert state.box == (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    np.testing.assert_allclose(state.centroid, (columns.mean() + 0.5, rows.mean() + 0.5))
    assert tracker.step(image(1)).target(target).age_frames == 1


@pytest.mark.parametrize(('together', 'bound'), [(False, 0.0), (True, 1e-4)])
def test_targets_do_not_touch_each_other(model, together, bound):
    """Adding, refining and removing others leaves a target's logits as alone: bit for bit where
    targets are computed one by one, up to rounding where they are one batch."""

    def follow(disturb):
        tracker = StreamingTracker(model, TrackerConfig(batch_targets=together))
        tracker.step(image(0))
        tracker.add(BOX)
        for index in range(1, 9):
            tracker.step(image(index))
            disturb(tracker, index)
        return logits(tracker, 1)

    def others(tracker, index):
        if index == 2:
            tracker.add(CLICK)
        if index == 4:
            tracker.refine(2, Prompt(points=[[10, 10]], point_labels=[0]))
            tracker.add(Prompt(mask=np.ones((90, 160))))
        if index == 6:
            tracker.remove(2)

    assert (follow(lambda *_: None) - follow(others)).abs().max() <= bound


def test_a_refused_call_changes_nothing(model):
    """Bad calls between good ones: the target's logits are bit for bit those without them."""

    def follow(abuse):
        tracker = StreamingTracker(model, TrackerConfig(max_targets=1))
        tracker.step(image(0))
        tracker.add(BOX)
        for index in range(1, 5):
            tracker.step(image(index))
            abuse(tracker)
        return logits(tracker, 1)

    def abuse(tracker):
        for call, error in (
            (lambda: tracker.step(image(0, (80, 45))), ImageSizeError),
            (lambda: tracker.step(np.zeros((0, 0, 3), np.uint8)), ImageError),
            (lambda: tracker.step_tensor(torch.zeros(1, 3, 64, 64)), ImageError),
            (lambda: tracker.add(CLICK), TooManyTargetsError),
            (lambda: tracker.refine(1, Prompt(box=[0, 0, 500, 50])), PromptError),
            (lambda: tracker.refine(9, BOX), UnknownTargetError),
            (lambda: tracker.remove(9), UnknownTargetError),
        ):
            with pytest.raises(error):
                call()

    assert torch.equal(follow(lambda _: None), follow(abuse))


def test_messages_name_the_value(tracker):
    with pytest.raises(NoImageError, match='before the first image'):
        tracker.add(BOX)
    tracker.step(image(0))
    tracker.add(BOX)
    with pytest.raises(ImageSizeError, match='from 160 x 90 to 80 x 45 px while 1 targets'):
        tracker.step(image(0, (80, 45)))
    with pytest.raises(UnknownTargetError, match='no target has id 9; tracked: 1'):
        tracker.remove(9)
    with pytest.raises(UnknownFrameError, match='frame 5 is not in the history: it holds frames 0'):
        tracker.add(BOX, frame=5)


def test_a_new_size_is_fine_without_targets(tracker):
    tracker.step(image(0))
    tracker.step(image(1, (80, 45)))
    with pytest.raises(PromptError, match='of 80 x 45 px'):
        tracker.add(BOX)
    with pytest.raises(UnknownFrameError):
        tracker.add(CLICK, frame=0)


def test_ids_are_not_reused_at_once(model):
    tracker = StreamingTracker(model, TrackerConfig(max_targets=2))
    tracker.step(image(0))
    assert [tracker.add(CLICK), tracker.add(CLICK)] == [1, 2]
    tracker.remove(2)
    assert tracker.add(CLICK) == 3
    assert tracker.target_ids == (1, 3)
    tracker.reset()
    assert tracker.result.targets == ()
    assert tracker.add(CLICK) == 1


def test_ids_wrap_at_254(model):
    tracker = StreamingTracker(model)
    tracker.step(image(0))
    tracker.add(CLICK)
    tracker._last_id = 254
    assert tracker.add(CLICK) == 2


def test_a_late_prompt_lands_on_its_frame(model):
    """Catching up through every frame gives what prompting in time would have given."""

    def prompted(at):
        tracker = StreamingTracker(model)
        for index in range(4):
            tracker.step(image(index), stamp=100 + index)
            if index == at:
                tracker.add(BOX, frame=tracker.frame_at(101))
        return tracker

    in_time, late = prompted(1), prompted(3)
    assert late.history_span() == (100, 103)
    torch.testing.assert_close(logits(late, 1), logits(in_time, 1), rtol=0, atol=1e-5)
    in_time.step(image(9))
    late.step(image(9))
    torch.testing.assert_close(logits(late, 1), logits(in_time, 1), rtol=0, atol=1e-5)


def test_clicks_on_a_frame_add_up(model):
    """Two clicks one after the other are two clicks for the decoder, not the last one alone."""
    seen = []
    tracker = StreamingTracker(model)
    decode = tracker._engine.prompting._decode

    def spy(features, conditioned, points, **kwargs):
        seen.append(points[1].tolist()[0])
        return decode(features, conditioned, points, **kwargs)

    tracker._engine.prompting._decode = spy
    tracker.step(image(0))
    tracker.add(CLICK)
    tracker.refine(1, Prompt(points=[[5, 5]], point_labels=[0]))
    tracker.refine(1, BOX)
    tracker.refine(1, CLICK)
    assert seen == [[1], [1, 0], [2, 3], [2, 3, 1]]


def test_occluded_then_lost_then_back(model):
    tracker = StreamingTracker(model, TrackerConfig(lost_after_frames=3))
    tracker.step(image(0))
    tracker.add(BOX)
    head = model.sam_mask_decoder.pred_obj_score_head.layers[-1]
    seen = []
    before = head.bias.clone()
    try:
        for index, bias in enumerate((50.0, -50.0, -50.0, -50.0, 50.0), start=1):
            head.bias.fill_(bias)
            state = tracker.step(image(index)).targets[0]
            seen.append((state.state, state.frames_since_seen, state.area_px > 0))
    finally:
        head.bias.copy_(before)
    tracked, occluded, lost = TargetStatus.TRACKED, TargetStatus.OCCLUDED, TargetStatus.LOST
    assert [status for status, _, _ in seen] == [tracked, occluded, occluded, lost, tracked]
    assert [absent for _, absent, _ in seen] == [0, 1, 2, 3, 0]
    assert [visible for _, _, visible in seen][1:4] == [False, False, False]


def live_tensor_bytes():
    """Bytes of the storages of all tensors that anything refers to.

    Tensors without values, which tests of compiling leave behind, are not counted.
    """
    gc.collect()
    real = (torch.Tensor, torch.nn.Parameter)
    tensors = [each for each in gc.get_objects() if type(each) in real and not each.is_meta]
    storages = [tensor.untyped_storage() for tensor in tensors]
    return sum({storage.data_ptr(): storage.nbytes() for storage in storages}.values())


def test_memory_does_not_grow(model):
    """Bytes of every live tensor after frame 50 equal those after frame 300."""
    tracker = StreamingTracker(model, TrackerConfig(prompt_history_s=0.5))
    frame = image(0)
    tracker.step(frame, 0)
    tracker.add(BOX)
    tracker.add(CLICK)
    held = {}
    for index in range(1, 301):
        tracker.step(frame, index * 33_000_000)
        if index in (50, 300):
            held[index] = (live_tensor_bytes(), tracker.memory_bytes)
    assert held[50] == held[300]


def test_forget_recent_keeps_the_target(tracker):
    tracker.step(image(0))
    tracker.add(BOX)
    for index in range(1, 4):
        tracker.step(image(index))
    tracker.forget_recent()
    assert tracker.step(image(4)).memory.frames == 1
    assert tracker.target_ids == (1,)


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ({'max_targets': 255}, 'max_targets is 255; allowed: 1 to 254'),
        ({'memory_frames': 0}, 'memory_frames is 0; allowed: 1 to 7'),
        ({'dtype': 'int8'}, "dtype is 'int8'; allowed: auto, float32"),
    ],
)
def test_config_refuses(arguments, message):
    with pytest.raises(ConfigError, match=message):
        TrackerConfig(**arguments)
