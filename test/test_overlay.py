# SPDX-License-Identifier: Apache-2.0
"""Exact colours at known pixels of an overlay."""

from types import SimpleNamespace

import numpy as np
import pytest

from esam2_ros.core.plan import FramePlan
from esam2_ros.core.plan import WindowGrid
from esam2_ros.core.plan import dense_plan
from esam2_ros.core.plan import idle_plan
from esam2_ros.overlay import PALETTE
from esam2_ros.overlay import STATE_NAMES
from esam2_ros.overlay import Mark
from esam2_ros.overlay import colour_of
from esam2_ros.overlay import draw_labels
from esam2_ros.overlay import draw_marks
from esam2_ros.overlay import draw_overlay
from esam2_ros.overlay import draw_windows
from esam2_ros.overlay import write_text
from esam2_ros.policy.results import TargetStatus

GREY = 100
# 0.55 of the ground and 0.45 of the colour.
FILL_1 = (158, 127, 55)
FILL_2 = (94, 136, 160)


def ground(width=200, height=160):
    """A grey image."""
    return np.full((height, width, 3), GREY, np.uint8)


def region(left, top, right, bottom, width=200, height=160):
    """A mask that is true in a rectangle."""
    mask = np.zeros((height, width), bool)
    mask[top:bottom, left:right] = True
    return mask


def mark(target_id=1, state='TRACKED', box=(50, 60, 110, 120), mask=None):
    """A mark; its mask lies well within its box."""
    return Mark(
        target_id, 'cup', state, 0.5, box, region(60, 70, 100, 110) if mask is None else mask
    )


@pytest.mark.parametrize(
    ('target_id', 'colour'),
    [
        (1, (230, 159, 0)),
        (2, (86, 180, 233)),
        (7, (0, 114, 178)),
        # The second round is 30% lighter, the third 60%, the fourth as the first.
        (8, (238, 188, 76)),
        (15, (245, 217, 153)),
        (22, (230, 159, 0)),
        (0, (230, 159, 0)),
    ],
)
def test_colours_of_targets(target_id, colour):
    assert colour_of(target_id) == colour


def test_each_id_up_to_21_has_a_colour_of_its_own():
    assert len({colour_of(target_id) for target_id in range(1, 22)}) == 3 * len(PALETTE)


def test_fill_outline_box_and_ground():
    image = ground()
    picture = draw_marks(image, [mark()])
    np.testing.assert_array_equal(image, ground())
    assert picture.shape == image.shape
    assert picture.dtype == np.uint8
    for (x, y), colour in {
        (80, 90): FILL_1,
        (61, 71): FILL_1,
        (60, 90): PALETTE[0],
        (99, 109): PALETTE[0],
        (50, 100): PALETTE[0],
        # The far edge of a box is exclusive: its line lies on the last pixel inside.
        (109, 119): PALETTE[0],
        (110, 120): (GREY,) * 3,
        (55, 90): (GREY,) * 3,
        (10, 150): (GREY,) * 3,
    }.items():
        assert tuple(picture[y, x]) == colour, (x, y)


def test_later_fills_mix_with_earlier_ones():
    picture = draw_marks(
        ground(), [mark(), mark(2, box=(65, 60, 150, 120), mask=region(70, 80, 140, 100))]
    )
    both = tuple(round(a * 0.55 + b * 0.45) for a, b in zip(FILL_1, PALETTE[1], strict=True))
    assert tuple(picture[90, 80]) == both
    assert tuple(picture[90, 130]) == FILL_2


@pytest.mark.parametrize('state', ['OCCLUDED', 'LOST'])
def test_targets_out_of_sight_stand_in_a_list_without_a_box(state):
    unseen = mark(state=state, mask=np.zeros((160, 200), bool))
    picture = draw_marks(ground(), [unseen, mark(2, state, None, np.zeros((160, 200), bool))])
    assert tuple(picture[0, 0]) == PALETTE[0]
    rows = [tuple(colour) for colour in picture[:, 0]]
    height = rows.count(PALETTE[0])
    assert rows == [PALETTE[0]] * height + [PALETTE[1]] * height + [(GREY,) * 3] * (
        160 - 2 * height
    )
    assert (picture[60:, :] == GREY).all()


def test_the_name_stands_above_the_box_or_inside_it_at_the_upper_edge():
    above = draw_marks(ground(), [mark()])
    assert tuple(above[59, 51]) == PALETTE[0]
    assert tuple(above[62, 52]) == (GREY,) * 3
    inside = draw_marks(ground(), [mark(box=(50, 3, 110, 120))])
    assert (inside[:3] == GREY).all()
    assert tuple(inside[4, 52]) == PALETTE[0]


def test_marks_at_and_over_the_edge_are_cut_off():
    full = np.ones((160, 200), bool)
    picture = draw_marks(ground(), [mark(box=(-40, -30, 260, 190), mask=full)])
    assert tuple(picture[155, 195]) == FILL_1
    assert tuple(picture[159, 100]) == PALETTE[0]
    # A name too long for the picture begins at its left edge.
    assert (
        tuple(
            draw_marks(
                ground(40, 160), [mark(box=(30, 60, 39, 90), mask=np.zeros((160, 40), bool))]
            )[59, 0]
        )
        == PALETTE[0]
    )


def test_no_marks_leave_the_image():
    np.testing.assert_array_equal(draw_marks(ground(), []), ground())


def test_draw_overlay_and_draw_labels_show_the_same():
    labels = region(60, 70, 100, 110).astype(np.uint8) * 2
    labels[130:150, 10:30] = 1
    boxes = {2: (60.0, 70.0, 100.0, 110.0), 1: (10.0, 130.0, 30.0, 150.0)}
    states = [
        SimpleNamespace(
            id=number,
            label='',
            state=TargetStatus.TRACKED,
            score=0.5,
            box=box,
            mask=labels == number,
        )
        for number, box in boxes.items()
    ]
    tracks = [
        SimpleNamespace(id=number, label='', state=0, score=0.5, box=np.array(box, np.float32))
        for number, box in boxes.items()
    ]
    picture = draw_overlay(ground(), states)
    np.testing.assert_array_equal(picture, draw_labels(ground(), labels, tracks))
    assert tuple(picture[90, 80]) == FILL_2
    assert tuple(picture[140, 20]) == FILL_1


def test_a_track_without_extent_has_no_box():
    track = SimpleNamespace(id=1, label='', state=0, score=0.5, box=[0.0, 0.0, 0.0, 0.0])
    picture = draw_labels(ground(), np.zeros((160, 200), np.uint8), [track])
    np.testing.assert_array_equal(picture, ground())


def test_state_names_are_those_of_the_tracker():
    assert [status.name for status in sorted(TargetStatus, key=lambda each: each.value)] == list(
        STATE_NAMES
    )


@pytest.mark.parametrize(('colour', 'dark'), [(PALETTE[0], True), (PALETTE[6], False)])
def test_text_is_dark_on_bright_and_bright_on_dark(colour, dark):
    picture = ground()
    lower = write_text(picture, 'HHH', colour, 20, 30)
    tab = picture[30:lower, 20:40].mean(2)
    # Letters are smoothed, so few of their pixels have the whole ink.
    assert bool(tab.min() < 60) is dark
    assert bool(tab.max() > 170) is not dark
    assert tuple(picture[30, 20]) == colour
    assert (picture[lower:] == GREY).all()
    assert write_text(picture, 'HHH', colour, 20, 100, above=True) == 100


# 3 x 3 windows of 96 px on a model input of 256 px: the last ones reach 32 px over the edge.
GRID = WindowGrid(3, 3, 96, 256)
DARK = (round(GREY * 0.35),) * 3
EDGE = (255, 255, 255)


def routed(*active):
    return FramePlan('paper', GRID, active, ('mask',) * len(active))


def test_windows_that_were_not_computed_are_darkened():
    image = ground(512, 384)
    picture = draw_windows(image, routed(4, 8))
    np.testing.assert_array_equal(image, ground(512, 384))
    # A window is 192 pixels wide and 144 high here.
    for (x, y), colour in {
        (191, 200): DARK,
        (192, 200): EDGE,
        (193, 200): (GREY,) * 3,
        (300, 143): DARK,
        (300, 144): EDGE,
        (300, 145): (GREY,) * 3,
        # The lower right one is cut off by the picture's edge.
        (450, 340): (GREY,) * 3,
        (511, 340): EDGE,
        (450, 383): EDGE,
        (450, 287): DARK,
        (383, 340): DARK,
        (384, 340): EDGE,
        # Two windows that touch at a corner only: both have it in their edge.
        (383, 287): EDGE,
        (384, 288): EDGE,
    }.items():
        assert tuple(picture[y, x]) == colour, (x, y)


def test_windows_side_by_side_have_no_edge_between_them():
    picture = draw_windows(ground(512, 384), routed(3, 4, 5))
    assert (picture[145:287, 1:511] == GREY).all()
    assert tuple(picture[144, 192]) == EDGE


@pytest.mark.parametrize('plan', [dense_plan(GRID), idle_plan(GRID, 'paper')])
def test_all_windows_and_no_target_leave_the_image(plan):
    np.testing.assert_array_equal(draw_windows(ground(), plan), ground())


def test_targets_are_drawn_over_the_windows():
    target = SimpleNamespace(
        id=1,
        label='',
        state=TargetStatus.TRACKED,
        score=0.5,
        box=(60.0, 70.0, 100.0, 110.0),
        mask=region(60, 70, 100, 110),
    )
    with_windows = draw_overlay(ground(), [target], routed(0))
    # A window of 75 x 60 pixels at the upper left; the target lies below it.
    assert tuple(with_windows[90, 80]) == tuple(
        round(DARK[0] * 0.55 + value * 0.45) for value in PALETTE[0]
    )
    assert tuple(draw_overlay(ground(), [target])[90, 80]) == FILL_1
