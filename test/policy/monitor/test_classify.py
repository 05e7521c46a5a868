# SPDX-License-Identifier: Apache-2.0
"""Turns of direction, which tell a shake from a pan, and what is too fast to follow."""

from types import SimpleNamespace

import pytest

from esam2_ros.policy.monitor import MonitorConfig
from esam2_ros.policy.monitor import MotionClass
from esam2_ros.policy.monitor.classify import rapid
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


@pytest.mark.parametrize(
    ('motion_class', 'change', 'expected'),
    [
        (MotionClass.PAN, {'shift': (7.9, 0)}, False),  # of 320 thumbnail pixels: 0.025 is 8
        (MotionClass.PAN, {'shift': (8.1, 0)}, True),
        (MotionClass.SHAKE, {'shift': (0, -8.1)}, True),
        (MotionClass.PAN, {'rotation': -0.05}, True),  # 9 px in the corners
        (MotionClass.PAN, {'scale': 0.97}, False),
        (MotionClass.PAN, {'scale': 0.95}, True),
        (MotionClass.PAN, {'object_shift': (8.1, 0)}, True),
        (MotionClass.FAST, {'object_shift': (7.9, 0)}, False),
        (MotionClass.FAST, {'object_shift': (8.1, 0)}, True),
        (MotionClass.FAST, {}, True),  # it was not found again
        (MotionClass.NORMAL, {'shift': (9, 0)}, False),
        (MotionClass.NORMAL, {'likeness': 0.49, 'difference': 8.0}, True),
        (MotionClass.NORMAL, {'likeness': 0.51, 'difference': 8.0}, False),
        (MotionClass.NORMAL, {'likeness': 0.49, 'difference': 7.9}, False),
        (MotionClass.FLASH, {'likeness': 0.0, 'difference': 90.0}, False),
        (MotionClass.CUT, {'likeness': 0.0, 'difference': 90.0}, False),
    ],
)
def test_rapid(motion_class, change, expected):
    calm = {'shift': (0, 0), 'rotation': 0.0, 'scale': 1.0, 'likeness': 1.9, 'difference': 2.0}
    seen = SimpleNamespace(**{**calm, 'object_shift': None, **change})
    assert rapid(seen, motion_class, (320, 180), MonitorConfig()) is expected
