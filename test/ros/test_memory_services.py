# SPDX-License-Identifier: Apache-2.0
"""A node that starts again and loads what it saved goes on with its targets."""

import numpy as np
import pytest
from esam2_ros.msg import Event
from esam2_ros.srv import ListTargets
from esam2_ros.srv import LoadMemory
from esam2_ros.srv import RemoveTarget
from esam2_ros.srv import SaveMemory
from std_srvs.srv import Trigger

from .conftest import picture


def ids(answer):
    return list(answer.target_ids)


def test_targets_outlive_the_node(bench, tmp_path):
    folder = {'memory.directory': str(tmp_path)}
    first = bench(**folder).ready()
    first.step()
    assert first.add_box().target_id == 1
    assert first.add_box((40.0, 20.0, 80.0, 60.0)).target_id == 2
    for _ in range(3):
        first.step()
    saved = first.call(SaveMemory, 'save_memory', path='room/a')
    assert (saved.success, saved.message, ids(saved)) == (True, '', [1, 2])
    assert saved.path == str(tmp_path / 'room' / 'a')
    second = bench(**folder).ready()
    loaded = second.call(LoadMemory, 'load_memory', path='room/a')
    assert (loaded.success, loaded.path, ids(loaded)) == (True, saved.path, [1, 2])
    second.told([Event.TARGET_ADDED, Event.TARGET_ADDED])
    assert [each.target_id for each in second.got['events']] == [1, 2]
    for node in (first, second):
        node.step()
        node.wait(lambda: node.got['tracks'][-1].targets)  # noqa: B023 waits here
    before, after = (node.got['tracks'][-1].targets for node in (first, second))
    assert [each.id for each in after] == [1, 2]
    for one, other in zip(before, after, strict=True):
        assert one.object_logit == pytest.approx(other.object_logit, abs=1e-4)
        np.testing.assert_array_equal(one.box, other.box)
        assert one.age_frames == other.age_frames
    again = second.call(LoadMemory, 'load_memory', path='room/a')
    assert (again.success, ids(again)) == (False, [])
    assert 'ids that are in use: 1, 2' in again.message
    assert second.call(RemoveTarget, 'remove_target', target_id=1).success
    listed = second.call(ListTargets, 'list_targets')
    assert [each.id for each in listed.targets] == [2]


def test_refusals_say_why_and_change_nothing(bench, tmp_path):
    folder = tmp_path / 'memory'
    node = bench(**{'memory.directory': str(folder)}).ready()
    node.step()
    for kind, name, path, reason in (
        (SaveMemory, 'save_memory', 'a', 'nothing to save, no target is tracked'),
        (LoadMemory, 'load_memory', 'absent', 'no such file'),
        (SaveMemory, 'save_memory', '../a', "has '..' in it"),
        (LoadMemory, 'load_memory', '/etc/passwd', 'outside memory.directory'),
        (SaveMemory, 'save_memory', '', 'allowed: a file below'),
    ):
        answer = node.call(kind, name, path=path)
        assert (answer.success, answer.path) == (False, '')
        assert reason in answer.message
    assert not list(tmp_path.iterdir())
    assert node.add_box().success
    assert node.call(SaveMemory, 'save_memory', path='a').success
    (folder / 'a').write_bytes((folder / 'a').read_bytes()[:-1])
    assert 'damaged' in node.call(LoadMemory, 'load_memory', path='a').message
    assert node.call(SaveMemory, 'save_memory', path='a').success
    assert node.call(Trigger, 'reset').success
    node.step(picture(64, 48))
    answer = node.call(LoadMemory, 'load_memory', path='a')
    assert '96 x 64 px; the images here have 64 x 48 px' in answer.message


def test_a_node_that_is_not_active_refuses(bench):
    node = bench(autostart=False)
    for kind, name in ((SaveMemory, 'save_memory'), (LoadMemory, 'load_memory')):
        answer = node.call(kind, name, path='a')
        assert (answer.success, answer.message) == (
            False,
            'the node is unconfigured; activate it first',
        )
