# SPDX-License-Identifier: Apache-2.0
"""What the tracker tells is published with the header of its image, counted and traced."""

import pytest
from diagnostic_msgs.msg import DiagnosticArray
from esam2_ros.msg import Event
from esam2_ros.msg import FrameStats
from std_srvs.srv import Trigger

from esam2_ros.policy.events import EventKind
from esam2_ros.trace import read_trace

from .conftest import picture
from .conftest import scene


def kinds(node):
    return [each.kind for each in node.got['events']]


def cut(node):
    """Three images of a scene with a target, then one of another scene; returns the last."""
    node.step(scene(1))
    assert node.add_box().success
    node.step(scene(1))
    node.step(scene(1))
    node.told([Event.TARGET_ADDED])
    node.got['events'].clear()
    return node.step(scene(2))


def test_a_cut_is_an_event_with_the_header_of_its_image(bench, tmp_path):
    node = bench(trace_path=str(tmp_path / 'trace')).ready()
    reports = []
    node.client.create_subscription(DiagnosticArray, '/diagnostics', reports.append, 10)
    sent = cut(node)
    node.told([Event.SCENE_CUT], among=[Event.SCENE_CUT])
    (event,) = [each for each in node.got['events'] if each.kind == Event.SCENE_CUT]
    stats = node.got['frame_stats'][-1]
    assert event.header == stats.header == sent.header
    assert (stats.motion_class, stats.route_reason) == (FrameStats.CUT, 'cut')
    assert event.value == stats.frame_difference > 8
    assert stats.motion > 0
    assert node.got['frame_stats'][-2].motion_class == FrameStats.STILL
    traced = read_trace(tmp_path / 'trace')
    assert [frame.frame_index for frame in traced] == [0, 1, 2, 3]
    stamp = sent.header.stamp.sec * 10**9 + sent.header.stamp.nanosec
    assert (traced[-1].stamp, traced[-1].plan.reasons[0]) == (stamp, 'cut')
    assert [each.kind for each in traced[-1].events] == [EventKind.SCENE_CUT]
    assert traced[-1].timings.total > 0

    def counted():
        if not reports:
            return {}
        return {each.key: each.value for each in reports[-1].status[2].values}

    node.wait(lambda: counted().get('events_SCENE_CUT') == '1')
    assert counted()['events_TARGET_ADDED'] == '1'


def test_the_cut_policy_reset_forgets_all_targets(bench):
    node = bench(**{'motion.cut_policy': 'reset'}).ready()
    cut(node)
    node.told([Event.SCENE_CUT, Event.RESET])
    assert not node.got['tracks'][-1].targets


def test_without_the_monitor_nothing_is_told_of_the_scene(bench):
    node = bench(**{'motion.enabled': False}).ready()
    cut(node)
    assert Event.SCENE_CUT not in kinds(node)
    assert node.got['frame_stats'][-1].frame_difference == 0


def test_the_events_of_the_node_itself_stay(bench):
    node = bench().ready()
    node.step(stamp=5_000_000_000)
    assert node.add_box().success
    node.send(picture(64, 48))
    node.wait(lambda: Event.IMAGE_SIZE_CHANGED in kinds(node))
    node.step(stamp=1_000_000_000)
    assert node.call(Trigger, 'reset').success
    node.wait(lambda: Event.RESET in kinds(node))
    ours = [Event.TARGET_ADDED, Event.IMAGE_SIZE_CHANGED, Event.TIME_JUMP, Event.RESET]
    node.told(ours, among=ours)


def test_a_refused_image_says_nothing_about_time(bench):
    ours = [Event.IMAGE_SIZE_CHANGED, Event.TIME_JUMP]
    node = bench().ready()
    node.step(stamp=5_000_000_000)
    assert node.add_box().success
    node.send(picture(64, 48), stamp=1_000_000_000)
    node.told([Event.IMAGE_SIZE_CHANGED], among=ours)
    node.step(stamp=6_000_000_000)
    node.told([Event.IMAGE_SIZE_CHANGED], among=ours)


@pytest.mark.parametrize('place', ['absent/trace', ''])
def test_a_trace_that_cannot_be_written_keeps_the_node_from_starting(bench, tmp_path, place):
    node = bench(autostart=False, trace_path=str(tmp_path / place))
    node.node.trigger_configure()
    assert node.node._record.state == 'unconfigured'
