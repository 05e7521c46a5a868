# SPDX-License-Identifier: Apache-2.0
"""The arithmetic against torch's own counter on the stock modules, and against known totals."""

from dataclasses import replace

import pytest
import torch
from torch.nn.attention import SDPBackend
from torch.nn.attention import sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from esam2_ros import StreamingTracker
from esam2_ros import TrackerConfig
from esam2_ros.bench.flops import MODES
from esam2_ros.bench.flops import Work
from esam2_ros.bench.flops import frame_cost
from esam2_ros.bench.model_shape import shape_named
from esam2_ros.bench.sharpen import sharpen
from esam2_ros.bench.video import MadeVideo
from esam2_ros.core.encoder import Encoder
from esam2_ros.core.incremental import FrameCache
from esam2_ros.core.incremental import IncrementalEncoder
from esam2_ros.core.models import build_model
from esam2_ros.core.pack import NOTHING
from esam2_ros.core.pack import ExactPack
from esam2_ros.errors import ConfigError
from esam2_ros.policy.routing import ForcedRouter

GIGA = 1e9
MEMORIES, POINTERS = 7, 16


def counted(call, *arguments, **settings):
    """What the counter makes of a call; the plain kernel, for it does not know the CPU's own."""
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        call(*arguments, **settings)
    return counter.get_total_flops()


def cost(name, size, mode='stock', **work):
    return frame_cost(shape_named(name), Work(size, mode=mode, **work))


@pytest.fixture(
    params=[('compact', 256), ('compact', 320), ('tiny', 512), ('base_plus', 1024)],
    ids=lambda case: f'{case[0]}-{case[1]}',
    scope='module',
)
def case(request):
    """A model without data: shapes are all that the counter needs."""
    name, size = request.param
    return build_model(name, size).to('meta'), name, size


def test_encoder(case):
    model, name, size = case
    image = torch.empty(1, 3, size, size, device='meta')
    assert sum(cost(name, size).encoder.values()) == counted(model.forward_image, image)


def test_encoder_in_window_order(case):
    model, name, size = case
    image = torch.empty(1, 3, size, size, device='meta')
    ours = sum(cost(name, size, 'exact').encoder.values())
    # The one key that stands for a window's padding is left out.
    assert ours == pytest.approx(counted(Encoder(model, ExactPack()), image), rel=1e-3)


def test_routed_encoder():
    """Counted is the mean over where the active windows lie: some reach over the edge."""
    name, size, active, windows = 'compact', 256, 3, 9
    encoder = Encoder(build_model(name, size).to('meta'), ExactPack())
    encoder._static = False  # as on a CPU: no more windows than the plan has
    image = torch.empty(1, 3, size, size, device='meta')
    places = [[(first + i) % windows for i in range(active)] for first in range(windows)]
    mean = sum(counted(encoder, image, place) for place in places) / windows
    ours = cost(name, size, 'swr', active=active / windows)
    assert sum(ours.encoder.values()) == pytest.approx(mean, rel=0.02)


@pytest.mark.parametrize('memories', [1, MEMORIES])
def test_memory_attention(case, memories):
    model, name, size = case
    tokens, hidden, channels = (size // 16) ** 2, model.hidden_dim, model.mem_dim
    pointer_tokens = POINTERS * hidden // channels
    memory = torch.empty(memories * tokens + pointer_tokens, 1, channels, device='meta')
    current = torch.empty(tokens, 1, hidden, device='meta')
    attention = counted(
        model.memory_attention,
        curr=[current],
        curr_pos=[current],
        memory=memory,
        memory_pos=memory,
        num_obj_ptr_tokens=pointer_tokens,
    )
    positions = counted(model.obj_ptr_tpos_proj, torch.empty(POINTERS, hidden, device='meta'))
    ours = cost(name, size, memories=memories)
    assert sum(ours.memory_attention.values()) == attention + positions
    assert (ours.queries, ours.keys) == (tokens, len(memory))


def test_decoder_and_memory_encoder(case):
    model, name, size = case
    side, hidden = size // 16, model.hidden_dim
    embedding = torch.empty(1, hidden, side, side, device='meta')
    skips = [
        torch.empty(1, hidden // 8, 4 * side, 4 * side, device='meta'),
        torch.empty(1, hidden // 4, 2 * side, 2 * side, device='meta'),
    ]
    decoder = counted(
        model._forward_sam_heads, embedding, high_res_features=skips, multimask_output=True
    )
    mask = torch.empty(1, 1, size, size, device='meta')
    memory = counted(model.memory_encoder, embedding, mask, skip_mask_sigmoid=True)
    ours = cost(name, size)
    # The empty points' position code, a few thousand operations, is left out.
    assert ours.mask_decoder == pytest.approx(decoder, rel=1e-4)
    assert ours.memory_encoder == memory


@pytest.mark.parametrize(
    ('name', 'stages', 'encoder', 'frame', 'small'),
    [
        ('tiny', (16, 36, 192, 39), 292, 913, 115),
        ('small', (16, 36, 260, 39), 360, 981, 135),
        ('base_plus', (43, 69, 450, 74), 647, 1268, 213),
        ('large', (70, 212, 1381, 146), 1823, 2444, 486),
    ],
)
def test_published_table(name, stages, encoder, frame, small):
    """Stock at 1024, 7 memories and 16 pointers; the frame at 512 too."""
    dense = cost(name, 1024)
    got = [dense.encoder[f'stage{number}'] / GIGA for number in range(1, 5)]
    assert got == pytest.approx(stages, abs=0.5)
    assert sum(dense.encoder.values()) / GIGA == pytest.approx(encoder, abs=0.5)
    parts = {key: value / GIGA for key, value in dense.memory_attention.items()}
    assert sum(parts.values()) == pytest.approx(606, abs=0.5)
    assert parts['cross_scores'] + parts['cross_values'] == pytest.approx(482, abs=0.5)
    assert parts['self_attention'] == pytest.approx(69, abs=0.5)
    assert parts['mlp'] == pytest.approx(34, abs=0.5)
    assert parts['projections'] == pytest.approx(21, abs=0.7)
    assert (dense.mask_decoder + dense.memory_encoder) / GIGA == pytest.approx(15, abs=0.5)
    assert dense.total / GIGA == pytest.approx(frame, abs=0.5)
    assert cost(name, 512).total / GIGA == pytest.approx(small, abs=0.5)


def test_small_values_alone():
    """606 becomes 422 (the same source), less the output projection that goes with them."""
    pack = replace(NOTHING, small_values=True)
    parts = cost('tiny', 1024, 'exact', pack=pack).memory_attention
    output = 4 * 2 * 4096 * 256**2 / GIGA
    assert sum(parts.values()) / GIGA == pytest.approx(422 - output, abs=0.5)


@pytest.mark.parametrize(
    ('mode', 'queries', 'targets'),
    [('stock', None, 2), ('exact', None, 2), ('smr', None, 2), ('smr', 0.25, 2), ('smr', 0.5, 1)],
)
def test_a_tracked_frame(mode, queries, targets):
    """What the tracker really multiplies in steady state, oneDNN off: the counter misses it."""
    size = 256
    pack = NOTHING if mode == 'stock' else ExactPack(onednn=False)
    config = TrackerConfig(
        mode=mode,
        pack=pack,
        dtype='float32',
        batch_targets=True,
        query_sparse=queries is not None,
    )
    router = ForcedRouter(mode, 1.0, queries=queries)
    tracker = StreamingTracker(sharpen(build_model('compact', size, seed=0)), config, router)
    video = MadeVideo(size, targets)
    tracker.step_tensor(video.frame(0))
    for prompt in video.prompts():
        tracker.add(prompt)
    for index in range(1, MEMORIES):
        tracker.step_tensor(video.frame(index))
    frame = counted(tracker.step_tensor, video.frame(MEMORIES))
    # All memories are held by now, and as many pointers.
    shape = replace(shape_named('compact'), pointers=MEMORIES)
    ours = frame_cost(shape, Work(size, mode=mode, targets=targets, queries=queries))
    assert ours.total == pytest.approx(frame, rel=2e-3)


@pytest.mark.parametrize(
    ('name', 'routed', 'active', 'total'),
    [
        ('tiny', range(4, 9), 7, 25),
        ('small', range(4, 13), 7, 25),
        ('base_plus', range(6, 20), 7, 25),
        ('large', range(9, 43), 4, 16),
    ],
)
def test_routed_range_and_windows(name, routed, active, total):
    assert shape_named(name).routed == routed
    paper = cost(name, 1024, 'paper')
    assert (paper.windows_active, paper.windows_total, paper.keys) == (active, total, 9276)


@pytest.mark.parametrize(('active', 'windows'), [(0.28, 7), (0.281, 8), (1.0, 25), (0.001, 1)])
def test_windows_are_rounded_up(active, windows):
    assert cost('tiny', 1024, 'swr', active=active).windows_active == windows


def test_all_windows_and_all_keys_are_the_exact_mode():
    exact = cost('base_plus', 1024, 'exact', memories=2)
    paper = cost('base_plus', 1024, 'paper', memories=2, active=1.0)
    assert paper.encoder == exact.encoder
    assert paper.keys == exact.keys
    retrieval = paper.memory_attention['retrieval']
    assert paper.total == exact.total + retrieval


@pytest.mark.parametrize('mode', ['lossless', 'incremental'])
def test_an_encoder_that_reuses(mode):
    """Counted is the mean over where the windows in work lie; stages 1 and 2 are whole."""
    name, size, active, windows = 'compact', 320, 4, 16
    encoder = Encoder(build_model(name, size).to('meta'), ExactPack(onednn=False))
    cache = FrameCache(encoder, mode == 'lossless', torch.float32)
    incremental = IncrementalEncoder(encoder)
    image = torch.empty(1, 3, size, size, device='meta')
    counts = []
    for first in range(windows):
        cache.filled = True
        place = [(first + i) % windows for i in range(active)]
        counts.append(counted(incremental, image, cache, place, None))
    ours = cost(name, size, mode, active=active / windows)
    assert sum(ours.encoder.values()) == pytest.approx(sum(counts) / windows, rel=0.02)
    assert ours.total < cost(name, size, 'exact').total


def test_a_quarter_of_the_queries_by_hand():
    """Keys of the newest memory and the first layer's opening are the parts that stay."""
    whole, part = cost('tiny', 1024, 'smr'), cost('tiny', 1024, 'smr', queries=0.25)
    assert (whole.queries, part.queries) == (4096, 1024)
    before, after = whole.memory_attention, part.memory_attention
    for name in ('cross_scores', 'cross_values', 'mlp', 'self_attention'):
        assert after[name] * 4 == before[name]
    kept = (before['projections'] - after['projections']) / 2
    # Of 3 C x C products the opening keeps all tokens; all others have a quarter.
    rest = (2 + 5 * 3) * 256**2 + 4 * 64 * 256
    assert kept == 3 * 1024 * rest
    assert cost('tiny', 1024, 'exact', queries=0.25) == cost('tiny', 1024, 'exact')


def test_eight_targets_that_fill_a_quarter_each_cost_little_more_than_two():
    one, eight = (cost('tiny', 1024, 'smr', queries=0.25, targets=n) for n in (1, 8))
    assert eight.total / one.total < 2.7
    assert cost('tiny', 1024, 'smr', targets=8).total / cost('tiny', 1024, 'smr').total > 3.5


def test_without_tricks_exact_is_stock():
    exact = cost('base_plus', 1024, 'exact', targets=3, pack=NOTHING)
    assert exact == cost('base_plus', 1024, 'stock', targets=3)


@pytest.mark.parametrize(
    'trick',
    ['small_values', 'cached_keys', 'fused_neck', 'shared_self_attention', 'window_order'],
)
def test_every_trick_saves(trick):
    whole = cost('base_plus', 1024, 'exact', targets=2)
    without = cost(
        'base_plus', 1024, 'exact', targets=2, pack=replace(ExactPack(), **{trick: False})
    )
    assert without.total > whole.total


@pytest.mark.parametrize('mode', MODES)
def test_the_encoder_is_shared_by_targets(mode):
    one, eight = cost('tiny', 1024, mode), cost('tiny', 1024, mode, targets=8)
    assert one.encoder == eight.encoder
    assert eight.mask_decoder == 8 * one.mask_decoder
    assert one.total < eight.total <= 8 * one.total


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'size': 100}, 'size is 100; allowed: a multiple of 64'),
        ({'mode': 'fast'}, "unknown mode 'fast'; allowed: stock, exact"),
        ({'memories': 8}, 'memories is 8; allowed: 1 to 7'),
        ({'targets': 0}, 'targets is 0; allowed: 1 to 254'),
        ({'active': 0.0}, 'active is 0.0; allowed: above 0'),
        ({'queries': 1.1}, 'queries is 1.1; allowed: above 0, up to 1'),
    ],
)
def test_refusals(change, message):
    with pytest.raises(ConfigError, match=message):
        Work(**{'size': 512, **change})
