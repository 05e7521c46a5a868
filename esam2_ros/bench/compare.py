# SPDX-License-Identifier: Apache-2.0
"""Our own settings against each other: variants take turns on the frames of one process."""

import os
import statistics
from collections.abc import Callable
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import replace
from typing import Any

import torch

from esam2_ros.bench.machine import machine_name
from esam2_ros.bench.our_stream import OurStream
from esam2_ros.bench.speed import TRICKS
from esam2_ros.bench.speed import SpeedJob
from esam2_ros.bench.speed import weighted
from esam2_ros.bench.speed_report import STAGES
from esam2_ros.bench.video import MadeVideo
from esam2_ros.core.models import model_spec
from esam2_ros.errors import ConfigError
from esam2_ros.weights.loading import pick_device

MOST_TARGETS = 16

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Variant:
    """A row of the comparison: its name, and the job whose side of ours is timed."""

    name: str
    job: SpeedJob


@dataclass(frozen=True)
class Row:
    """Milliseconds of a variant: of each timed frame, and the medians of its stages."""

    variant: Variant
    frames_ms: tuple[float, ...]
    stages_ms: dict[str, float]

    @property
    def ms(self) -> float:
        """The median frame."""
        return statistics.median(self.frames_ms)

    def ratio_to(self, other: 'Row') -> float:
        """This time over the other's, the median over the frames both saw."""
        pairs = zip(self.frames_ms, other.frames_ms, strict=True)
        return statistics.median(mine / theirs for mine, theirs in pairs)


@dataclass(frozen=True)
class Comparison:
    """All rows, the first of which the others are compared with, and what they ran on."""

    rows: tuple[Row, ...]
    size: int
    device: str
    machine: str
    load: float
    weights: str


def ablation(job: SpeedJob, tricks: Sequence[str] = TRICKS) -> list[Variant]:
    """The exact pack whole, then without each trick."""
    without = [Variant(f'without {name}', replace(job, ablate=(name,))) for name in tricks]
    return [Variant('all of the pack', job), *without]


def by_targets(job: SpeedJob, counts: Sequence[int]) -> list[Variant]:
    """So many targets in one pass, then one by one; raises ConfigError for a bad count."""
    if not counts:
        raise ConfigError(f'no number of targets; allowed: 1 to {MOST_TARGETS}')
    variants = []
    for count in counts:
        variants.append(Variant(f'{count} in one pass', replace(job, targets=count, batched=True)))
        if count > 1:
            one_by_one = replace(job, targets=count, batched=False)
            variants.append(Variant(f'{count} one by one', one_by_one))
    return variants


def compare(variants: Sequence[Variant], progress: Progress = lambda text: None) -> Comparison:
    """Time variants of one model, input and device; `progress` hears what is going on.

    They are timed frame by frame in turn, after as many frames as memories are held. Raises
    ConfigError for a model, size or device that is not there.
    """
    job = variants[0].job
    spec, device = model_spec(job.model), pick_device(job.device)
    size = spec.image_size if job.size is None else job.size
    model, weights = weighted(spec.name, size, device)
    streams = []
    for each in variants:
        video = MadeVideo(size, each.job.targets, device)
        stream = OurStream(model, each.job.config, each.job.router, each.job.targets)
        progress(f'{each.name}: prompt')
        stream.start(video.frame(0), video.prompts())
        streams.append((stream, video))
    totals: list[list[float]] = [[] for _ in variants]
    stages: list[list[dict[str, float]]] = [[] for _ in variants]
    for index in range(1, job.warm_up + job.frames):
        timed = index >= job.warm_up
        order = list(enumerate(streams))
        for n, (stream, video) in order if index % 2 else reversed(order):
            progress(f'frame {index - job.warm_up + 1} of {job.frames}: {variants[n].name}')
            stream.track(video.frame(index))
            if timed:
                totals[n].append(stream.clock.total)
                stages[n].append(stream.clock.stages)
    rows = tuple(
        Row(variant, tuple(totals[n]), _medians(stages[n])) for n, variant in enumerate(variants)
    )
    return Comparison(rows, size, str(device), machine_name(device), os.getloadavg()[0], weights)


def to_json(result: Comparison) -> dict[str, Any]:
    """The fields of the commands that compare; times are medians in milliseconds."""
    first = result.rows[0]
    job = first.variant.job
    return {
        'model': job.model,
        'size': result.size,
        'mode': job.mode,
        'active': job.share,
        'active_is_forced': job.forced,
        'queries': job.queries,
        'memories': job.memories,
        'frames': job.frames,
        'rows': [
            {
                'name': row.variant.name,
                'targets': row.variant.job.targets,
                'batched': row.variant.job.in_one_pass(result.device),
                'ablate': list(row.variant.job.ablate),
                'ms': row.ms,
                'ratio': row.ratio_to(first),
                'stages_ms': row.stages_ms,
            }
            for row in result.rows
        ],
        'device': result.device,
        'machine': result.machine,
        'load': result.load,
        'weights': result.weights,
        'torch': torch.__version__,
        'threads': torch.get_num_threads(),
    }


def _medians(frames: list[dict[str, float]]) -> dict[str, float]:
    return {name: statistics.median(each.get(name, 0.0) for each in frames) for name in STAGES}
