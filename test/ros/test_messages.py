# SPDX-License-Identifier: Apache-2.0
"""What a result looks like as messages."""

import numpy as np
import pytest
import torch
from esam2_ros.msg import Event
from esam2_ros.msg import FrameStats
from esam2_ros.msg import TrackedTarget
from std_msgs.msg import Header

from esam2_ros.core.plan import FramePlan
from esam2_ros.core.plan import WindowGrid
from esam2_ros.core.plan import dense_plan
from esam2_ros.policy.events import EventKind
from esam2_ros.policy.events import TrackerEvent
from esam2_ros.policy.monitor.values import MotionClass
from esam2_ros.policy.monitor.values import SceneView
from esam2_ros.policy.results import FrameResult
from esam2_ros.policy.results import MemoryUse
from esam2_ros.policy.results import TargetState
from esam2_ros.policy.results import TargetStatus
from esam2_ros.policy.results import Timings
from esam2_ros.ros.events import event_message
from esam2_ros.ros.images import mono8
from esam2_ros.ros.messages import Passage
from esam2_ros.ros.messages import labels_message
from esam2_ros.ros.messages import stats_message
from esam2_ros.ros.messages import tracks_message

HEADER = Header(frame_id='camera/left optical')
HEADER.stamp.sec, HEADER.stamp.nanosec = 1234, 987_654_321


def target(target_id, columns, logit, state=TargetStatus.TRACKED):
    """A target over some columns of a 16 x 8 image, with one logit everywhere it is."""
    mask = np.zeros((8, 16), bool)
    mask[:, columns] = True
    logits = np.full((8, 16), -5.0, np.float32)
    logits[:, columns] = logit
    present = mask.any()
    return TargetState(
        id=target_id,
        label=f'thing {target_id}',
        state=state,
        score=0.75,
        object_logit=2.5,
        box=(float(columns.start), 0.0, float(columns.stop), 8.0) if present else None,
        centroid=((columns.start + columns.stop) / 2, 4.0) if present else None,
        area_px=int(mask.sum()),
        age_frames=9,
        frames_since_seen=0 if present else 4,
        mask_logits=torch.from_numpy(logits),
        mask=mask,
    )


GRID = WindowGrid(4, 4, 64, 256)


def result(*targets, plan=None, view=None):
    """A result of these targets."""
    plan = plan or dense_plan(GRID)
    return FrameResult(
        frame_index=41,
        stamp=None,
        image_size=(16, 8),
        targets=targets,
        plan=plan,
        timings=Timings(1.0, 2.0, 3.0, 4.0, 10.0),
        memory=MemoryUse(3, 200, 10, 20, 1000),
        view=view,
    )


LEFT, RIGHT, NOWHERE = slice(0, 10), slice(6, 16), slice(0, 0)


@pytest.mark.parametrize(
    ('first', 'second', 'winner'), [(1.0, 2.0, 2), (2.0, 1.0, 1), (0.5, 9.0, 2)]
)
@pytest.mark.parametrize('turned', [False, True])
def test_where_targets_overlap_the_higher_logit_wins(first, second, winner, turned):
    targets = [target(1, LEFT, first), target(2, RIGHT, second)]
    message = labels_message(HEADER, result(*(reversed(targets) if turned else targets)), 'mono8')
    expected = np.repeat([1] * 6 + [winner] * 4 + [2] * 6, 8).reshape(16, 8).T
    np.testing.assert_array_equal(mono8(message, 'labels'), expected)


@pytest.mark.parametrize(('encoding', 'dtype'), [('mono8', np.uint8), ('16UC1', np.uint16)])
def test_a_label_image_says_what_it_is_and_keeps_the_header(encoding, dtype):
    message = labels_message(HEADER, result(target(254, LEFT, 1.0)), encoding)
    assert (message.width, message.height, message.encoding) == (16, 8, encoding)
    assert (message.step, message.is_bigendian) == (16 * dtype().itemsize, 0)
    pixels = np.frombuffer(message.data, dtype).reshape(8, 16)
    assert sorted(np.unique(pixels)) == [0, 254]
    assert np.count_nonzero(pixels) == 80
    assert message.header == HEADER


def test_no_target_is_an_empty_label_image():
    message = labels_message(HEADER, result(), 'mono8')
    assert len(message.data) == 128
    assert not any(message.data)


def test_tracks_hold_every_field_of_every_target():
    lost = target(7, NOWHERE, -5.0, TargetStatus.LOST)
    message = tracks_message(HEADER, result(target(3, LEFT, 1.0), lost))
    assert (message.header, message.frame_index) == (HEADER, 41)
    seen, gone = message.targets
    assert (seen.id, seen.label, seen.state) == (3, 'thing 3', TrackedTarget.TRACKED)
    assert (seen.score, seen.object_logit, seen.area_px) == (0.75, 2.5, 80)
    assert (seen.age_frames, seen.frames_since_seen) == (9, 0)
    assert seen.box.tolist() == [0, 0, 10, 8]
    assert seen.centroid.tolist() == [5, 4]
    assert (gone.id, gone.state, gone.area_px) == (7, TrackedTarget.LOST, 0)
    assert gone.frames_since_seen == 4
    assert [*gone.box, *gone.centroid] == [0] * 6


@pytest.mark.parametrize('status', TargetStatus)
def test_states_have_the_same_name_in_the_message(status):
    message = tracks_message(HEADER, result(target(1, LEFT, 1.0, status)))
    assert message.targets[0].state == getattr(TrackedTarget, status.name)


def test_statistics_hold_the_timings_and_what_memory_was_read():
    occluded = target(2, NOWHERE, -5.0, TargetStatus.OCCLUDED)
    passage = Passage(11.0, 12.0, 13.0, 14.0, 15.0, 16.0, 17)
    message = stats_message(HEADER, result(target(1, LEFT, 1.0), occluded), passage)
    assert message.header == HEADER
    assert (message.motion, message.encode, message.memory, message.mask) == (1, 2, 3, 4)
    assert (message.age_on_arrival, message.queue, message.decode) == (11, 12, 13)
    assert (message.publish, message.total, message.end_to_end) == (14, 15, 16)
    assert (message.dropped_since_last, message.targets_active) == (17, 1)
    assert (message.memory_frames, message.memory_bytes) == (3, 1000)
    assert (message.memory_keys_kept, message.memory_keys_total) == (10, 20)
    assert (message.memory_queries, message.memory_queries_total) == (200, 2 * GRID.tokens)
    assert message.windows_active == message.windows_total > 0


def test_statistics_count_windows_by_why_they_were_computed():
    reasons = ('mask', 'saliency', 'motion', 'margin', 'search', 'refresh', 'refresh', 'changed')
    plan = FramePlan('paper', GRID, tuple(range(8)), reasons)
    message = stats_message(HEADER, result(plan=plan), Passage(*[0.0] * 6, 0))
    assert (message.windows_total, message.windows_active) == (16, 8)
    assert (message.windows_object, message.windows_refresh, message.windows_changed) == (4, 2, 1)
    assert message.route_mode == 'paper'
    assert message.route_reason == 'changed, margin, mask, motion, refresh, saliency, search'


@pytest.mark.parametrize('motion', MotionClass)
def test_statistics_tell_what_the_monitor_saw(motion):
    view = SceneView(motion, frame_difference=12.5)
    message = stats_message(HEADER, result(view=view), Passage(*[0.0] * 6, 0))
    assert message.motion_class == getattr(FrameStats, motion.name) == motion.value
    assert message.frame_difference == 12.5


def test_without_a_monitor_statistics_say_normal():
    message = stats_message(HEADER, result(), Passage(*[0.0] * 6, 0))
    assert (message.motion_class, message.frame_difference) == (FrameStats.NORMAL, 0.0)


@pytest.mark.parametrize('kind', EventKind)
def test_events_have_the_same_name_and_number_in_the_message(kind):
    message = event_message(HEADER, TrackerEvent(kind, 7, 2.5, 'why'))
    assert message.kind == getattr(Event, kind.name)
    assert (message.header, message.target_id, message.value, message.text) == (
        HEADER,
        7,
        2.5,
        'why',
    )
