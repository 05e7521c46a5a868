# SPDX-License-Identifier: Apache-2.0
"""The yaml file and the docs say what the table says."""

from operator import attrgetter
from pathlib import Path

import pytest
from rclpy.parameter import Parameter
from std_srvs.srv import Trigger

from esam2_ros.policy.config import TrackerConfig
from esam2_ros.ros.parameter_docs import with_table
from esam2_ros.ros.parameter_docs import yaml_text
from esam2_ros.ros.settings import Settings
from esam2_ros.ros.tracker_settings import tracker_config

from .conftest import Bench

ROOT = Path(__file__).parents[2]


def test_the_yaml_file_holds_every_default():
    assert (ROOT / 'config' / 'esam2.yaml').read_text() == yaml_text()


def test_the_table_in_the_docs_is_current():
    document = (ROOT / 'docs' / 'node.md').read_text()
    assert with_table(document) == document


@pytest.mark.parametrize(
    ('name', 'value', 'reason'),
    [
        ('tracking.service_timeout_s', 99.0, '99'),
        ('tracking.service_timeout_s', 'soon', 'Wrong parameter type'),
        ('publish.label_encoding', 'rgb8', 'rgb8'),
        ('tracking.max_targets', 5, 'read-only'),
        ('model.name', 'sam2.1_hiera_tiny', 'read-only'),
        ('memory.directory', '/', 'read-only'),
        ('trace_path', '/a', 'read-only'),
        ('model.shortcut_checkpoint', 'identity', 'read-only'),
        ('routing.mode', 'fast', 'fast'),
        ('routing.margin_px', 257, '257'),
        ('routing.margin_px', 1.5, 'Wrong parameter type'),
        ('routing.refresh_windows', -1, '-1'),
        ('routing.saliency_mass', float('nan'), 'nan'),
        ('memory.keep_ratio', 0.0, '0'),
        ('memory.min_iou', 1.1, '1.1'),
        ('memory.anchors', 8, '8'),
        ('motion.cut_policy', 'panic', 'panic'),
        ('motion.cut_threshold', 256.0, '256'),
        ('budget.latency_ms', -1.0, '-1'),
    ],
)
def test_a_parameter_that_is_not_allowed_is_refused_and_keeps_its_value(idle, name, value, reason):
    before = idle.node.get_parameter(name).value
    (answer,) = idle.node.set_parameters([Parameter(name, value=value)])
    assert not answer.successful
    assert reason in answer.reason
    assert idle.node.get_parameter(name).value == before


def test_a_dynamic_parameter_is_used_at_once(idle):
    (answer,) = idle.node.set_parameters([Parameter('tracking.service_timeout_s', value=0.7)])
    assert answer.successful
    assert idle.node._settings.service_timeout_s == 0.7


def test_defaults_are_those_of_the_tracker_but_the_node_watches_the_scene():
    assert tracker_config(Settings()) == TrackerConfig(monitor=True)


@pytest.mark.parametrize(
    ('name', 'value', 'place', 'wanted'),
    [
        ('routing.mode', 'paper', 'mode', 'paper'),
        ('routing.margin_px', 16, 'margin_px', 16),
        ('routing.doubt_logit', -10.0, 'doubt_logit', -10.0),
        ('routing.refresh_windows', 3, 'refresh_windows', 3),
        ('routing.saliency_mass', 0.5, 'saliency_mass', 0.5),
        ('routing.score_threshold', 1.0, 'score_threshold', 1.0),
        ('memory.keep_ratio', 0.2, 'keep_ratio', 0.2),
        ('memory.min_iou', 0.4, 'min_iou', 0.4),
        ('memory.min_score', 0.5, 'min_score', 0.5),
        ('memory.anchors', 0, 'anchors', 0),
        ('motion.enabled', False, 'monitor', False),
        ('motion.cut_threshold', 20.0, 'motion.cut_difference', 20.0),
        ('motion.fast_threshold', 0.5, 'motion.fast_shift', 0.5),
        ('motion.rapid_threshold', 0.1, 'motion.rapid_shift', 0.1),
        ('motion.cut_policy', 'forget', 'cut_policy', 'forget'),
        ('budget.latency_ms', 50.0, 'latency_ms', 50.0),
    ],
)
def test_a_change_reaches_the_tracker(running, name, value, place, wanted):
    (answer,) = running.node.set_parameters([Parameter(name, value=value)])
    assert answer.successful, answer.reason
    tracker = running.node._worker._tracker
    running.wait(lambda: attrgetter(place)(tracker.config) == wanted)
    sent = running.step()
    assert running.got['tracks'][-1].header == sent.header


def test_the_mode_of_the_next_image_is_the_one_that_was_set(running):
    assert running.add_box().success
    for mode in ('smr', 'paper', 'lossless', 'incremental', 'exact'):
        assert running.node.set_parameters([Parameter('routing.mode', value=mode)])[0].successful
        running.step()
        assert running.got['frame_stats'][-1].route_mode == mode
    (answer,) = running.node.set_parameters([Parameter('routing.mode', value='stock')])
    assert not answer.successful
    assert "from 'exact' to 'stock' while targets are tracked; reset first" in answer.reason
    assert running.node.get_parameter('routing.mode').value == 'exact'
    assert running.call(Trigger, 'reset').success
    assert running.node.set_parameters([Parameter('routing.mode', value='stock')])[0].successful
    running.step()
    assert running.add_box().success
    running.step()
    stats = running.got['frame_stats'][-1]
    assert (stats.route_mode, stats.memory_frames) == ('stock', 1)


@pytest.fixture(scope='module')
def running():
    """A node that takes images."""
    made = Bench().ready()
    made.step()
    yield made
    made.close()


@pytest.fixture(scope='module')
def idle():
    """A node that is not configured."""
    made = Bench(autostart=False)
    yield made
    made.close()
