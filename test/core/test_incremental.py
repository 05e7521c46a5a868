# SPDX-License-Identifier: Apache-2.0
"""Encoding what needs work: all of it is dense, what did not change may stay, the rest is stale."""

import pytest
import stock_sam2
import torch

from esam2_ros.core.encoder import Encoder
from esam2_ros.core.incremental import FrameCache
from esam2_ros.core.incremental import IncrementalEncoder
from esam2_ros.core.models import build_model
from esam2_ros.core.pack import ExactPack

CASES = [('compact', 320), ('compact', 512), ('tiny', 512), ('base_plus', 512), ('large', 512)]


@pytest.fixture(autouse=True)
def no_gradients():
    with torch.inference_mode():
        yield


def made(name, size):
    encoder = Encoder(stock_sam2.sharpen(build_model(name, size, seed=1)), ExactPack())
    return encoder, IncrementalEncoder(encoder)


@pytest.fixture(scope='module', params=CASES, ids=str)
def case(request):
    """An encoder that is dense, and the one under test, whose weights respond."""
    return made(*request.param)


@pytest.fixture(scope='module')
def small():
    return made('compact', 320)


def image(encoder, seed):
    side = encoder._model.image_size
    return torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(seed))


def cache(encoder, lossless):
    return FrameCache(encoder, lossless, torch.float32)


def maps(features):
    return features.embedding, *features.skips


def error(got, wanted):
    """The largest relative difference of the three maps."""
    return max(
        ((a - b).abs().max() / b.abs().max()).item()
        for a, b in zip(maps(got), maps(wanted), strict=True)
    )


def reach(encoder, rows, columns):
    """Tiles and windows that depend on the pixels of these ranges: those, and 3 px after them."""
    side, window = encoder._model.image_size, 16 * encoder.windows.window
    found = []
    for step in (32, window):
        across = -(-side // step)
        spans = [
            range(r.start // step, min(r.stop + 2, side - 1) // step + 1) for r in (rows, columns)
        ]
        found.append([y * across + x for y in spans[0] for x in spans[1]])
    return found


@pytest.mark.parametrize('lossless', [False, True])
def test_all_of_it_is_dense(case, lossless):
    encoder, incremental = case
    kept = cache(encoder, lossless)
    for seed in (1, 2):
        got = incremental(image(encoder, seed), kept, None, None)
        assert error(got, encoder(image(encoder, seed))) < 1e-5
    every = range(encoder.windows.windows)
    assert (
        error(incremental(image(encoder, 3), kept, every, None), encoder(image(encoder, 3))) < 1e-5
    )


def test_at_full_size_all_of_it_is_dense():
    encoder, incremental = made('tiny', 1024)
    kept = cache(encoder, False)
    incremental(image(encoder, 1), kept, None, None)
    got = incremental(image(encoder, 2), kept, range(25), None)
    assert error(got, encoder(image(encoder, 2))) < 1e-5


@pytest.mark.parametrize(
    ('rows', 'columns'),
    [
        (range(40, 50), range(70, 80)),  # inside a tile
        (range(29, 32), range(29, 32)),  # its last pixels, which the tiles right and below take
        (range(90, 96), range(10, 20)),  # and those of a window of compact
        (range(200), range(150, 160)),
        (range(310, 320), range(310, 320)),  # the corner, in windows over the edge
    ],
)
def test_what_did_not_change_may_stay(case, rows, columns):
    encoder, incremental = case
    kept = cache(encoder, True)
    first = image(encoder, 1)
    incremental(first, kept, None, None)
    second = first.clone()
    second[..., rows.start : rows.stop, columns.start : columns.stop] += 1.0
    tiles, windows = reach(encoder, rows, columns)
    assert len(tiles) < (encoder._model.image_size // 32) ** 2
    got, dense = incremental(second, kept, windows, tiles), encoder(second)
    assert error(got, dense) < 1e-6
    assert error(got, encoder(first)) > 1e-3


def test_the_halo_is_needed(small):
    """Mutation: without the tiles right of and below the change the result is another."""
    encoder, incremental = small
    kept = cache(encoder, True)
    first = image(encoder, 1)
    incremental(first, kept, None, None)
    second = first.clone()
    second[..., 29:32, 29:32] += 1.0
    assert error(incremental(second, kept, [0], [0]), encoder(second)) > 1e-4


def test_windows_in_work_see_all_others_as_they_were(case):
    encoder, incremental = case
    kept = cache(encoder, False)
    first = image(encoder, 1)
    incremental(first, kept, None, None)
    second = first.clone()
    second[..., 40:50, 70:80] += 1.0
    tiles, windows = reach(encoder, range(40, 50), range(70, 80))
    got, dense = incremental(second, kept, windows, tiles), encoder(second)
    for ours, wanted in zip(got.skips, dense.skips, strict=True):
        assert torch.allclose(ours, wanted, rtol=0, atol=1e-5 * wanted.abs().max().item())
    # The others met the new window in no global block; a frame of another content is far off.
    assert 1e-6 < error(got, dense) < 0.1
    assert error(got, encoder(image(encoder, 5))) > 0.3


def test_keys_of_all_windows_are_attended_to(small):
    """Mutation: emptied tables change the windows in work."""
    encoder, incremental = small
    results = []
    for emptied in (False, True):
        kept = cache(encoder, False)
        incremental(image(encoder, 1), kept, None, None)
        if emptied:
            for table in kept.tables.values():
                table.zero_()
        results.append(incremental(image(encoder, 2), kept, [5], None))
    assert error(results[1], results[0]) > 1e-3


@pytest.mark.parametrize('lossless', [False, True])
def test_no_work_leaves_everything_as_it_was(small, lossless):
    encoder, incremental = small
    kept = cache(encoder, lossless)
    before = incremental(image(encoder, 1), kept, None, None)
    assert error(incremental(image(encoder, 2), kept, [], []), before) == 0


def test_the_first_frame_is_whole_whatever_is_asked(small):
    encoder, incremental = small
    got = incremental(image(encoder, 1), cache(encoder, False), [3], [0])
    assert error(got, encoder(image(encoder, 1))) < 1e-5


def test_a_frame_that_raises_leaves_nothing_behind(small, monkeypatch):
    """Half of it would be of another image: the next frame is whole again."""
    encoder, incremental = small
    kept = cache(encoder, False)
    incremental(image(encoder, 1), kept, None, None)
    with monkeypatch.context() as patch:
        patch.setattr(encoder, 'finish', lambda stages: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            incremental(image(encoder, 2), kept, [3], [0])
    assert not kept.filled
    got = incremental(image(encoder, 3), kept, [], [])
    assert error(got, encoder(image(encoder, 3))) < 1e-5


@pytest.mark.parametrize('lossless', [False, True])
def test_a_frames_features_outlive_the_next_frame(small, lossless):
    encoder, incremental = small
    kept = cache(encoder, lossless)
    first = incremental(image(encoder, 1), kept, None, None)
    before = [each.clone() for each in maps(first)]
    incremental(image(encoder, 2), kept, None, None)
    for own, copy in zip(maps(first), before, strict=True):
        assert torch.equal(own, copy)


def test_a_cache_has_a_fixed_size(small):
    encoder, incremental = small
    kept = cache(encoder, False)
    before = kept.nbytes
    for seed in range(4):
        incremental(image(encoder, seed), kept, [seed], None)
    assert kept.nbytes == before
    lossless = cache(encoder, True)
    assert 0 < lossless.nbytes < before
    assert not any(table.numel() for table in lossless.tables.values())
