# SPDX-License-Identifier: Apache-2.0
"""Memory attention for a part of the image: all of it is dense, the rest stays as it was."""

import pytest
import stock_sam2
import torch

from esam2_ros.core.attention_cache import AttentionCache
from esam2_ros.core.attention_cache import Queries
from esam2_ros.core.attention_cache import QueryTable
from esam2_ros.core.conditioning import Memories
from esam2_ros.core.conditioning import Retrieval
from esam2_ros.core.engine import Engine
from esam2_ros.core.models import build_model
from esam2_ros.core.pack import ExactPack
from esam2_ros.core.plan import WindowGrid
from esam2_ros.errors import ConfigError

CPU = torch.device('cpu')
BATCH = 3
FRAME = 6


@pytest.fixture(autouse=True)
def no_gradients():
    with torch.inference_mode():
        yield


@pytest.fixture(scope='module', params=[('compact', 256), ('sam2.1_hiera_tiny', 512)], ids=str)
def case(request):
    """An engine whose weights respond, two frames, and full banks."""
    name, size = request.param
    model = stock_sam2.sharpen(build_model(name, size, seed=1))
    engine = Engine(model)
    generator = torch.Generator().manual_seed(2)
    shape = engine.new_bank().shape
    frames = [engine.encode(torch.randn(1, 3, size, size, generator=generator)) for _ in range(2)]
    banks = []
    for _ in range(BATCH):
        bank = engine.new_bank()
        for frame in range(FRAME):
            memory = torch.randn(shape.tokens, shape.channels, generator=generator)
            pointer = torch.randn(shape.pointer_channels, generator=generator)
            (bank.write_recent if frame else bank.write_prompt)(frame, memory, pointer)
        banks.append(bank)
    return engine, frames, banks


def asked(banks, caches=None, blocks=None):
    """What conditions frame FRAME of each bank."""
    return [
        Memories(
            bank,
            bank.recall(FRAME),
            FRAME,
            None if caches is None else caches[i],
            None if blocks is None else blocks[i],
        )
        for i, bank in enumerate(banks)
    ]


def relative(got, wanted):
    return ((got - wanted).abs().max() / wanted.abs().max()).item()


def inside(engine, blocks):
    """Which tokens, row by row of the image, lie in these blocks of 4 x 4 tokens: [tokens] bool."""
    side = engine.image_size // 16
    numbers = torch.arange(side)[:, None] // 4 * (side // 4) + torch.arange(side)[None] // 4
    return torch.isin(numbers.flatten(), torch.tensor(blocks))


@pytest.mark.parametrize('filled', [False, True])
def test_all_blocks_are_dense(case, filled):
    engine, (first, second), banks = case
    dense = engine.condition(second, asked(banks))
    caches = [engine.new_cache() for _ in banks]
    if filled:
        engine.condition(first, asked(banks, caches))
    every = [tuple(range(engine.grid.blocks.count))] * BATCH
    assert relative(engine.condition(second, asked(banks, caches, every)), dense) < 1e-5


def test_the_first_pass_conditions_everything(case):
    """Whatever is asked: nothing is kept yet that could stand for the rest."""
    engine, (first, _), banks = case
    targets = asked(banks, [engine.new_cache() for _ in banks], [(0,)] * BATCH)
    assert engine.conditioner.count_queries(targets) == BATCH * engine.grid.tokens
    assert relative(engine.condition(first, targets), engine.condition(first, asked(banks))) < 1e-5


def test_the_rest_stays_as_it_was(case):
    engine, (first, second), banks = case
    caches = [engine.new_cache() for _ in banks]
    before = engine.condition(first, asked(banks, caches)).flatten(2)
    kept = [cache.keys.clone() for cache in caches]
    blocks = [(0, 5), (3,), (15, 0, 1)]
    after = engine.condition(second, asked(banks, caches, blocks)).flatten(2)
    for i, chosen in enumerate(blocks):
        asked_for = inside(engine, chosen)
        assert torch.equal(after[i][:, ~asked_for], before[i][:, ~asked_for])
        assert (after[i] - before[i])[:, asked_for].abs().amax(0).min() > 0
        assert torch.equal(caches[i].keys[:, ~asked_for], kept[i][:, ~asked_for])
        assert not torch.equal(caches[i].keys[:, asked_for], kept[i][:, asked_for])


def test_on_the_same_frame_nothing_changes(case):
    """A token that is conditioned again, among others as they are, comes out the same."""
    engine, (first, _), banks = case
    caches = [engine.new_cache() for _ in banks]
    before = engine.condition(first, asked(banks, caches))
    again = engine.condition(first, asked(banks, caches, [(4,), (2, 7), (0,)]))
    assert relative(again, before) < 1e-5


def test_old_tokens_are_seen(case):
    """Mutation: with the tables of self-attention emptied the result is another."""
    engine, (first, second), banks = case
    results = []
    for emptied in (False, True):
        caches = [engine.new_cache() for _ in banks]
        engine.condition(first, asked(banks, caches))
        if emptied:
            for cache in caches:
                cache.keys.zero_()
                cache.values.zero_()
        results.append(engine.condition(second, asked(banks, caches, [(4,)] * BATCH)))
    assert relative(results[1], results[0]) > 1e-2


@pytest.mark.parametrize('blocks', [None, [(0, 5), (3,), (8,)], [(0, 5), None, (8,)]])
def test_what_targets_share_changes_nothing(case, blocks):
    engine, (first, second), banks = case
    results = []
    for shared in (False, True):
        caches = [engine.new_cache() for _ in banks]
        engine.condition(first, asked(banks, caches))
        targets = asked(banks, caches, blocks)
        opening = engine.open(second, targets) if shared else None
        results.append(engine.condition(second, targets, None, opening))
    assert relative(results[1], results[0]) < 1e-5


@pytest.mark.parametrize('retrieval', [None, Retrieval(12, 64)])
def test_one_by_one_equals_all_at_once(case, retrieval):
    """Also in what is kept of memories: repeats that fill a row up have no say in it."""
    engine, (first, second), banks = case
    blocks = [(0, 5), (3,), (8, 0, 1, 2, 4, 5, 6)]
    results, kept = [], []
    for alone in (False, True):
        for bank in banks:
            for slot in range(bank.shape.recent_slots):
                bank.kept.forget(slot)
        caches = [engine.new_cache() for _ in banks]
        engine.condition(first, asked(banks, caches))
        targets = asked(banks, caches, blocks)
        batches = [[target] for target in targets] if alone else [targets]
        results.append(torch.cat([engine.condition(second, each, retrieval) for each in batches]))
        kept.append(torch.stack([bank.kept.index for bank in banks]))
    assert relative(results[1], results[0]) < 1e-5
    assert (kept[0].sort(-1).values == kept[1].sort(-1).values).float().mean() > 0.999


def test_queries_that_score_are_spread_over_the_part(case):
    """Of a square number of tokens too: block after block they are no image."""
    engine, (first, second), banks = case
    blocks = [tuple(range(4))] * BATCH  # 64 tokens
    caches = [engine.new_cache() for _ in banks]
    engine.condition(first, asked(banks, caches))
    seen = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            'esam2_ros.core.conditioning.received',
            lambda query, key: seen.append(len(query)) or torch.rand(len(key)),
        )
        for bank in banks:
            bank.kept.forget((FRAME - 1) % bank.shape.recent_slots)
        engine.condition(second, asked(banks, caches, blocks), Retrieval(12, 48))
    assert set(seen) == {48}


def test_a_target_that_wants_everything_gives_it_to_its_batch(case):
    engine, (first, second), banks = case
    caches = [engine.new_cache() for _ in banks]
    engine.condition(first, asked(banks, caches))
    targets = asked(banks, caches, [(0, 5), None, (8,)])
    assert engine.conditioner.count_queries(targets) == BATCH * engine.grid.tokens
    assert (
        relative(engine.condition(second, targets), engine.condition(second, asked(banks))) < 1e-5
    )


def test_forgotten_is_conditioned_anew(case):
    engine, (first, second), banks = case
    caches = [engine.new_cache() for _ in banks]
    engine.condition(first, asked(banks, caches))
    for cache in caches:
        cache.forget()
    got = engine.condition(second, asked(banks, caches, [(0,)] * BATCH))
    assert relative(got, engine.condition(second, asked(banks))) < 1e-5


def test_in_bfloat16_parts_and_wholes_are_alike():
    """The result is float32 in both, and tokens conditioned again come out nearly the same."""
    model = stock_sam2.sharpen(build_model('compact', 256, seed=1))
    engine = Engine(model, dtype=torch.bfloat16)
    bank, cache = engine.new_bank(), engine.new_cache()
    bank.write_prompt(0, torch.randn(256, 32), torch.randn(128))
    image = torch.randn(1, 3, 256, 256, generator=torch.Generator().manual_seed(1))
    with engine.precision():
        features = engine.encode(image)
        whole, part = (
            engine.condition(features, [Memories(bank, bank.recall(1), 1, cache, blocks)]).clone()
            for blocks in (None, (2, 9))
        )
    assert whole.dtype == part.dtype == torch.float32
    assert relative(part, whole) < 0.05


def test_without_a_shared_opening(case):
    """The ablation of `shared_self_attention` conditions parts as well."""
    engine, (first, second), banks = case
    plain = Engine(engine.model, pack=ExactPack(shared_self_attention=False))
    results = []
    for each in (engine, plain):
        caches = [each.new_cache() for _ in banks]
        each.condition(first, asked(banks, caches))
        targets = asked(banks, caches, [(0, 5), (3,), (8,)])
        results.append(each.condition(second, targets, None, each.open(second, targets)))
    assert plain.open(second, asked(banks)) is None
    assert relative(results[1], results[0]) < 1e-5


# --- which tokens


@pytest.mark.parametrize(
    ('blocks', 'shape'),
    [
        ([None, None], None),
        ([(0,), ()], None),  # one target wants all
        ([(24,)], (1, 16)),
        ([(0,), (0, 1)], (2, 32)),
    ],
)
def test_index_on_a_cpu(blocks, shape):
    index = QueryTable(20, False, CPU)(blocks)
    assert shape == (None if index is None else tuple(index.shape))


def test_an_input_without_whole_blocks_is_refused():
    with pytest.raises(ConfigError, match='288 px cannot be conditioned in parts; needed: a multi'):
        QueryTable(18, False, CPU)


@pytest.mark.parametrize(
    ('blocks', 'rounded'),
    [([(0,)], 2), ([(24,)], 2), ([(0, 15), (3,)], 2), ([(5, 6, 9), (1,)], 4), ([range(25)], 25)],
)
def test_index_on_a_gpu(blocks, rounded):
    """25 blocks in steps of two; repeats name tokens that are asked for anyway."""
    table = QueryTable(20, True, CPU)
    index = table(blocks)
    assert index.shape == (len(blocks), rounded * 16)
    for row, chosen in zip(index, blocks, strict=True):
        assert len(row.unique()) == table.size * len(chosen) == 16 * len(chosen)


def test_a_block_is_four_tokens_a_side():
    (row,) = QueryTable(20, False, CPU)([(6,)])
    assert row.tolist() == [y * 20 + x for y in range(4, 8) for x in range(4, 8)]


def test_blocks_of_windows():
    """Windows of 96 px and blocks of 64 px on 256 px: rows and columns of both overlap."""
    grid = WindowGrid(3, 3, 96, 256)
    assert grid.blocks == WindowGrid(4, 4, 64, 256)
    assert grid.blocks_of(()) == ()
    assert grid.blocks_of((0,)) == (0, 1, 4, 5)
    assert grid.blocks_of((4,)) == (5, 6, 9, 10)
    assert grid.blocks_of((8, 0)) == (0, 1, 4, 5, 15)
    assert grid.blocks_of(range(9)) == tuple(range(16))


def test_repeats_are_written_once():
    cache = AttentionCache(3, 4, 2, CPU, torch.float32)
    queries = Queries(torch.tensor([[2, 0, 2]]), [2], [cache])
    rows = torch.tensor([[[1.0, 1.0], [2.0, 2.0], [1.0, 1.0]]])
    keys, values = queries.renew(2, rows, 2 * rows)
    assert keys[0].tolist() == [[2, 2], [0, 0], [1, 1], [0, 0]]
    assert torch.equal(values, 2 * keys)
    assert not cache.keys[0].any()
    assert torch.equal(queries.pick(torch.arange(8.0).view(1, 4, 2))[0, 1], torch.tensor([0.0, 1]))


def test_a_cache_does_not_grow():
    cache = AttentionCache(4, 16, 8, CPU, torch.float32)
    assert cache.nbytes == (2 * 3 + 1) * 16 * 8 * 4
