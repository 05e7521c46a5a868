# SPDX-License-Identifier: Apache-2.0
"""Bad input is refused with its value; the node runs on and its target stays."""

import functools
import math

import numpy as np
import pytest
from esam2_ros.msg import Event
from esam2_ros.msg import Prompt
from esam2_ros.srv import AddTarget
from esam2_ros.srv import ListTargets
from esam2_ros.srv import RemoveTarget
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from std_srvs.srv import SetBool
from std_srvs.srv import Trigger

from esam2_ros.core.prompts import Prompt as TrackerPrompt
from esam2_ros.ros.loading import load_tracker

from .conftest import Bench
from .conftest import picture


@pytest.fixture(scope='module')
def running():
    """A node that all these tests misuse; it tracks target 1."""
    bench = Bench(**{'tracking.service_timeout_s': 0.3}).ready()
    bench.step()
    assert bench.add_box().success
    yield bench
    bench.close()


@pytest.fixture
def node(running):
    """The misused node; afterwards it still processes images and tracks target 1 alone."""
    yield running
    running.step()
    assert [target.id for target in running.got['tracks'][-1].targets] == [1]


def box(*edges, target_id=0):
    return Prompt(kind=Prompt.BOX, box=np.array(edges, np.float32), target_id=target_id)


def points(xs, ys, labels):
    return Prompt(kind=Prompt.POINTS, points_x=xs, points_y=ys, point_labels=labels)


def mask(width, height, encoding='mono8', value=1):
    pixel = {'mono8': 1, 'rgb8': 3}[encoding]
    step = width * pixel
    data = bytes([value]) * (step * height)
    image = Image(width=width, height=height, encoding=encoding, step=step, data=data)
    return Prompt(kind=Prompt.MASK, mask=image)


@pytest.mark.parametrize(
    ('prompt', 'reasons'),
    [
        pytest.param(box(0, 0, 200, 50), ['200', 'outside the image', '96'], id='box outside'),
        pytest.param(box(50, 10, 10, 50), ['[50.0, 10.0, 10.0, 50.0]'], id='box turned round'),
        pytest.param(box(0, 0, math.nan, 50), ['nan', 'not finite'], id='NaN box'),
        pytest.param(points([math.nan], [5.0], [1]), ['nan', 'not finite'], id='NaN point'),
        pytest.param(points([5.0], [math.inf], [1]), ['inf', 'not finite'], id='endless point'),
        pytest.param(points([500.0], [5.0], [1]), ['500', 'outside'], id='point outside'),
        pytest.param(points([], [], []), ['no points'], id='no points'),
        pytest.param(points([1.0, 2.0], [3.0], [1]), ['2, 1 and 1'], id='unequal lengths'),
        pytest.param(points([1.0], [3.0], [7]), ['[7]', '1 (on'], id='point label'),
        pytest.param(mask(64, 64), ['64 x 64', '96 x 64'], id='mask of another size'),
        pytest.param(mask(96, 64, 'rgb8'), ["'rgb8'", 'mono8'], id='colour mask'),
        pytest.param(mask(96, 64, value=0), ['no pixel'], id='mask of nothing'),
        pytest.param(Prompt(kind=Prompt.MASK), ['mask'], id='no mask'),
        pytest.param(Prompt(kind=9), ['9', 'allowed: 0'], id='unknown kind'),
        pytest.param(box(0, 0, 9, 9, target_id=77), ['77', 'tracked: 1'], id='unknown target'),
    ],
)
def test_prompt(node, prompt, reasons):
    answer = node.call(AddTarget, 'add_target', prompt=prompt)
    assert not answer.success
    assert [reason for reason in reasons if reason not in answer.message] == [], answer.message


def test_a_target_that_is_unknown_cannot_be_removed(node):
    answer = node.call(RemoveTarget, 'remove_target', target_id=9)
    assert not answer.success
    assert answer.message == 'no target has id 9; tracked: 1'


def spoilt(**fields):
    """A good image but for these fields."""
    message = picture()
    for name, value in fields.items():
        setattr(message, name, value)
    return message


@pytest.mark.parametrize(
    ('bad', 'reason'),
    [
        pytest.param(spoilt(width=0), 'empty: 0 x 64 px', id='no width'),
        pytest.param(spoilt(height=0), 'empty: 96 x 0 px', id='no height'),
        pytest.param(Image(encoding='rgb8'), 'empty: 0 x 0 px, 0 bytes', id='nothing'),
        pytest.param(spoilt(encoding='nonsense'), "'nonsense'; allowed: rgb8", id='encoding'),
        pytest.param(spoilt(encoding=''), "''; allowed: rgb8", id='no encoding'),
        pytest.param(spoilt(step=287), 'step 287; needed: at least 288', id='step'),
        pytest.param(spoilt(height=65), '18432 bytes of data; needed: 18720', id='cut short'),
        pytest.param(picture(64, 48), '64 x 48', id='another size'),
    ],
)
def test_image(node, bad, reason):
    refused = node.node._record.refused
    node.send(bad)
    node.wait(lambda: node.node._record.refused == refused + 1)
    assert reason in node.node._record.refusal
    node.step()
    assert node.got['frame_stats'][-1].dropped_since_last == 1


def test_a_size_change_is_an_event_that_names_both_sizes(node):
    refused = node.node._record.refused
    for count in (1, 2):
        node.send(picture(32, 32))
        node.wait(lambda: node.node._record.refused == refused + count)  # noqa: B023 waits here
    node.wait(lambda: any('32 x 32' in each.text for each in node.got['events']))
    (change,) = (each for each in node.got['events'] if '32 x 32' in each.text)
    assert change.kind == Event.IMAGE_SIZE_CHANGED
    assert '96 x 64' in change.text
    assert change.header.frame_id == 'camera'


def stamped(nanoseconds):
    header = Header()
    header.stamp.sec, header.stamp.nanosec = divmod(nanoseconds, 10**9)
    return header


def test_a_stamp_that_is_too_old_is_refused_with_the_span_that_is_left(node):
    answer = node.add_box(header=stamped(1_000_000))
    assert not answer.success
    assert 'image of 0.001 s, which is no longer kept; available: 0.0' in answer.message


def test_a_stamp_whose_image_never_comes_is_refused_in_time(node):
    answer = node.add_box(header=stamped(99 * 10**9))
    assert not answer.success
    assert 'not served within 0.3 s: no image of 99.000 s or later has come' in answer.message


def test_a_reset_lets_images_of_another_size_in(bench):
    node = bench().ready()
    node.step()
    assert node.add_box().success
    assert node.call(Trigger, 'reset').success
    node.step(picture(64, 64))
    assert node.got['labels'][-1].width == 64


def test_a_prompt_before_the_first_image(bench):
    node = bench().ready()
    answer = node.add_box()
    assert not answer.success
    assert 'before the first image' in answer.message
    node.step()
    assert node.add_box().success


def test_every_service_before_activation(bench):
    node = bench(autostart=False)
    for configured in (False, True):
        if configured:
            node.node.trigger_configure()
        for answer in (
            node.add_box(),
            node.call(ListTargets, 'list_targets'),
            node.call(RemoveTarget, 'remove_target', target_id=1),
            node.call(Trigger, 'reset'),
            node.call(SetBool, 'set_enabled', data=True),
        ):
            assert not answer.success
            state = 'inactive' if configured else 'unconfigured'
            assert answer.message == f'the node is {state}; activate it first'


def test_deactivating_keeps_targets_and_refuses_prompts(bench):
    node = bench().ready()
    node.step()
    assert node.add_box().success
    node.node.trigger_deactivate()
    assert node.add_box().message == 'the node is inactive; activate it first'
    node.node.trigger_activate()
    node.wait(lambda: node.images.get_subscription_count() > 0)
    node.step()
    assert [target.id for target in node.got['tracks'][-1].targets] == [1]


def nearly_full(settings, stop):
    """A tracker with all targets but one, for which the model is asked only once."""
    tracker = (loaded := load_tracker(settings, stop)).tracker
    tracker.step(np.zeros((64, 96, 3), np.uint8))
    prompting = tracker._engine.prompting
    prompting.segment_first = functools.lru_cache(1)(prompting.segment_first)
    prompting.memorise = lambda *_: None
    prompt = TrackerPrompt(box=(10, 10, 50, 50))
    for _ in range(settings.max_targets - 1):
        tracker.add(prompt)
    return loaded


def test_the_255th_target(bench):
    node = bench(nearly_full, **{'tracking.max_targets': 254})
    node.wait(lambda: node.node._record.state == 'active', 60.0)
    assert node.add_box().target_id == 254
    answer = node.add_box()
    assert not answer.success
    assert '254' in answer.message
    assert 'max_targets' in answer.message
    listed = node.call(ListTargets, 'list_targets')
    assert [target.id for target in listed.targets] == list(range(1, 255))
