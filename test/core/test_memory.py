# SPDX-License-Identifier: Apache-2.0
import pytest
import torch

from esam2_ros.core.memory import MemoryBank
from esam2_ros.core.memory import MemoryShape

SHAPE = MemoryShape(
    prompt_slots=3,
    recent_frames=6,
    pointer_frames=15,
    tokens=4,
    channels=2,
    pointer_channels=8,
    layers=2,
    key_channels=6,
)


@pytest.fixture
def bank():
    return MemoryBank(SHAPE, torch.device('cpu'), torch.float32)


def write(write_to, frame):
    """Store frame number `frame` as memory and pointer, to be read back by value."""
    write_to(frame, torch.full((4, 2), float(frame)), torch.full((8,), float(frame)))


def recalled(bank, frame):
    """(frame, distance) of each recalled memory and pointer, read from the buffers."""
    recall = bank.recall(frame)
    frames = [(int(bank.features[row, 0, 0]), distance) for row, distance in recall.frames]
    pointers = [(int(bank.pointers[row, 0]), distance) for row, distance in recall.pointers]
    return frames, pointers


def test_an_empty_bank_recalls_nothing(bank):
    assert recalled(bank, 5) == ([], [])


def test_recalls_the_prompt_and_the_last_frames(bank):
    write(bank.write_prompt, 0)
    for frame in range(1, 40):
        write(bank.write_recent, frame)
    frames, pointers = recalled(bank, 40)
    # The prompt has distance 0, then the oldest recent frame first.
    assert frames == [(0, 0), (34, 6), (35, 5), (36, 4), (37, 3), (38, 2), (39, 1)]
    assert pointers == [(0, 40)] + [(40 - d, d) for d in range(1, 16)]


def test_a_frame_just_written_can_be_conditioned_again(bank):
    """A correction on frame 20 needs frame 14, which only the spare slot keeps."""
    write(bank.write_prompt, 0)
    for frame in range(1, 21):
        write(bank.write_recent, frame)
    frames, pointers = recalled(bank, 20)
    assert [frame for frame, _ in frames] == [0, 14, 15, 16, 17, 18, 19]
    assert len(pointers) == 16


def test_a_gap_is_not_filled_with_stale_frames(bank):
    write(bank.write_prompt, 0)
    for frame in (1, 2, 3):
        write(bank.write_recent, frame)
    assert recalled(bank, 8)[0] == [(0, 0), (2, 6), (3, 5)]
    assert recalled(bank, 100) == ([(0, 0)], [(0, 100)])


def test_the_first_and_the_newest_prompts_stay(bank):
    for frame in (0, 10, 20, 30, 40):
        write(bank.write_prompt, frame)
    assert sorted(frame for frame, _ in recalled(bank, 50)[0]) == [0, 30, 40]


def test_an_evicted_prompt_that_is_recent_is_still_recalled(bank):
    for frame in (0, 10, 11, 12):
        write(bank.write_prompt, frame)
    frames, pointers = recalled(bank, 13)
    assert sorted(frames) == [(0, 0), (10, 3), (11, 0), (12, 0)]
    assert (10, 3) in pointers


def test_a_prompt_replaces_the_recent_memory_of_its_frame(bank):
    write(bank.write_prompt, 0)
    write(bank.write_recent, 1)
    write(bank.write_prompt, 1)
    assert recalled(bank, 2)[0] == [(0, 0), (1, 0)]


def test_forget_recent_keeps_prompts(bank):
    write(bank.write_prompt, 3)
    write(bank.write_recent, 4)
    bank.forget_recent()
    assert recalled(bank, 5) == ([(3, 0)], [(3, 2)])


def test_the_buffers_are_written_in_place(bank):
    address, size = bank.features.data_ptr(), bank.nbytes
    for frame in range(500):
        write(bank.write_recent if frame % 50 else bank.write_prompt, frame)
    assert (bank.features.data_ptr(), bank.nbytes) == (address, size)
    kept = 2 * 7 * 4
    assert size == 4 * ((3 + 7) * 4 * 2 + (3 + 16) * 8 + kept)
