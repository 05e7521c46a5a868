# SPDX-License-Identifier: Apache-2.0
"""The form of the frame path that GPUs run: fixed shapes, recorded passes, no waiting.

Most of it is checked without a GPU: on the CPU with the form forced, and on the meta device,
where any look at a value raises. The last tests need CUDA.
"""

from collections import Counter

import numpy as np
import pytest
import torch
from meta import on_meta
from replayer import Replayer
from torch.utils._python_dispatch import TorchDispatchMode

from esam2_ros import Prompt
from esam2_ros import StreamingTracker
from esam2_ros import TrackerConfig
from esam2_ros import load_model
from esam2_ros.core.conditioning import Memories
from esam2_ros.core.conditioning import Retrieval
from esam2_ros.core.encoder import Encoder
from esam2_ros.core.engine import Engine
from esam2_ros.core.models import build_model
from esam2_ros.core.pack import NOTHING
from esam2_ros.core.pack import ExactPack
from esam2_ros.core.windows import WindowLayout
from esam2_ros.training.scenes import demo_scene

SIDE = 320  # of the compact model: 16 windows, 7 of them over the edge
CPU = torch.device('cpu')
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a CUDA device')


@pytest.fixture(autouse=True)
def no_gradients():
    with torch.inference_mode():
        yield


@pytest.fixture(scope='module')
def model():
    return build_model('compact', SIDE, seed=3)


@pytest.fixture
def encoder(model):
    """An encoder on the CPU in the form it has on a GPU."""
    made = Encoder(model, ExactPack())
    made._static = True
    return made


def image(seed=5, side=SIDE):
    return torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(seed))


def relative(got, wanted):
    return ((got - wanted).abs().max() / wanted.abs().max()).item()


def maps(features):
    return features.embedding, *features.skips


# --- fixed shapes


@pytest.mark.parametrize(('side', 'window'), [(20, 6), (64, 14), (64, 16), (32, 6)])
@pytest.mark.parametrize('count', [1, 4, 6])
def test_shapes_depend_on_the_bucket_alone(side, window, count):
    layout = WindowLayout(side, window, CPU)
    last = layout.windows - 1
    choices = [[0], [last], [0, last][:count], [last - 1, 3, 0, 7][:count], []]
    seen = set()
    for windows in choices:
        chosen = layout.select_padded(windows, count)
        tables = (chosen.read, chosen.write, chosen.keep, chosen.bias)
        seen.add((chosen.groups, *((each.shape, each.dtype) for each in tables)))
        assert chosen.read.max() < side**2
        assert (chosen.write < side**2).sum() == len(layout.select(windows).read)
    assert len(seen) == 1


@pytest.mark.parametrize(
    ('active', 'bucket'), [(0, 1), (1, 1), (3, 4), (5, 6), (9, 12), (13, 16), (15, 16), (16, 16)]
)
def test_counts_are_rounded_up_to_the_next_bucket(encoder, active, bucket):
    assert encoder.buckets == (1, 2, 4, 6, 8, 12, 16)
    assert encoder.bucket(active) == bucket


@pytest.mark.parametrize('active', [[0], [15], [3, 10, 12], [0, 3, 12, 15, 5], list(range(15))])
def test_the_fixed_form_equals_the_free_form(model, encoder, active):
    wanted = Encoder(model, ExactPack())(image(), active)
    for got, free in zip(maps(encoder(image(), active)), maps(wanted), strict=True):
        assert relative(got, free) < 1e-5


def test_no_active_window_is_a_frame_of_shortcuts(model, encoder):
    wanted = Encoder(model, ExactPack())(image(), [])
    for got, free in zip(maps(encoder(image(), [])), maps(wanted), strict=True):
        assert relative(got, free) < 1e-5


# --- recorded passes


def test_frames_replay_what_was_recorded(model, encoder):
    capture = Replayer()
    encoder.record(capture)
    assert capture.recorded == len(encoder.buckets) + 1
    free = Encoder(model, ExactPack())
    for seed, active in enumerate([[2, 9, 15], None, [5], [0, 3, 7, 12], None]):
        got = encoder(image(seed), active)
        for one, other in zip(maps(got), maps(free(image(seed), active)), strict=True):
            assert relative(one, other) < 1e-5
    assert capture.replayed == 5
    assert capture.recorded == len(encoder.buckets) + 1  # nothing on the frame path


def test_a_frames_features_outlive_the_next_frame(encoder):
    encoder.record(Replayer())
    first = encoder(image(1), [4, 5])
    before = [each.clone() for each in maps(first)]
    encoder(image(2), [4, 5])
    for kept, copy in zip(maps(first), before, strict=True):
        assert torch.equal(kept, copy)


# --- all targets in one call


@pytest.mark.parametrize('flags', [{}, {'small_values': False}, {'cached_keys': False}])
@pytest.mark.parametrize('mode', ['exact', 'smr'])
def test_one_call_for_all_targets_equals_one_call_each(mode, flags):
    """Targets of different age have different numbers of keys: the shorter ones are padded."""
    model = build_model('compact', 256, seed=1)
    results = []
    for together in (False, True):
        settings = ExactPack(**{'onednn': False, **flags})
        tracker = StreamingTracker(model, TrackerConfig(mode=mode, pack=settings))
        conditioner = tracker._engine.conditioner
        conditioner._attention._together = together
        if together:
            conditioner._work = None
        for number in range(5):
            result = tracker.step_tensor(image(number, 256))
            if number < 2:
                tracker.add(Prompt(box=(40 + 60 * number, 60, 150 + 60 * number, 170)))
        results.append(torch.stack([each.mask_logits for each in result.targets]))
    assert relative(results[1], results[0]) < 1e-5


# --- half precision


@pytest.mark.parametrize('mode', ['exact', 'paper'])
def test_masks_in_bfloat16_are_those_in_float32(mode):
    clip = demo_scene()
    model = load_model('compact', image_size=256)
    ys, xs = (clip.masks[0] == 1).nonzero()
    masks = []
    for dtype in ('float32', 'bfloat16'):
        tracker = StreamingTracker(model, TrackerConfig(mode=mode, dtype=dtype))
        tracker.step(clip.frames[0])
        tracker.add(Prompt(box=(xs.min(), ys.min(), xs.max() + 1, ys.max() + 1)))
        masks.append([tracker.step(frame).targets[0].mask for frame in clip.frames[1:4]])
    for exact, half in zip(*masks, strict=True):
        assert (exact & half).sum() / (exact | half).sum() >= 0.95


# --- no look at a value


class Uploads(TorchDispatchMode):
    """Counts operations by name, and those that take a tensor from the host to the device."""

    def __init__(self):
        super().__init__()
        self.host = Counter()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        out = function(*args, **(kwargs or {}))
        given = [each for each in args if isinstance(each, torch.Tensor)]
        if isinstance(out, torch.Tensor) and out.device.type == 'meta':
            sizes = [each.numel() for each in given if each.device.type == 'cpu']
            self.host.update([max(sizes)] if sizes else [])
        return out


@pytest.mark.parametrize('parts', [False, True])
@pytest.mark.parametrize('retrieval', [None, Retrieval(12, 64)])
@pytest.mark.parametrize(
    ('name', 'tricks'), [('compact', True), ('tiny', True), ('compact', False)]
)
def test_the_frame_path_looks_at_no_value(name, tricks, retrieval, parts):
    """Meta tensors have none: `item`, `nonzero`, a mask as index or an `if` would raise."""
    side = 256
    model = on_meta(build_model(name, side))
    engine = Engine(model, dtype=torch.float32, pack=None if tricks else NOTHING, key_bytes=1 << 30)
    banks = [engine.new_bank() for _ in range(2)]
    caches = [engine.new_cache() if parts else None for _ in banks]
    for index, bank in enumerate(banks):
        memory = torch.zeros(engine.grid.tokens, 64 if name == 'tiny' else 32, device='meta')
        bank.write_prompt(index, memory, torch.zeros(model.hidden_dim, device='meta'))
    pixels = np.zeros((side, side, 3), np.uint8)
    for frame in range(2, 6):
        active = None if frame == 4 else [0, 3]
        with Uploads() as uploads, engine.precision():
            features = engine.encode(engine.normalise(pixels), active)
            blocks = [(0, 5, 9), (3,)] if frame > 2 else [None, None]
            batch = [
                Memories(bank, bank.recall(frame), frame, cache, chosen)
                for bank, cache, chosen in zip(banks, caches, blocks, strict=True)
            ]
            opening = engine.open(features, batch)
            conditioned = engine.condition(features, batch, retrieval, opening)
            segmentation = engine.segment(features, conditioned, watched=True)
            engine.memorise(features, segmentation, batch)
            shares = engine.saliency(segmentation.looks)
            touched = engine.touched(segmentation)
        assert touched.shape == shares.shape == (2, engine.grid.count)
        table = 0 if active is None else 2 * 2 * engine.encoder.windows.window**2
        # The tokens of three blocks for each target.
        index = 2 * 3 * 16 if parts and frame > 2 and (tricks or retrieval) else 0
        sizes = [side * side * 3, table, index, *(len(each.recall.pointers) for each in batch)]
        assert sorted(uploads.host.elements()) == sorted(size for size in sizes if size)


# --- warming up


def test_warming_up_a_cpu_leaves_everything_as_it_is(model):
    engine = Engine(model)
    engine.warm_up()
    assert engine.encoder._graphs.keys == ()


@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16])
def test_warming_up_records_every_shape_and_rehearses(model, dtype):
    engine, capture = Engine(model, dtype=dtype, key_bytes=1 << 30), Replayer()
    engine.encoder._static = True
    wanted = {}
    with engine.precision():
        assert not torch.is_autocast_cache_enabled() or dtype == torch.float32
        for active in (None, (3, 9)):
            wanted[active] = maps(engine.encode(image(), active))
    engine._prepare(capture, targets=2)
    assert engine.encoder._graphs.keys == ('dense', *engine.encoder.buckets)
    # Of the rehearsals: the encoder once, the decoder twice, the memory encoder once.
    assert capture.replayed == 2 * 4
    recorded = capture.recorded
    assert recorded == len(engine.encoder.buckets) + 1 + 2 * 2
    with engine.precision():
        for active, free in wanted.items():
            for one, other in zip(maps(engine.encode(image(), active)), free, strict=True):
                assert relative(one.float(), other.float()) < 1e-6
    assert capture.recorded == recorded


@pytest.mark.parametrize('watched', [False, True])
def test_recorded_heads_are_those_that_were_not(model, watched):
    """Masks, memories and where the decoder looked, for as many targets as were rehearsed."""
    plain, fast, capture = Engine(model), Engine(model), Replayer()
    fast._prepare(capture, targets=2)
    features = plain.encode(image())
    for targets in (1, 2, 3):
        generator = torch.Generator().manual_seed(targets)
        conditioned = torch.randn(targets, 128, 20, 20, generator=generator)
        before = capture.replayed
        one, other = (each.segment(features, conditioned, watched) for each in (plain, fast))
        for name in ('logits', 'score', 'object_logit', 'pointer', 'candidates'):
            assert torch.equal(getattr(one, name), getattr(other, name))
        assert (one.looks is None) == (other.looks is None) == (not watched)
        if watched:
            assert torch.equal(plain.saliency(one.looks), fast.saliency(other.looks))
        memories = [
            engine.heads.memory(features, one.full_logits, one.object_logit)
            for engine in (plain, fast)
        ]
        assert torch.equal(*memories)
        assert capture.replayed == before + 2 * (targets < 3)


# --- on a GPU


@pytest.fixture(scope='module')
def gpu_engine():
    engine = Engine(build_model('compact', SIDE, seed=3).to('cuda'), key_bytes=1 << 30)
    engine.warm_up(targets=2)
    return engine


def frame(engine, banks, index, active):
    batch = [Memories(bank, bank.recall(index), index) for bank in banks]
    features = engine.encode(engine.normalise(np.zeros((SIDE, SIDE, 3), np.uint8)), active)
    conditioned = engine.condition(features, batch, Retrieval(20, 64))
    segmentation = engine.segment(features, conditioned, watched=True)
    engine.memorise(features, segmentation, batch)
    return engine.touched(segmentation), engine.saliency(segmentation.looks)


@needs_cuda
def test_a_frame_never_waits_for_the_gpu(gpu_engine):
    banks = [gpu_engine.new_bank() for _ in range(2)]
    memory = torch.zeros(gpu_engine.grid.tokens, 32, device='cuda')
    for index, bank in enumerate(banks):
        bank.write_prompt(index, memory, torch.zeros(128, device='cuda'))
    with gpu_engine.precision():
        for index in range(2, 6):  # kernels are chosen and pinned memory is allocated
            frame(gpu_engine, banks, index, [0, 3])
        torch.cuda.synchronize()
        torch.cuda.set_sync_debug_mode('error')
        try:
            for index, active in enumerate([[0, 3], None, [1, 2, 9]], start=6):
                frame(gpu_engine, banks, index, active)
        finally:
            torch.cuda.set_sync_debug_mode('default')


@needs_cuda
@pytest.mark.parametrize('active', [None, [0], [2, 9, 15], list(range(9))])
def test_a_graph_equals_the_pass_it_was_recorded_from(gpu_engine, active):
    plain = Encoder(gpu_engine.model, ExactPack())
    with gpu_engine.precision():
        picture = image().cuda()
        got, wanted = gpu_engine.encode(picture, active), plain(picture, active)
    for one, other in zip(maps(got), maps(wanted), strict=True):
        assert relative(one.float(), other.float()) < 1e-2


@needs_cuda
def test_a_compiled_engine_equals_one_as_written():
    model = build_model('compact', SIDE, seed=3).to('cuda')
    plain, fast = Engine(model), Engine(model, compile=True)
    fast.warm_up()
    picture = image().cuda()
    for active in (None, [2, 9, 15]):
        with plain.precision():
            wanted = plain.encode(picture, active)
        with fast.precision():
            got = fast.encode(picture, active)
        for one, other in zip(maps(got), maps(wanted), strict=True):
            assert relative(one.float(), other.float()) < 2e-2
