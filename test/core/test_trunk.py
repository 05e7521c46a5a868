# SPDX-License-Identifier: Apache-2.0
"""Hiera in window order against the stock trunk, and sparse window routing against dense."""

import pytest
import torch

from esam2_ros.core.encoder import Encoder
from esam2_ros.core.linear import Linear
from esam2_ros.core.models import build_model
from esam2_ros.core.pack import NOTHING
from esam2_ros.core.pack import ExactPack
from esam2_ros.core.shortcut import Shortcut
from esam2_ros.core.trunk import WindowTrunk
from esam2_ros.core.trunk import routed_range

# Windows that reach over the edge, and (large) windows that do not.
SIZES = [('compact', 512), ('compact', 320), ('compact', 256), ('tiny', 320), ('large', 256)]


@pytest.fixture(scope='module')
def models():
    made = {}

    def get(name, size):
        key = name, size
        if key not in made:
            made[key] = build_model(name, size, seed=3)
        return made[key]

    return get


@pytest.fixture(autouse=True)
def no_gradients():
    with torch.inference_mode():
        yield


def image(size):
    return torch.randn(1, 3, size, size, generator=torch.Generator().manual_seed(5))


def relative(got, wanted):
    return ((got - wanted).abs().max() / wanted.abs().max()).item()


@pytest.mark.parametrize('onednn', [True, False])
@pytest.mark.parametrize(('name', 'size'), SIZES)
def test_all_windows_equal_stock(models, name, size, onednn):
    trunk = models(name, size).image_encoder.trunk
    ours = WindowTrunk(trunk, size, Linear(onednn))
    every = range(ours.layouts[2].windows)
    stock = trunk(image(size))
    for route in (
        None,
        ours.layouts[2].select(every),
        ours.layouts[2].select_padded(every, len(every) + 2),
    ):
        stages = ours(image(size), route)
        for tokens, layout, wanted in zip(stages, ours.layouts, stock, strict=True):
            assert relative(layout.to_grid(tokens), wanted) < 1e-5


@pytest.mark.parametrize(('name', 'size'), SIZES)
def test_some_windows_are_the_same_in_both_forms(models, name, size):
    ours = WindowTrunk(models(name, size).image_encoder.trunk, size, Linear())
    layout = ours.layouts[2]
    some = [0, layout.windows - 1]  # a corner that is whole, and one that reaches over the edge
    free = ours(image(size), layout.select(some))
    fixed = ours(image(size), layout.select_padded(some, 4))
    for a, b in zip(free, fixed, strict=True):
        assert relative(b, a) < 1e-5


def test_inactive_windows_take_the_shortcut():
    size, model = 256, build_model('compact', 256, seed=3)
    trunk = model.image_encoder.trunk
    shortcut = Shortcut(128).requires_grad_(False)
    torch.nn.init.normal_(shortcut.up_project.weight, std=0.1)
    ours = WindowTrunk(trunk, size, Linear(), shortcut)
    layout = ours.layouts[2]
    seen = {}
    block = ours.run

    def spy(number, tokens, *rest):
        seen.setdefault(number, tokens)
        return block(number, tokens, *rest)

    ours.run = spy
    ours(image(size), layout.select([4]))
    merged = seen[ours.range.last]
    active = layout.select([4]).read
    others = torch.ones(len(merged), dtype=torch.bool)
    others[active] = False
    entry = ours.early(first_tokens(ours, image(size)))[2].index_select(0, ours.regroup)
    assert relative(merged[others], shortcut(entry)[others]) < 1e-6
    assert relative(merged[active], entry[active]) > 1e-3  # the routed blocks did something


def first_tokens(ours, picture):
    tokens = ours._trunk.patch_embed(picture)[0].flatten(0, 1)
    return tokens.index_select(0, ours.layouts[0].order) + ours._position


def test_a_window_does_not_depend_on_which_others_are_active_before_a_global_block():
    size = 512
    model = build_model('compact', size, seed=3)
    ours = WindowTrunk(model.image_encoder.trunk, size, Linear())
    layout = ours.layouts[2]
    tokens = torch.randn(layout.side**2, 128)
    one, two = layout.select([7]), layout.select([7, 20])
    first = ours.range.first
    alone = ours.run(first, tokens[one.read], one.groups)
    both = ours.run(first, tokens[two.read], two.groups)
    assert relative(both[: len(alone)], alone) < 1e-6


@pytest.mark.parametrize(
    ('name', 'first', 'last'),
    [('tiny', 4, 9), ('small', 4, 13), ('base_plus', 6, 20), ('large', 9, 43), ('compact', 4, 9)],
)
def test_the_routed_range_is_the_papers(name, first, last):
    trunk = build_model(name, 256).image_encoder.trunk
    assert (routed_range(trunk).first, routed_range(trunk).last) == (first, last)
    assert routed_range(trunk, 0).first == first
    assert routed_range(trunk, last + 9).first == last


@pytest.mark.parametrize('flag', ['window_order', 'fused_neck', 'cached_tables', 'onednn'])
@pytest.mark.parametrize('name', ['compact', 'tiny'])
def test_each_trick_alone_leaves_the_features(models, name, flag):
    model = models(name, 256)
    wanted = Encoder(model, NOTHING)(image(256))
    got = Encoder(model, ExactPack(**{**vars(NOTHING), flag: True}))(image(256))
    assert relative(got.embedding, wanted.embedding) < 1e-5
    for a, b in zip(got.skips, wanted.skips, strict=True):
        assert relative(a, b) < 1e-5


def test_an_empty_choice_of_windows_is_a_frame_of_shortcuts(models):
    encoder = Encoder(models('compact', 256), ExactPack())
    some = encoder(image(256), [])
    assert torch.isfinite(some.embedding).all()
