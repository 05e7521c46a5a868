# SPDX-License-Identifier: Apache-2.0
"""Which tiles changed since they were computed."""

import numpy as np
import pytest

from esam2_ros.policy.changes import ChangeMap

SIDE = 256


def picture(seed=1):
    return np.random.default_rng(seed).integers(60, 190, (SIDE, SIDE, 3), np.uint8)


def seen(levels, image):
    """A map whose tiles were all computed from `image`."""
    changes = ChangeMap(levels)
    assert changes.observe(image).all()
    changes.commit(np.ones((8, 8), bool))
    return changes


def tiles(changed):
    return [tuple(map(int, place)) for place in np.argwhere(changed)]


def with_patch(image, rows, columns, levels=40):
    other = image.copy()
    other[rows, columns] += levels
    return other


@pytest.mark.parametrize('levels', [0.0, 2.0])
def test_the_same_image_changes_nothing(levels):
    assert not seen(levels, picture()).observe(picture()).any()


@pytest.mark.parametrize('as_float', [False, True])
@pytest.mark.parametrize(
    ('row', 'column', 'expected'),
    [
        (40, 70, [(1, 2)]),
        (60, 92, [(1, 2)]),  # 3 px before the edges
        (61, 70, [(1, 2), (2, 2)]),
        (40, 93, [(1, 2), (1, 3)]),
        (63, 95, [(1, 2), (1, 3), (2, 2), (2, 3)]),
        (64, 96, [(2, 3)]),
        (255, 255, [(7, 7)]),
    ],
)
def test_without_tolerance_a_pixel_marks_all_tiles_that_take_it(row, column, expected, as_float):
    before = picture()
    after = with_patch(before, row, column, 1)
    if as_float:
        before, after = before.astype(np.float32), before + 1e-3 * (after != before)
        after = after.astype(np.float32)
    assert tiles(seen(0.0, before).observe(after)) == expected


def test_noise_is_no_change_and_a_small_thing_is():
    rng = np.random.default_rng(3)
    noise = rng.normal(0, 3, (2, SIDE, SIDE, 3)).round().astype(int)
    one, other = np.clip(picture() + noise, 0, 255).astype(np.uint8)
    assert not seen(3.0, one).observe(other).any()
    assert seen(0.0, one).observe(other).all()
    thing = with_patch(one, slice(106, 110), slice(136, 144))  # 4 x 8 px
    assert tiles(seen(3.0, one).observe(thing)) == [(3, 4)]


def test_what_creeps_adds_up():
    changes = seen(3.0, np.full((SIDE, SIDE, 3), 100, np.uint8))
    for level in (101, 102, 103):
        changed = changes.observe(np.full((SIDE, SIDE, 3), level, np.uint8))
        assert not changed.any()
        changes.commit(changed)
    assert changes.observe(np.full((SIDE, SIDE, 3), 104, np.uint8)).all()


def test_tiles_that_were_not_computed_stay_changed():
    changes = seen(3.0, picture())
    after = with_patch(picture(), slice(70, 80), slice(100, 110))
    after = with_patch(after, slice(170, 180), slice(170, 180))
    assert tiles(changes.observe(after)) == [(2, 3), (5, 5)]
    some = np.zeros((8, 8), bool)
    some[2, 3] = True
    changes.commit(some)
    assert tiles(changes.observe(after)) == [(5, 5)]


def test_reset_forgets_all_images():
    changes = seen(2.0, picture())
    changes.reset()
    assert changes.nbytes == 0
    assert changes.observe(picture()).all()


def test_to_commit_before_an_image_is_a_mistake():
    with pytest.raises(RuntimeError, match='before an image was observed'):
        ChangeMap(2.0).commit(np.ones((8, 8), bool))


def test_the_image_may_be_written_to_afterwards():
    image = picture()
    changes = seen(0.0, image)
    image[:] = 0
    assert not changes.observe(picture()).any()
