# SPDX-License-Identifier: Apache-2.0
"""The node over real DDS."""

import math
import time
from dataclasses import replace

import numpy as np
import pytest
from esam2_ros.msg import Event
from esam2_ros.msg import Prompt
from esam2_ros.srv import AddTarget
from esam2_ros.srv import ListTargets
from esam2_ros.srv import RemoveTarget
from std_srvs.srv import SetBool
from std_srvs.srv import Trigger

from esam2_ros.ros.loading import load_tracker

from .conftest import picture


def test_an_image_comes_out_as_tracks_labels_and_statistics_with_its_own_header(bench):
    node = bench().ready()
    node.step()
    added = node.add_box()
    assert (added.success, added.target_id, added.header.frame_id) == (True, 1, 'camera')
    sent = node.step()
    tracks, labels, stats = (node.got[key][-1] for key in ('tracks', 'labels', 'frame_stats'))
    assert tracks.header == labels.header == stats.header == sent.header
    assert [target.id for target in tracks.targets] == [1]
    assert (labels.encoding, labels.width, labels.height) == ('mono8', 96, 64)
    assert np.count_nonzero(np.array(labels.data) == 1) == tracks.targets[0].area_px
    assert (stats.route_mode, stats.windows_active) == ('exact', stats.windows_total)
    assert [event.kind for event in node.got['events']] == [Event.TARGET_ADDED]


class SlowTracker:
    """A real tracker whose steps take `seconds`."""

    def __init__(self, tracker, seconds):
        self._tracker, self._seconds = tracker, seconds

    def __getattr__(self, name):
        return getattr(self._tracker, name)

    def step(self, image, stamp=None):
        time.sleep(self._seconds)
        return self._tracker.step(image, stamp)


def slow(seconds):
    def load(settings, stop):
        loaded = load_tracker(settings, stop)
        return replace(loaded, tracker=SlowTracker(loaded.tracker, seconds))

    return load


def test_list_targets_answers_at_once_and_add_is_refused_in_time_during_a_slow_step(bench):
    node = bench(slow(3.0), **{'tracking.service_timeout_s': 0.5}).ready()
    node.send()
    time.sleep(0.3)
    start = time.monotonic()
    refused = node.add_box()
    assert 0.4 < time.monotonic() - start < 0.8
    assert not refused.success
    assert 'not served within 0.5 s' in refused.message
    client = node.client.create_client(ListTargets, 'esam2/list_targets')
    assert client.wait_for_service(2.0)
    times = []
    for _ in range(10):
        start = time.monotonic()
        future = client.call_async(ListTargets.Request())
        node.wait(future.done)
        times.append(time.monotonic() - start)
    assert not node.got['tracks']
    assert sorted(times)[5] < 0.05


def points(x, y):
    """A prompt of one click on the target."""
    return Prompt(kind=Prompt.POINTS, points_x=[x], points_y=[y], point_labels=[1])


@pytest.mark.parametrize(
    ('prompt', 'message'),
    [
        (Prompt(kind=Prompt.BOX, box=np.array([0, 0, 200, 50], np.float32)), 'outside the image'),
        (points(math.nan, 5.0), 'not finite'),
        (Prompt(kind=Prompt.POINTS), 'no points'),
        (Prompt(kind=Prompt.MASK), 'mask'),
        (Prompt(kind=9), 'kind is 9'),
        (Prompt(kind=Prompt.BOX, box=np.array([0, 0, 9, 9], np.float32), target_id=77), '77'),
    ],
)
def test_a_bad_prompt_is_refused_and_nothing_else_is_lost(bench, prompt, message):
    node = bench().ready()
    node.step()
    assert node.add_box().success
    answer = node.call(AddTarget, 'add_target', prompt=prompt)
    assert not answer.success
    assert message in answer.message
    node.step()
    assert [target.id for target in node.got['tracks'][-1].targets] == [1]


def test_a_prompt_before_the_first_image_is_refused(bench):
    answer = bench().ready().add_box()
    assert not answer.success
    assert 'before the first image' in answer.message


def _step_too_small(message):
    message.step = 10


def _unknown_encoding(message):
    message.encoding = 'nonsense'


def _empty(message):
    message.width = 0


@pytest.mark.parametrize('spoil', [_step_too_small, _unknown_encoding, _empty])
def test_a_bad_image_is_refused_and_the_next_one_is_processed(bench, spoil):
    node = bench().ready()
    node.step()
    assert node.add_box().success
    bad = picture()
    spoil(bad)
    node.send(bad)
    node.wait(lambda: node.node._record.refused == 1)
    node.step()
    assert [target.id for target in node.got['tracks'][-1].targets] == [1]
    assert node.got['frame_stats'][-1].dropped_since_last == 1


def test_a_size_change_is_refused_until_a_reset(bench):
    node = bench().ready()
    node.step()
    assert node.add_box().success
    node.send(picture(64, 64))
    node.wait(lambda: Event.IMAGE_SIZE_CHANGED in [each.kind for each in node.got['events']])
    assert node.call(Trigger, 'reset').success
    node.step(picture(64, 64))
    assert node.got['labels'][-1].width == 64


def test_a_stamp_that_goes_back_is_an_event_and_targets_stay(bench):
    node = bench().ready()
    node.step(stamp=5_000_000_000)
    assert node.add_box().success
    node.step(stamp=1_000_000_000)
    jump = next(each for each in node.got['events'] if each.kind == Event.TIME_JUMP)
    assert jump.value == pytest.approx(-4.0)
    assert [target.id for target in node.got['tracks'][-1].targets] == [1]


def test_full_remove_unknown_and_pause(bench):
    node = bench(**{'tracking.max_targets': 1}).ready()
    node.step()
    assert node.add_box().success
    assert 'max_targets is 1' in node.add_box().message
    assert '9' in node.call(RemoveTarget, 'remove_target', target_id=9).message
    assert node.call(SetBool, 'set_enabled', data=False).success
    assert len(node.call(ListTargets, 'list_targets').targets) == 1


def test_every_service_refuses_while_the_node_is_not_active(bench):
    node = bench(autostart=False)
    for answer in (
        node.add_box(),
        node.call(ListTargets, 'list_targets'),
        node.call(RemoveTarget, 'remove_target', target_id=1),
        node.call(Trigger, 'reset'),
        node.call(SetBool, 'set_enabled', data=True),
    ):
        assert not answer.success
        assert answer.message == 'the node is unconfigured; activate it first'
