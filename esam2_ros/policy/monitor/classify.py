# SPDX-License-Identifier: Apache-2.0
"""The rules: what a change means. Each is one line, so that each can be argued with."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from esam2_ros.policy.monitor.change import Change
from esam2_ros.policy.monitor.thumbnail import Thumbnail
from esam2_ros.policy.monitor.values import MOVING
from esam2_ros.policy.monitor.values import MonitorConfig
from esam2_ros.policy.monitor.values import MotionClass

Shift = tuple[float, float]


def another_scene(change: Change, config: MonitorConfig) -> bool:
    """Nothing is found again, no structure is kept, and the colours are others."""
    return (
        change.difference >= config.cut_difference
        and change.likeness < config.cut_likeness
        and change.palette < config.cut_palette
    )


def another_light(change: Change, config: MonitorConfig) -> bool:
    """The brightness of things jumped."""
    return abs(change.light) >= config.light_change


def blank(picture: Thumbnail, config: MonitorConfig) -> bool:
    """Nothing can be told from it: covered, or overexposed."""
    return picture.contrast < config.blank_contrast or picture.white > config.blank_white


def movement(
    change: Change, shifts: Sequence[Shift], width: int, config: MonitorConfig
) -> MotionClass:
    """The class of a frame of the same scene in the same light.

    `shifts` are the earlier ones, newest last, and `width` the thumbnail's, in its pixels.
    """
    if camera_moved(change, width, config):
        turns = reversals([*shifts, change.shift], config.pan_shift * width)
        return MotionClass.SHAKE if turns >= config.shake_reversals else MotionClass.PAN
    if target_moved(change, width, config):
        return MotionClass.FAST
    if still(change, config):
        return MotionClass.STILL
    return MotionClass.NORMAL


def still(change: Change, config: MonitorConfig) -> bool:
    """Next to nothing changed, not even in one place."""
    return (
        change.difference < config.still_difference
        and change.local_difference < config.still_local_difference
    )


def camera_moved(change: Change, width: int, config: MonitorConfig) -> bool:
    """One motion of the whole picture is large and explains the change."""
    large = (
        np.hypot(*change.shift) >= config.pan_shift * width
        or abs(change.rotation) >= config.pan_turn
        or abs(change.scale - 1) >= config.pan_zoom
    )
    fall = 1 - change.residual_after / max(change.residual_before, 1e-6)
    inliers = change.motion.agreed / max(change.motion.found, 1e-6)
    return bool(large and inliers >= config.pan_inliers and fall >= config.pan_fall)


def target_moved(change: Change, width: int, config: MonitorConfig) -> bool:
    """The target went far; where it was not found again: something else is seen in its place."""
    if change.object_shift is not None:
        return bool(np.hypot(*change.object_shift) >= config.fast_shift * width)
    inside = change.object_residual
    return (
        inside is not None
        and inside >= config.fast_residual
        and inside >= config.fast_ratio * change.residual_after
    )


def rapid(
    change: Change, motion_class: MotionClass, size: tuple[int, int], config: MonitorConfig
) -> bool:
    """Things went far, or it cannot be told how far; `size`: width, height of the thumbnail."""
    width, height = size
    if motion_class in (MotionClass.CUT, MotionClass.FLASH):
        return False
    if motion_class not in MOVING:
        unlike = change.likeness < config.rapid_likeness
        return change.difference >= config.rapid_difference and unlike
    if motion_class is MotionClass.FAST and change.object_shift is None:
        return True
    reach = np.hypot(width, height) / 2
    corners = np.hypot(*change.shift) + reach * (abs(change.rotation) + abs(change.scale - 1))
    target = np.hypot(*(change.object_shift or (0.0, 0.0)))
    return bool(max(corners, target) >= config.rapid_shift * width)


def reversals(shifts: Sequence[Shift], least: float) -> int:
    """How often the direction turns by more than a right angle, among shifts of `least` or more."""
    large = [np.array(shift) for shift in shifts if np.hypot(*shift) >= least]
    return sum(bool(one @ two < 0) for one, two in pairwise(large))
