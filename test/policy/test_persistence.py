# SPDX-License-Identifier: Apache-2.0
"""Targets that are saved and loaded go on as if nothing had been between."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from esam2_ros.core.models import build_model
from esam2_ros.core.prompts import Prompt
from esam2_ros.errors import ImageSizeError
from esam2_ros.errors import MemoryFileError
from esam2_ros.errors import TooManyTargetsError
from esam2_ros.policy.config import TrackerConfig
from esam2_ros.policy.memory_file import read_contents
from esam2_ros.policy.memory_file import write_contents
from esam2_ros.policy.tracker import StreamingTracker

BEFORE, AFTER = 9, 3  # more frames than the ring of recent memories has
WIDTH, HEIGHT = 320, 240
SEEN = Prompt(mask=np.pad(np.ones((60, 80), bool), ((80, 100), (100, 140))), label='cup')


@pytest.fixture(scope='module', autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope='module')
def model():
    return build_model('compact', 256, seed=1)


def image(index, width=WIDTH, height=HEIGHT):
    """A frame of a noisy background with a square that moves; the same each time."""
    noise = np.random.default_rng(7).integers(0, 80, (height, width, 3), np.uint8)
    noise[80:140, 100 + 3 * index : 180 + 3 * index] += 120
    return noise


def config(**values):
    return TrackerConfig(**{'prompt_frames': 2, **values})


def stream(model, settings, targets=2, frames=BEFORE):
    """A tracker after the frames before the pause, with a correction and a click on the way."""
    tracker = StreamingTracker(model, settings)
    tracker.step(image(0))
    tracker.add(SEEN)
    if targets > 1:
        tracker.add(Prompt(points=[(30, 40)], point_labels=[1], label='wall'))
    for index in range(1, frames):
        tracker.step(image(index))
        if index == 4:
            tracker.refine(1, Prompt(box=(110, 80, 195, 140)))
    return tracker


def rest(tracker):
    """Results of the frames after the pause."""
    return [tracker.step(image(index)) for index in range(BEFORE, BEFORE + AFTER)]


def compare(first, second):
    assert [each.id for each in first.targets] == [each.id for each in second.targets]
    for one, other in zip(first.targets, second.targets, strict=True):
        torch.testing.assert_close(one.mask_logits, other.mask_logits, atol=1e-5, rtol=1e-5)
        np.testing.assert_array_equal(one.mask, other.mask)
        assert (one.label, one.state, one.age_frames) == (
            other.label,
            other.state,
            other.age_frames,
        )
        assert one.frames_since_seen == other.frames_since_seen
        assert one.score == pytest.approx(other.score, abs=1e-5)


@pytest.mark.parametrize(
    'values',
    [{}, {'mode': 'smr'}, {'mode': 'stock'}, {'dtype': 'bfloat16'}, {'monitor': True}],
    ids=lambda values: '-'.join(map(str, values.values())) or 'exact',
)
def test_a_loaded_tracker_goes_on_as_the_one_that_was_saved(model, tmp_path, values):
    first = stream(model, config(**values))
    assert first.save(tmp_path / 'a.safetensors') == (1, 2)
    second = StreamingTracker(model, config(**values))
    assert second.load(tmp_path / 'a.safetensors') == (1, 2)
    assert second.result is None
    for one, other in zip(rest(first), rest(second), strict=True):
        compare(one, other)


def test_all_that_a_bank_and_a_target_hold_comes_back(model, tmp_path):
    first = stream(model, config(mode='smr', monitor=True, prompt_frames=4))
    first._targets[1].bank.promote(first._targets[1].at, 1)
    first._targets[1].watch.cut()
    first.save(tmp_path / 'a')
    second = StreamingTracker(model, config(mode='smr', monitor=True, prompt_frames=4))
    second.load(tmp_path / 'a')
    for one, other in zip(first._targets.values(), second._targets.values(), strict=True):
        for name, value in vars(one.bank.state()).items():
            again = getattr(other.bank.state(), name)
            same = torch.equal(value, again) if isinstance(value, torch.Tensor) else value == again
            assert same, name
        # Where it was is measured from the start of a stream that is over.
        assert replace(one.watch, place=None) == other.watch
        assert (one.at, one.committed, one.suspect) == (other.at, other.committed, other.suspect)
        assert one.prompt.label == other.prompt.label
    # The newest prompt of target 1 is the correction.
    np.testing.assert_array_equal(second._targets[1].prompt.box, [110, 80, 195, 140])
    assert second._targets[1].bank.state().anchors != ()


_SECOND = """
import sys
import torch
torch.set_num_threads(1)
sys.path.insert(0, sys.argv[1])
import test_persistence as here
model = here.build_model('compact', 256, seed=1)
tracker = here.StreamingTracker(model, here.config())
tracker.load(sys.argv[2])
logits = [state.mask_logits for result in here.rest(tracker) for state in result.targets]
torch.save(torch.stack(logits), sys.argv[3])
"""


def test_another_process_goes_on_as_the_one_that_was_saved(model, tmp_path):
    first = stream(model, config())
    first.save(tmp_path / 'a')
    expected = [state.mask_logits for result in rest(first) for state in result.targets]
    given = [str(Path(__file__).parent), str(tmp_path / 'a'), str(tmp_path / 'logits')]
    subprocess.run([sys.executable, '-c', _SECOND, *given], check=True, timeout=60)
    loaded = torch.load(tmp_path / 'logits')
    torch.testing.assert_close(loaded, torch.stack(expected), atol=1e-5, rtol=1e-5)


def test_loading_in_the_middle_of_a_stream_keeps_what_is_tracked(model, tmp_path):
    first = stream(model, config())
    first.remove(1)
    first.save(tmp_path / 'a')
    running = stream(model, config(), targets=1)
    alone = stream(model, config(), targets=1)
    assert running.load(tmp_path / 'a') == (2,)
    assert running.target_ids == (1, 2)
    assert [(each.id, each.label) for each in running.result.targets] == [(1, 'cup'), (2, 'wall')]
    for mixed, old, saved in zip(rest(running), rest(alone), rest(first), strict=True):
        for target_id, other in ((1, old), (2, saved)):
            torch.testing.assert_close(
                mixed.target(target_id).mask_logits,
                other.target(target_id).mask_logits,
                atol=1e-4,
                rtol=1e-4,
            )
    assert running.add(Prompt(box=(10, 10, 60, 60))) == 3


def test_the_first_image_after_loading_is_computed_whole(model, tmp_path):
    stream(model, config(mode='paper')).save(tmp_path / 'a')
    second = StreamingTracker(model, config(mode='paper'))
    second.load(tmp_path / 'a')
    plans = [result.plan for result in rest(second)]
    assert plans[0].is_dense
    assert set(plans[0].reasons) == {'prompt'}


def test_a_loaded_target_is_corrected_and_removed_like_any_other(model, tmp_path):
    stream(model, config(), frames=3).save(tmp_path / 'a')
    second = StreamingTracker(model, config())
    second.load(tmp_path / 'a')
    second.step(image(BEFORE))
    second.refine(1, Prompt(points=[(150, 110)], label='mug'))
    assert second.result.target(1).label == 'mug'
    assert len(second._targets[1].prompt.points) == 1
    second.remove(2)
    assert [each.id for each in second.step(image(BEFORE + 1)).targets] == [1]


def untouched(tracker, path, error, *words):
    """Loading is refused with these words, and the tracker goes on as before."""
    before = tracker.result.targets, tracker.target_ids, tracker.memory_bytes
    with pytest.raises(error) as caught:
        tracker.load(path)
    for word in words:
        assert word in str(caught.value)
    assert (tracker.result.targets, tracker.target_ids, tracker.memory_bytes) == before


@pytest.fixture(scope='module')
def saved(model, tmp_path_factory):
    """A file with targets 1 and 2."""
    path = tmp_path_factory.mktemp('memory') / 'a.safetensors'
    stream(model, config(), frames=3).save(path)
    return path


def test_other_models_sizes_and_shapes_are_refused(model, saved):
    other = build_model('compact', 256, seed=2)
    tracker = StreamingTracker(other, config())
    tracker.step(image(0))
    untouched(tracker, saved, MemoryFileError, str(saved), 'same model with other weights')
    large = StreamingTracker(build_model('compact', 320, seed=1), config())
    large.step(image(0))
    untouched(large, saved, MemoryFileError, 'of a model of 256 px; this one has 320 px')
    wide = StreamingTracker(model, config(prompt_frames=3))
    wide.step(image(0))
    untouched(wide, saved, MemoryFileError, 'prompt_slots is 2 in the file and 3 here')
    small = StreamingTracker(model, config())
    small.step(image(0, 160, 120))
    untouched(small, saved, ImageSizeError, '320 x 240 px', '160 x 120 px')


def test_ids_in_use_and_too_many_targets_are_refused(model, saved):
    tracker = stream(model, config(), targets=1, frames=2)
    untouched(tracker, saved, MemoryFileError, 'ids that are in use: 1;', 'reset first')
    full = StreamingTracker(model, config(max_targets=1))
    full.step(image(0))
    untouched(full, saved, TooManyTargetsError, '2 targets, 0 are tracked and max_targets is 1')


def test_damaged_files_are_refused(model, saved, tmp_path):
    tracker = StreamingTracker(model, config())
    tracker.step(image(0))
    whole = saved.read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 1
    for name, content, word in (
        ('half', whole[: len(whole) // 2], 'damaged'),
        ('empty', b'', 'damaged'),
        ('flipped', bytes(flipped), 'do not match their SHA-256'),
        ('text', b'once upon a time', 'damaged'),
    ):
        path = tmp_path / name
        path.write_bytes(content)
        untouched(tracker, path, MemoryFileError, str(path), word)
    untouched(tracker, tmp_path / 'absent', MemoryFileError, 'no such file')
    untouched(tracker, tmp_path, MemoryFileError, 'no such file')


def test_descriptions_that_lack_something_are_refused(model, saved, tmp_path):
    tracker = StreamingTracker(model, config())
    tracker.step(image(0))
    path = tmp_path / 'a'
    contents = read_contents(saved)
    text = json.dumps(contents.description)
    for part in ('origin', 'at', 'bank', 'watch', 'areas'):
        contents.description.clear()
        contents.description.update(json.loads(text.replace(f'"{part}"', '"other"')))
        write_contents(path, contents)
        untouched(tracker, path, MemoryFileError, 'damaged')
    contents.description.clear()
    contents.description.update(json.loads(text))
    del contents.tensors['2.logits']
    write_contents(path, contents)
    untouched(tracker, path, MemoryFileError, 'damaged')


def test_saving_replaces_the_file_as_a_whole_or_not_at_all(model, saved, tmp_path):
    path = tmp_path / 'deep' / 'a'
    tracker = stream(model, config(), targets=1, frames=2)
    tracker.save(path)
    before = path.read_bytes()
    with pytest.raises(MemoryFileError, match='nothing to save, no target is tracked'):
        StreamingTracker(model, config()).save(path)
    assert path.read_bytes() == before
    with pytest.raises(MemoryFileError, match='cannot be written'):
        tracker.save(path / 'below a file')
    with pytest.raises(MemoryFileError, match='cannot be written'):
        tracker.save(path.parent)
    assert [each.name for each in path.parent.iterdir()] == ['a']
    assert [each.name for each in tmp_path.iterdir()] == ['deep']
