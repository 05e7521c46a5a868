# SPDX-License-Identifier: Apache-2.0
"""The node over real DDS."""

import time

import numpy as np
import pytest
from esam2_ros.msg import Event
from esam2_ros.srv import ListTargets
from esam2_ros.srv import RemoveTarget
from std_srvs.srv import SetBool

from .conftest import slow


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
    node.told([Event.TARGET_ADDED])


def test_list_targets_answers_at_once_and_add_is_refused_in_time_during_a_slow_step(bench):
    node = bench(slow(3.0), **{'tracking.service_timeout_s': 0.5}).ready()
    node.send()
    time.sleep(0.3)
    start = time.monotonic()
    refused = node.add_box()
    assert 0.4 < time.monotonic() - start < 1.5  # the step takes twice as long
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


def test_a_stamp_that_goes_back_is_an_event_and_targets_stay(bench):
    node = bench().ready()
    node.step(stamp=5_000_000_000)
    assert node.add_box().success
    node.step(stamp=1_000_000_000)
    node.told([Event.TIME_JUMP], among=[Event.TIME_JUMP])
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
