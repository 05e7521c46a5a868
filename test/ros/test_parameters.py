# SPDX-License-Identifier: Apache-2.0
"""The yaml file and the docs say what the table says."""

from pathlib import Path

import pytest
from rclpy.parameter import Parameter

from esam2_ros.ros.parameter_docs import with_table
from esam2_ros.ros.parameter_docs import yaml_text

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


@pytest.fixture(scope='module')
def idle():
    """A node that is not configured."""
    made = Bench(autostart=False)
    yield made
    made.close()
