# SPDX-License-Identifier: Apache-2.0
"""Settings of the monitor: ranges and messages."""

from dataclasses import fields

import pytest

from esam2_ros.errors import ConfigError
from esam2_ros.policy.monitor import MonitorConfig


@pytest.mark.parametrize('name', [each.name for each in fields(MonitorConfig)])
@pytest.mark.parametrize('value', [-1, float('nan'), 1e9])
def test_every_setting_has_a_range(name, value):
    with pytest.raises(ConfigError, match=f'{name} is {value}; allowed: '):
        MonitorConfig(**{name: value})
