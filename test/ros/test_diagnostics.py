# SPDX-License-Identifier: Apache-2.0
"""What the node says of its health."""

import time

import pytest
from diagnostic_msgs.msg import DiagnosticArray
from diagnostic_msgs.msg import DiagnosticStatus
from esam2_ros.msg import FrameStats
from rclpy.qos import QoSProfile
from rclpy.qos import ReliabilityPolicy
from sensor_msgs.msg import Image

from esam2_ros.policy.events import EventKind
from esam2_ros.ros.diagnostics import Diagnostics
from esam2_ros.ros.diagnostics import Record

OK, WARN, ERROR = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR
TASKS = ['Input', 'Latency', 'Tracking', 'Memory', 'Model']


def values(status):
    return {each.key: each.value for each in status.values}


def test_a_running_node_reports_every_task_once_a_second(bench):
    node = bench().ready()
    reports = []
    node.client.create_subscription(DiagnosticArray, '/diagnostics', reports.append, 10)
    node.step()
    assert node.add_box().success
    bad = Image(encoding='pink', width=1, height=1, step=3, data=bytes(3))
    node.send(bad)
    node.wait(lambda: node.node._record.refused == 1)
    node.step()
    node.wait(
        lambda: reports and values(reports[-1].status[TASKS.index('Input')])['received'] == '3'
    )
    newest = reports[-1].status
    by_task = dict(zip(TASKS, newest, strict=True))
    assert [each.name for each in newest] == [f'esam2: {task}' for task in TASKS]
    seen = values(by_task['Input'])
    assert (seen['received'], seen['refused'], seen['publishers']) == ('3', '1', '1')
    assert seen['topic'] == node.images.topic_name
    assert seen['last_refusal'].startswith("image has encoding 'pink'")
    assert by_task['Tracking'].message in ('1 tracked', '1 occluded', '1 suspect')
    assert int(values(by_task['Memory'])['bytes']) > 0
    assert float(values(by_task['Latency'])['p95_ms']) > 0
    assert (values(by_task['Model'])['name'], values(by_task['Model'])['image_size']) == (
        'compact',
        '256',
    )
    assert by_task['Model'].hardware_id == 'cpu'


def test_a_publisher_whose_qos_does_not_fit_is_named(bench):
    picky = {'qos_overrides./picky/image.subscription.reliability': 'reliable'}
    node = bench(namespace='/picky', **picky)
    quality = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
    node.client.create_publisher(Image, 'image', quality)
    node.wait(lambda: node.node._record.incompatible == 1)
    status = Diagnostics(node.node._record).statuses()[0]
    assert status.level == WARN
    assert 'incompatible QoS' in status.message
    assert node.node._record.topic in status.message


@pytest.mark.parametrize(
    ('state', 'level', 'message'),
    [
        ('inactive', WARN, 'the node is inactive: no images are taken'),
        ('active', ERROR, 'no image on /cam for 3.0 s'),
    ],
)
def test_an_input_without_images_says_why(state, level, message):
    record = Record(topic='/cam', state=state, activated=time.monotonic() - 3.0)
    status = Diagnostics(record).statuses()[0]
    assert (status.level, status.message) == (level, message)


def test_a_level_rises_at_once_and_falls_after_three_better_periods():
    record = Record(topic='/cam', state='inactive')
    diagnostics = Diagnostics(record)
    levels = []
    for state in ('inactive', *['active'] * 4, 'inactive'):
        record.state, record.last_image = state, time.monotonic()
        levels.append(diagnostics.statuses()[0].level)
    assert levels == [WARN, WARN, WARN, OK, OK, WARN]


def test_a_frame_over_the_budget_is_a_warning():
    record = Record(budget_ms=20.0)
    record.stats += [FrameStats(total=10.0)] * 20
    assert Diagnostics(record).statuses()[1].level == OK
    record.stats += [FrameStats(total=31.0)] * 20
    status = Diagnostics(record).statuses()[1]
    assert (status.level, status.message) == (WARN, '31 ms (p95) is over the budget of 20 ms')


def test_events_are_counted_by_kind():
    record = Record()
    record.events.update(['SCENE_CUT', 'SCENE_CUT', 'TARGET_LOST'])
    counted = values(Diagnostics(record).statuses()[2])
    assert {name for name in counted if name.startswith('events_')} == {
        f'events_{kind.name}' for kind in EventKind
    }
    assert (counted['events_SCENE_CUT'], counted['events_TARGET_LOST']) == ('2', '1')
    assert counted['events_RESET'] == '0'
