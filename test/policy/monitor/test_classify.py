# SPDX-License-Identifier: Apache-2.0
"""Turns of direction, which tell a shake from a pan."""

import pytest

from esam2_ros.policy.monitor.classify import reversals


@pytest.mark.parametrize(
    ('shifts', 'expected'),
    [
        ([], 0),
        ([(5, 0)], 0),
        ([(5, 0), (5, 1), (4, 0)], 0),
        ([(5, 0), (-5, 0), (5, 0)], 2),
        ([(5, 0), (0, 5), (-5, 0)], 0),  # right angles are no turns back
        ([(5, 0), (0.5, 0), (-5, 0)], 1),  # small shifts do not count
        ([(5, 0), (-0.5, 0), (5, 0)], 0),
    ],
)
def test_reversals(shifts, expected):
    assert reversals(shifts, 1.0) == expected
