# SPDX-License-Identifier: Apache-2.0
"""Recorded passes, with a stand-in for CUDA graphs."""

import pytest
import torch
from replayer import Replayer

from esam2_ros.core.graphs import GraphCache


@pytest.fixture(autouse=True)
def no_gradients():
    with torch.inference_mode():
        yield


def test_a_key_that_is_not_recorded_runs_the_function():
    cache, capture = GraphCache(lambda x: (x + 1, x * 2)), Replayer()
    cache.record('two', capture, torch.zeros(2))
    assert cache.keys == ('two',)
    assert [each.tolist() for each in cache('three', torch.ones(3))] == [[2] * 3, [2] * 3]
    assert (capture.recorded, capture.replayed, cache.keys) == (1, 0, ('two',))
    assert [each.tolist() for each in cache('two', torch.ones(2))] == [[2] * 2, [2] * 2]
    assert capture.replayed == 1


def test_inputs_of_another_shape_than_recorded_are_refused():
    cache = GraphCache(lambda x: (x + 1,))
    cache.record('two', Replayer(), torch.zeros(2))
    with pytest.raises(ValueError, match=r"'two' is of shape \(1,\); recorded: \(2,\)"):
        cache('two', torch.ones(1))


def test_a_recorded_pass_may_be_called_outside_of_inference_mode():
    cache = GraphCache(lambda x: (x + 1,))
    cache.record('two', Replayer(), torch.zeros(2))
    with torch.inference_mode(False), torch.no_grad():
        assert not cache._recordings['two'].inputs[0].is_inference()
        cache._recordings['two'].inputs[0].copy_(torch.ones(2))
