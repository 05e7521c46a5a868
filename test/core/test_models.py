# SPDX-License-Identifier: Apache-2.0
import pytest
import torch

from esam2_ros.core.engine import Engine
from esam2_ros.core.models import build_model
from esam2_ros.errors import ConfigError


@pytest.mark.parametrize(
    ('name', 'size', 'message'),
    [
        ('sam3', None, "unknown model 'sam3'; allowed: compact, sam2.1_hiera_tiny"),
        ('compact', 300, 'image_size is 300; allowed: a multiple of 64 from 256 to 1024'),
        ('compact', 192, 'image_size is 192'),
    ],
)
def test_refuses(name, size, message):
    with pytest.raises(ConfigError, match=message):
        build_model(name, size)


def test_a_seed_repeats_the_weights_and_leaves_the_callers_alone():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first, second = build_model('compact', 256, seed=3), build_model('compact', 256, seed=3)
    assert torch.equal(torch.get_rng_state(), before)
    for name, weight in first.state_dict().items():
        assert torch.equal(weight, second.state_dict()[name]), name
    other = build_model('compact', 256, seed=4)
    assert not torch.equal(first.no_mem_embed, other.no_mem_embed)


def test_the_compact_model_fits_its_file():
    halves = sum(2 * weight.numel() for weight in build_model('compact').state_dict().values())
    assert halves <= 12 * 2**20


@pytest.mark.parametrize(
    ('name', 'size', 'rows', 'side'),
    [('compact', 512, 6, 96), ('tiny', 1024, 5, 224), ('tiny', 512, 3, 224)],
)
def test_window_grid(name, size, rows, side):
    grid = Engine(build_model(name, size)).grid
    assert (grid.rows, grid.columns, grid.side, grid.count) == (rows, rows, side, rows * rows)
