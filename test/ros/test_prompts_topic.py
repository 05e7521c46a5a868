# SPDX-License-Identifier: Apache-2.0
"""Prompts, images and overlays over their topics."""

import time

import cv2
import numpy as np
import pytest
from esam2_ros.msg import Event
from esam2_ros.msg import Prompt
from esam2_ros.msg import PromptArray
from esam2_ros.srv import ListTargets
from rclpy.parameter import Parameter
from sensor_msgs.msg import CompressedImage
from sensor_msgs.msg import Image
from std_msgs.msg import Header

import esam2_ros.overlay

from .conftest import Bench
from .conftest import picture
from .conftest import slow


@pytest.fixture(scope='module')
def shared():
    """A node that several tests use, each after a step of its own."""
    made = Bench().ready()
    made.prompts = made.client.create_publisher(PromptArray, 'prompts', 10)
    made.wait(lambda: made.prompts.get_subscription_count() > 0)
    yield made
    made.close()


@pytest.fixture
def node(shared):
    """The shared node, without the targets and messages of other tests."""
    shared.step()
    for target in shared.call(ListTargets, 'list_targets').targets:
        shared.node._worker._tracker.remove(target.id)
    for messages in shared.got.values():
        messages.clear()
    return shared


def box(*edges, label=''):
    return Prompt(kind=Prompt.BOX, box=np.array(edges, np.float32), label=label)


def added(node):
    return [event for event in node.got['events'] if event.kind == Event.TARGET_ADDED]


def test_prompts_of_one_message_become_targets_and_bad_ones_do_not_stop_the_rest(node):
    prompts = [box(10, 10, 50, 50, label='cup'), box(0, 0, 999, 50), box(5, 5, 20, 20, label='pen')]
    node.prompts.publish(PromptArray(prompts=prompts))
    node.wait(lambda: len(added(node)) == 2)
    sent = node.step()
    tracks = node.got['tracks'][-1]
    assert tracks.header == sent.header
    assert [target.label for target in tracks.targets] == ['cup', 'pen']
    assert [target.age_frames for target in tracks.targets] == [1, 1]


def test_a_late_prompt_lands_on_the_frame_it_was_drawn_on(node, monkeypatch):
    frames = []
    tracker = node.node._worker._tracker
    real = tracker.add
    monkeypatch.setattr(
        tracker, 'add', lambda prompt, frame: frames.append(frame) or real(prompt, frame)
    )
    sent = [node.step() for _ in range(5)]
    node.prompts.publish(PromptArray(header=sent[1].header, prompts=[box(10, 10, 50, 50)]))
    node.wait(lambda: added(node))
    assert added(node)[0].header == sent[1].header
    assert frames == [node.got['frame_stats'][1].frame_index]
    listed = node.call(ListTargets, 'list_targets')
    assert (listed.header, len(listed.targets)) == (sent[4].header, 1)


def test_an_early_prompt_waits_for_its_image(node):
    header = Header(frame_id='camera')
    header.stamp.sec, header.stamp.nanosec = divmod(node._stamp + 33_000_000, 10**9)
    node.prompts.publish(PromptArray(header=header, prompts=[box(10, 10, 50, 50)]))
    node.wait(lambda: node.node._worker._early)
    assert not added(node)
    assert node.step().header == header
    node.wait(lambda: added(node))
    assert added(node)[0].header == header


def test_a_prompt_on_a_dropped_image_lands_on_the_nearest_and_the_answer_says_so(node):
    first = node.step()
    node.step()
    header = Header(frame_id='camera')
    stamp = first.header.stamp.sec * 10**9 + first.header.stamp.nanosec + 10_000_000
    header.stamp.sec, header.stamp.nanosec = divmod(stamp, 10**9)
    answer = node.add_box(header=header)
    assert answer.success
    assert answer.header == first.header
    assert answer.message == 'that image was dropped; applied to the nearest one, -10.0 ms'


def test_a_prompt_publishes_the_newest_image_again(node):
    sent = node.step()
    node.wait(lambda: len(node.got['labels']) == 1)
    assert node.add_box().success
    node.wait(lambda: len(node.got['labels']) == len(node.got['tracks']) == 2)
    tracks, labels = node.got['tracks'][-1], node.got['labels'][-1]
    assert tracks.header == labels.header == sent.header
    (target,) = tracks.targets
    assert target.age_frames == 0
    assert np.count_nonzero(np.array(labels.data)) == target.area_px
    assert node.add_box((0.0, 0.0, 500.0, 9.0)).success is False
    node.step()
    node.wait(lambda: len(node.got['labels']) == 3)
    assert len(node.got['frame_stats']) == 2


def test_the_overlay_is_drawn_only_while_somebody_subscribes(node, monkeypatch):
    drawn = []
    real = esam2_ros.overlay.draw_overlay
    monkeypatch.setattr(
        esam2_ros.overlay, 'draw_overlay', lambda *given: drawn.append(given[2]) or real(*given)
    )
    node.step()
    assert not drawn
    got = []
    publisher = node.node._outputs._overlay
    subscription = node.client.create_subscription(Image, 'overlay', got.append, 1)
    node.wait(lambda: publisher.get_subscription_count() == 1)
    sent = node.step()
    node.wait(lambda: got)
    assert (got[0].header, got[0].encoding) == (sent.header, 'rgb8')
    assert (got[0].width, got[0].height, len(got[0].data)) == (96, 64, 96 * 64 * 3)
    node.node.set_parameters([Parameter('publish.overlay_windows', value=True)])
    node.step()
    assert drawn == [None, node.node._worker.snapshot.result.plan]
    node.client.destroy_subscription(subscription)
    node.wait(lambda: publisher.get_subscription_count() == 0)
    count = len(drawn)
    node.step()
    assert count == len(drawn) == 2


def burst(node, count):
    """Send images faster than the node steps; returns them."""
    sent = []
    for _ in range(count):
        sent.append(node.send())
        time.sleep(0.02)
    return sent


def test_queue_policy_all_loses_nothing_and_keeps_the_order(bench):
    node = bench(slow(0.04), queue_policy='all').ready()
    sent = burst(node, 10)
    node.wait(lambda: len(node.got['frame_stats']) == 10)
    for key in ('tracks', 'labels', 'frame_stats'):
        node.wait(lambda: len(node.got[key]) == 10)  # noqa: B023 waits here
        assert [message.header for message in node.got[key]] == [each.header for each in sent]
    assert [stats.dropped_since_last for stats in node.got['frame_stats']] == [0] * 10


def test_queue_policy_latest_keeps_the_newest_and_counts_the_rest(bench):
    node = bench(slow(0.2)).ready()
    sent = burst(node, 10)
    node.wait(lambda: any(each.header == sent[-1].header for each in node.got['frame_stats']))
    stats = node.got['frame_stats']
    assert len(stats) < 10
    assert len(stats) + sum(each.dropped_since_last for each in stats) == 10


def test_compressed_input(bench):
    node = bench(image_transport='compressed')
    publisher = node.client.create_publisher(CompressedImage, 'image/compressed', 1)
    node.wait(lambda: publisher.get_subscription_count() > 0)
    pixels = np.array(picture().data, np.uint8).reshape(64, 96, 3)
    data = cv2.imencode('.png', pixels[..., ::-1])[1].tobytes()
    for broken in (True, False):
        message = CompressedImage(format='png', data=data[:40] if broken else data)
        message.header.frame_id = 'camera'
        publisher.publish(message)
        if broken:
            node.wait(lambda: node.node._record.refused == 1)
            assert "'png' and 40 bytes cannot be decoded" in node.node._record.refusal
    node.wait(lambda: node.got['labels'])
    assert (node.got['labels'][0].width, node.got['labels'][0].height) == (96, 64)
    assert node.got['labels'][0].header == message.header


def test_wide_labels_on_request(bench):
    node = bench(**{'publish.label_encoding': '16UC1'}).ready()
    node.step()
    node.wait(lambda: node.got['labels'])
    assert (node.got['labels'][0].encoding, node.got['labels'][0].step) == ('16UC1', 192)
