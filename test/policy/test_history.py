# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from esam2_ros.errors import UnknownFrameError
from esam2_ros.policy.history import FrameHistory
from esam2_ros.policy.history import PastFrame

FRAME_BYTES = 4 * 4 * 3


def filled(count, max_bytes=1000, max_seconds=100.0):
    history = FrameHistory(max_bytes, max_seconds)
    for index in range(count):
        history.push(PastFrame(index, index * 10**9, np.zeros((4, 4, 3), np.uint8)))
    return history


def indices(history):
    oldest, newest = history.span()
    return oldest.index, newest.index


@pytest.mark.parametrize(
    ('bounds', 'expected'),
    [
        ({'max_bytes': 3 * FRAME_BYTES}, (7, 9)),
        ({'max_bytes': 0}, (9, 9)),  # the newest always stays
        ({'max_seconds': 4.0}, (5, 9)),
        ({'max_seconds': 0.0}, (9, 9)),
    ],
)
def test_is_bounded(bounds, expected):
    history = filled(10, **bounds)
    assert indices(history) == expected
    assert history.nbytes == (expected[1] - expected[0] + 1) * FRAME_BYTES


@pytest.mark.parametrize(
    ('index', 'limit', 'expected'),
    [
        (9, 4, []),
        (6, 4, [7, 8, 9]),
        (1, 4, [3, 5, 7, 9]),
        (0, 1, [9]),
    ],
)
def test_after_is_evenly_spaced_and_ends_with_the_newest(index, limit, expected):
    assert [frame.index for frame in filled(10).after(index, limit)] == expected


def test_a_frame_too_old_is_refused_with_the_span():
    history = filled(10, max_seconds=2.0)
    assert history.index_at(8 * 10**9) == 8
    with pytest.raises(
        UnknownFrameError, match=r'stamped 1000000000 ns .* stamps 7000000000 to 9000000000 ns'
    ):
        history.index_at(10**9)
    with pytest.raises(UnknownFrameError, match='it holds frames 7 to 9'):
        history.at(3)
    history.clear()
    with pytest.raises(UnknownFrameError, match='it is empty'):
        history.at(3)
