# SPDX-License-Identifier: Apache-2.0
"""A preset changes with every setting of the method and with nothing else."""

from dataclasses import dataclass
from dataclasses import fields
from dataclasses import replace

import pytest

from esam2_ros.evaluation.preset import preset_of
from esam2_ros.policy.config import TrackerConfig


@dataclass(frozen=True)
class Routing:
    mode: str = 'exact'
    margin_px: int = 32


@dataclass(frozen=True)
class Nested:
    routing: Routing
    mode: str = 'exact'


BASE = preset_of('compact', 512, TrackerConfig())


def test_shape_and_repeatability():
    assert preset_of('compact', 512, TrackerConfig()) == BASE
    assert len(BASE) == 12
    assert int(BASE, 16)


@pytest.mark.parametrize(
    'changed',
    [
        preset_of('sam2.1_hiera_tiny', 512, TrackerConfig()),
        preset_of('compact', 256, TrackerConfig()),
        preset_of('compact', 512, TrackerConfig(memory_frames=3)),
        preset_of('compact', 512, TrackerConfig(dtype='bfloat16')),
    ],
)
def test_a_setting_changes_it(changed):
    assert changed != BASE


def test_the_mode_does_not_change_it():
    base = Nested(Routing())
    assert {field.name for field in fields(base)} == {'routing', 'mode'}
    same = replace(base, mode='paper', routing=Routing(mode='paper'))
    other = replace(base, routing=Routing(margin_px=0))
    assert preset_of('compact', 512, same) == preset_of('compact', 512, base)
    assert preset_of('compact', 512, other) != preset_of('compact', 512, base)
