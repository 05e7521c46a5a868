# SPDX-License-Identifier: Apache-2.0
"""What the scene monitor says about a frame, and its settings."""

from dataclasses import dataclass
from enum import Enum

from esam2_ros.errors import check_ranges


class MotionClass(Enum):
    """What happened between the previous frame and this one.

    STILL   next to nothing changed
    NORMAL  things moved, the camera hardly
    PAN     the camera moved, turned or zoomed
    SHAKE   the camera moved to and fro
    FAST    the camera hardly moved, but the tracked target did
    FLASH   the light changed, or the view is blank for a moment; the scene is the same
    CUT     another scene
    """

    STILL = 0
    NORMAL = 1
    PAN = 2
    SHAKE = 3
    FAST = 4
    FLASH = 5
    CUT = 6


MOVING = (MotionClass.PAN, MotionClass.SHAKE, MotionClass.FAST)


@dataclass(frozen=True)
class SceneView:
    """One frame as the monitor sees it; the first frame has nothing to be compared with.

    frame_difference   mean colour difference to the previous frame, levels (0..255)
    second_difference  how much that changed since the previous frame, levels
    shift              where the middle of the picture went, (dx, dy) in full-image pixels
    rotation           of the picture, radians, clockwise on the screen
    scale              of the picture, 1 = unchanged
    found              share of corners that were found again, wherever they went
    inliers            share of the found ones that follow shift, rotation and scale
    structure          correlation of local contrast, the better of before and after undoing motion
    likeness           found + structure, less what chance gives; low means another scene
    palette            share of colours in common
    light              change of brightness, levels
    residual_before    mean luma difference, evened for light, levels
    residual_after     the same after the global motion is undone, levels
    object_residual    mean of that within the object mask, levels; None without a mask
    object_shift       where the targets went (median), (dx, dy) in full-image pixels, the camera's
                       motion included; None without a mask or when they were not found again
    rapid              things moved too far, now or a moment ago, for the previous frame to say
                       where they are
    """

    motion_class: MotionClass = MotionClass.NORMAL
    frame_difference: float = 0.0
    second_difference: float = 0.0
    shift: tuple[float, float] = (0.0, 0.0)
    rotation: float = 0.0
    scale: float = 1.0
    found: float = 1.0
    inliers: float = 1.0
    structure: float = 1.0
    likeness: float = 2.0
    palette: float = 1.0
    light: float = 0.0
    residual_before: float = 0.0
    residual_after: float = 0.0
    object_residual: float | None = None
    object_shift: tuple[float, float] | None = None
    rapid: bool = False


@dataclass(frozen=True)
class MonitorConfig:
    """Settings of a `SceneMonitor`; raises ConfigError for a value out of range.

    corners          places followed from frame to frame, at most
    history          frames remembered, for shake and for what is usual
    still_difference frame difference below which a frame is STILL, levels
    cut_difference   frame difference that a CUT needs, levels
    still_local_difference  and below which every block of 16 thumbnail pixels a side stays
    cut_likeness     a CUT has a likeness below this, 0..2
    cut_palette      and less than this share of colours in common
    light_change     change of brightness that makes a FLASH, levels
    flash_frames     frames a FLASH may last; then it is the scene's own light, or a CUT when the
                     view is still blank; 0 turns FLASH off
    blank_white      share of overexposed pixels above which a view is blank
    blank_contrast   standard deviation of luma below which a view is blank, levels
    pan_shift        shift that makes a PAN, frame widths a frame
    pan_turn         rotation that makes a PAN, radians a frame
    pan_zoom         change of scale that makes a PAN, share a frame
    pan_inliers      inlier share that a PAN needs
    pan_fall         share by which undoing the motion must lower the residual for a PAN
    shake_reversals  turns of direction within the history that make a PAN a SHAKE
    fast_shift       shift of the target that makes FAST, frame widths a frame
    fast_residual    where its shift is unknown: residual within the mask that makes FAST, levels
    fast_ratio       and how many times the residual of the whole frame that must be
    rapid_shift      way of the target, or of the picture's corners, on a PAN, SHAKE or FAST frame
                     from which it is rapid, frame widths a frame
    rapid_difference mean change of a frame that is rapid, whatever moved, levels
    rapid_likeness   and the likeness it is below, 0..2
    rapid_frames     frames for which a view is rapid, from that one on; 0 turns it off
    """

    corners: int = 100
    history: int = 8
    still_difference: float = 1.5
    still_local_difference: float = 8.0
    cut_difference: float = 8.0
    cut_likeness: float = 0.25
    cut_palette: float = 0.8
    light_change: float = 12.0
    flash_frames: int = 3
    blank_contrast: float = 4.0
    blank_white: float = 0.7
    pan_shift: float = 0.015
    pan_turn: float = 0.03
    pan_zoom: float = 0.02
    pan_inliers: float = 0.3
    pan_fall: float = 0.2
    shake_reversals: int = 2
    fast_shift: float = 0.02
    fast_residual: float = 12.0
    fast_ratio: float = 2.5
    rapid_shift: float = 0.025
    rapid_difference: float = 8.0
    rapid_likeness: float = 0.5
    rapid_frames: int = 2

    def __post_init__(self) -> None:
        check_ranges(
            self,
            (
                ('corners', 10, 2000),
                ('history', 2, 1000),
                ('still_difference', 0.0, 255.0),
                ('still_local_difference', 0.0, 255.0),
                ('cut_difference', 0.0, 255.0),
                ('cut_likeness', 0.0, 2.0),
                ('cut_palette', 0.0, 1.0),
                ('light_change', 0.0, 255.0),
                ('flash_frames', 0, 1000),
                ('blank_contrast', 0.0, 128.0),
                ('blank_white', 0.0, 1.0),
                ('pan_shift', 0.0, 1.0),
                ('pan_turn', 0.0, 3.15),
                ('pan_zoom', 0.0, 10.0),
                ('pan_inliers', 0.0, 1.0),
                ('pan_fall', 0.0, 1.0),
                ('shake_reversals', 1, 1000),
                ('fast_shift', 0.0, 1.0),
                ('fast_residual', 0.0, 255.0),
                ('fast_ratio', 0.0, 100.0),
                ('rapid_shift', 0.0, 1.0),
                ('rapid_difference', 0.0, 255.0),
                ('rapid_likeness', 0.0, 2.0),
                ('rapid_frames', 0, 1000),
            ),
        )
