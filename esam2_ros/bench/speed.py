# SPDX-License-Identifier: Apache-2.0
"""Our time a frame against stock's: one process, the same weights, images and memories.

Each image goes through both, in alternating order, so that whatever else the machine does falls
on both alike. Frames until all memories are held are left out. Reading, resizing and
normalising an image is outside on both sides; bringing masks to the size of the image inside.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from dataclasses import fields
from dataclasses import replace

import torch
from sam2.modeling.sam2_base import SAM2Base
from torch import Tensor

from esam2_ros.bench.machine import machine_name
from esam2_ros.bench.our_stream import OurStream
from esam2_ros.bench.sharpen import sharpen
from esam2_ros.bench.stock_stream import StockStream
from esam2_ros.bench.video import MadeVideo
from esam2_ros.core.models import build_model
from esam2_ros.core.models import model_spec
from esam2_ros.core.pack import ExactPack
from esam2_ros.errors import ConfigError
from esam2_ros.errors import check_ranges
from esam2_ros.evaluation.preset import preset_of
from esam2_ros.policy.config import DTYPES
from esam2_ros.policy.config import TrackerConfig
from esam2_ros.policy.modes import Mode
from esam2_ros.policy.results import FrameResult
from esam2_ros.policy.routing import ForcedRouter
from esam2_ros.weights.loading import load_model
from esam2_ros.weights.loading import pick_device
from esam2_ros.weights.registry import find

MODES = tuple(mode for mode in Mode if mode is not Mode.STOCK)
BASELINES = ('eager', 'compiled')
TRICKS = tuple(each.name for each in fields(ExactPack))

_SEED = 0
_FIRST_TIMED = 3  # the first tracked frames also fill tables and pools
_STATIC_AFTER = 20  # frames until no shape changes any more: all 16 object pointers are held

Progress = Callable[[str], None]


@dataclass(frozen=True)
class SpeedJob:
    """What to time.

    model     'compact', 'tiny' ... ; compact with its packaged weights, others with seeded
              random ones, made responsive
    size      side of the model input in pixels, None for the model's own
    mode      one of MODES
    active    share of windows computed in the modes that compute a part, rounded up to windows
    queries   share of the image conditioned for each target in smr, paper and incremental; None
              for all
    memories  spatial memories each target recalls on both sides
    targets   tracked
    frames    pairs that are timed
    device    'auto', 'cpu', 'cuda' or 'cuda:N'
    dtype     'auto', 'float32', 'bfloat16' or 'float16', on both sides
    baseline  stock 'eager', or 'compiled' as sam2's `vos_optimized`
    ablate    tricks of the exact pack switched off
    batched   one pass for all targets; None: on a GPU

    Raises ConfigError for a value out of range.
    """

    model: str = 'compact'
    size: int | None = None
    mode: str = 'exact'
    active: float = 0.25
    queries: float | None = None
    memories: int = 7
    targets: int = 1
    frames: int = 5
    device: str = 'auto'
    dtype: str = 'auto'
    baseline: str = 'eager'
    ablate: tuple[str, ...] = ()
    batched: bool | None = None

    def __post_init__(self) -> None:
        for name, value, allowed in (
            ('mode', self.mode, MODES),
            ('dtype', self.dtype, DTYPES),
            ('baseline', self.baseline, BASELINES),
            *(('trick', trick, TRICKS) for trick in self.ablate),
        ):
            if value not in allowed:
                raise ConfigError(f'unknown {name} {value!r}; allowed: {", ".join(allowed)}')
        check_ranges(self, (('memories', 1, 7), ('targets', 1, 16), ('frames', 1, 10_000)))
        for name, share in (('active', self.active), ('queries', self.queries)):
            if share is not None and not 0 < share <= 1:
                raise ConfigError(f'{name} is {share}; allowed: above 0, up to 1')
        if self.queries is not None and not Mode(self.mode).sparse_memory:
            allowed = ', '.join(mode for mode in MODES if mode.sparse_memory)
            raise ConfigError(
                f'queries is {self.queries} in mode {self.mode}; allowed: in {allowed}'
            )

    @property
    def share(self) -> float:
        """Share of the windows that is computed: `active` where a part may be, else all."""
        return self.active if self.forced else 1.0

    @property
    def forced(self) -> bool:
        """Whether the share of the windows is forced."""
        return Mode(self.mode).in_part

    def in_one_pass(self, device: str) -> bool:
        """Whether all targets go through in one pass on this device, as the tracker decides."""
        return device != 'cpu' if self.batched is None else self.batched

    @property
    def warm_up(self) -> int:
        """Frames before the first that is timed."""
        least = _STATIC_AFTER if self.baseline == 'compiled' else _FIRST_TIMED
        return max(self.memories, least)

    @property
    def config(self) -> TrackerConfig:
        """The tracker's settings."""
        return TrackerConfig(
            mode=self.mode,
            memory_frames=self.memories,
            dtype=self.dtype,
            pack=replace(ExactPack(), **dict.fromkeys(self.ablate, False)),
            batch_targets=self.batched,
            query_sparse=self.queries is not None,
        )

    @property
    def router(self) -> ForcedRouter:
        """What forces the shares."""
        return ForcedRouter(self.mode, self.share, queries=self.queries)


@dataclass(frozen=True)
class Pair:
    """One image on both sides: milliseconds of the frame and of its stages."""

    stock_ms: float
    ours_ms: float
    stock_stages: dict[str, float]
    our_stages: dict[str, float]

    @property
    def ratio(self) -> float:
        """How many times faster ours was."""
        return self.stock_ms / self.ours_ms


@dataclass(frozen=True)
class Difference:
    """The largest difference of our mask logits from stock's over all tracked frames.

    frames    compared, warm-up included
    absolute  difference in logits
    largest   logit of stock's, the scale of it
    """

    frames: int = 0
    absolute: float = 0.0
    largest: float = 0.0

    def with_frame(self, stock: Tensor, ours: Tensor) -> 'Difference':
        """This, and one more frame; both [n, S/4, S/4]."""
        return Difference(
            self.frames + 1,
            max(self.absolute, (stock - ours).abs().max().item()),
            max(self.largest, stock.abs().max().item()),
        )


@dataclass(frozen=True)
class SpeedResult:
    """What was timed, on what, and how it went.

    load        mean number of running tasks in the last minute, this one among them
    keys        each target attends to, of `keys_total` that its memories hold
    difference  from stock, in mode exact and float32 only
    """

    job: SpeedJob
    model: str
    size: int
    device: str
    dtype: str
    machine: str
    load: float
    preset: str
    weights: str
    windows_active: int
    windows_total: int
    queries: int
    keys: int
    keys_total: int
    pairs: tuple[Pair, ...]
    difference: Difference | None


def measure(job: SpeedJob, progress: Progress = lambda text: None) -> SpeedResult:
    """Time a job; `progress` hears what is going on.

    Raises ConfigError for a model, size or device that is not there, or for a compiled baseline
    where torch.compile does not work.
    """
    spec = model_spec(job.model)
    device = pick_device(job.device)
    size = spec.image_size if job.size is None else job.size
    model, weights = weighted(spec.name, size, device)
    dtype = _dtype(job.dtype, device)
    exact = job.mode == 'exact' and dtype == torch.float32
    stock = StockStream(model, job.memories, dtype, job.baseline == 'compiled', exact)
    ours = OurStream(model, job.config, job.router, job.targets)
    video = MadeVideo(size, job.targets, device, _SEED)
    pairs, difference, last = _run(job, stock, ours, video, progress)
    return SpeedResult(
        job=job,
        model=spec.name,
        size=size,
        device=str(device),
        dtype=str(dtype).removeprefix('torch.'),
        machine=machine_name(device),
        load=os.getloadavg()[0],
        preset=preset_of(spec.name, size, _preset_config(job, dtype, device)),
        weights=weights,
        windows_active=len(last.plan.active),
        windows_total=last.plan.grid.count,
        queries=_per_target(last.memory.queries, last),
        keys=_per_target(last.memory.keys_kept, last),
        keys_total=_per_target(last.memory.keys_total, last),
        pairs=tuple(pairs),
        difference=difference if exact else None,
    )


def _run(
    job: SpeedJob, stock: StockStream, ours: OurStream, video: MadeVideo, progress: Progress
) -> tuple[list[Pair], Difference, FrameResult]:
    """Prompt, warm up, time; the last is our newest result."""
    progress('prompt')
    for stream in (stock, ours):
        stream.start(video.frame(0), video.prompts())
    pairs: list[Pair] = []
    difference = Difference()
    for index in range(1, job.warm_up + job.frames):
        timed = index - job.warm_up
        progress(f'frame {timed + 1} of {job.frames}' if timed >= 0 else 'warm-up')
        image = video.frame(index)
        if index % 2:
            reference, (logits, result) = stock.track(image), ours.track(image)
        else:
            (logits, result), reference = ours.track(image), stock.track(image)
        difference = difference.with_frame(reference, logits)
        if timed >= 0:
            pairs.append(
                Pair(stock.clock.total, ours.clock.total, stock.clock.stages, ours.clock.stages)
            )
    return pairs, difference, result


def weighted(name: str, size: int, device: torch.device) -> tuple[SAM2Base, str]:
    """The model `name` for images of `size` px, and what its weights are."""
    if find(name).packaged:
        return load_model(name, None, device, size), 'packaged'
    return sharpen(build_model(name, size, _SEED)).to(device), f'random, seed {_SEED}, sharpened'


def _dtype(name: str, device: torch.device) -> torch.dtype:
    if name == 'auto':
        return torch.float32 if device.type == 'cpu' else torch.bfloat16
    dtype: torch.dtype = getattr(torch, name)
    return dtype


def _preset_config(job: SpeedJob, dtype: torch.dtype, device: torch.device) -> TrackerConfig:
    """The settings a score is compared under: naming the dtype 'auto' stands for is no other."""
    auto = dtype == _dtype('auto', device)
    return replace(job.config, dtype='auto') if auto else job.config


def _per_target(count: int, result: FrameResult) -> int:
    return round(count / len(result.targets))
