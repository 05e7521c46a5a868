# SPDX-License-Identifier: Apache-2.0
"""Paired differences and their intervals against numbers worked out by hand."""

from itertools import product

import numpy as np
import pytest

from esam2_ros.evaluation import bootstrap
from esam2_ros.evaluation.bootstrap import difference
from esam2_ros.evaluation.bootstrap import more_windows
from esam2_ros.evaluation.bootstrap import paired_interval
from esam2_ros.evaluation.bootstrap import text_of


@pytest.fixture(autouse=True)
def two_are_enough(monkeypatch):
    """Two clips can be reckoned with by hand."""
    monkeypatch.setattr(bootstrap, 'FEWEST', 2)


@pytest.mark.parametrize(
    ('sums', 'weights', 'interval'),
    [
        # A quarter of the draws of two clips is twice the one, a quarter twice the other.
        ([0.0, 1.0], [1, 1], (0.0, 1.0)),
        # Three objects with 0.9 in all and one with -0.1: 0.3 and -0.1 alone, 0.2 together.
        ([0.9, -0.1], [3, 1], (-0.1, 0.3)),
        ([0.25, 0.25, 0.25], [1, 1, 1], (0.25, 0.25)),
        # The same difference of every object, however many a clip has.
        ([0.5, 1.0, 1.5], [1, 2, 3], (0.5, 0.5)),
        ([0.3], [1], None),
        ([], [], None),
    ],
)
def test_intervals(sums, weights, interval):
    assert paired_interval(sums, weights) == (interval and pytest.approx(interval))


def test_an_interval_is_that_of_all_possible_draws():
    clips = np.array([-0.3, 0.02, 0.1, 0.17, 0.41, 0.6])
    means = np.mean(list(product(clips, repeat=len(clips))), axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    assert paired_interval(clips, np.ones(6)) == pytest.approx((low, high), abs=0.02)


def test_too_few_clips_have_no_interval(monkeypatch):
    monkeypatch.undo()
    assert paired_interval([0.1, 0.2, 0.3, 0.4, 0.5], np.ones(5)) is None
    assert paired_interval([0.1, 0.2, 0.3, 0.4, 0.5, 0.6], np.ones(6)) is not None


def test_the_same_numbers_give_the_same_interval():
    clips = np.random.default_rng(3).normal(size=17)
    assert paired_interval(clips, np.ones(17)) == paired_interval(clips, np.ones(17))


def test_a_difference_is_in_points():
    apart = difference('exact', [0.02, -0.01], [1, 1], 0.75)
    assert (apart.baseline, apart.clips, apart.dense_frames) == ('exact', 2, 0.75)
    assert (apart.points, apart.low, apart.high) == pytest.approx((0.5, -1, 2))
    assert apart.text == '+0.50 (-1.00, +2.00)'
    single = difference('stock', [0.02], [2])
    assert (single.low, single.high, single.text) == (None, None, '+1.00')
    assert text_of(None) == '-'


def test_windows_are_compared_only_where_both_are_known():
    assert more_windows([(10.0, 8.0), (5.0, 6.0)]) == 0.5
    assert more_windows([(10.0, 8.0), (5.0, None)]) is None
    assert more_windows([]) is None
