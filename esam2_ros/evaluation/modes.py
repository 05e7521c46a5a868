# SPDX-License-Identifier: Apache-2.0
"""The modes `esam2 eval` knows: one table, from which the help and every check are made."""

from collections.abc import Callable
from collections.abc import Collection
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import replace
from typing import Any

import torch
from sam2.modeling.sam2_base import SAM2Base

from esam2_ros.core.shortcut import Shortcut
from esam2_ros.errors import ConfigError
from esam2_ros.evaluation.false_cut import FalseCut
from esam2_ros.evaluation.floors import CopyFirst
from esam2_ros.evaluation.floors import FlowWarp
from esam2_ros.evaluation.segmenter import Segmenter
from esam2_ros.evaluation.stock import StockSegmenter
from esam2_ros.evaluation.tracked import TrackedSegmenter
from esam2_ros.policy.config import MAX_TARGETS
from esam2_ros.policy.config import TrackerConfig

EXACT = 'exact'  # what `iou_to_exact` compares with
STOCK = 'stock'  # what `ms_stock` is measured on
MONITORED = 'paper_monitor'
FALSE_CUT = 'paper_monitor_false_cut'


@dataclass(frozen=True)
class Setup:
    """The model and the settings that the modes of one run share."""

    model: SAM2Base
    config: TrackerConfig
    shortcut: Shortcut | None = None

    @property
    def dtype(self) -> torch.dtype:
        """The arithmetic's precision, chosen as the tracker chooses it."""
        if self.config.dtype != 'auto':
            chosen: torch.dtype = getattr(torch, self.config.dtype)
            return chosen
        return torch.float32 if self.model.device.type == 'cpu' else torch.bfloat16


@dataclass(frozen=True)
class Mode:
    """A method to score. `start` makes it ready for a clip of that many frames."""

    name: str
    about: str
    start: Callable[[int, Setup], Segmenter]


@dataclass(frozen=True)
class Floor:
    """A method without a network, always prompted with the first mask."""

    name: str
    about: str
    start: Callable[[], Segmenter]


# Name, what it is, and how its tracker differs from the settings of the run.
_TRACKED: tuple[tuple[str, str, Mapping[str, Any]], ...] = (
    (EXACT, 'all windows, all memory: equal to stock', {'mode': 'exact'}),
    ('swr', "the paper's windows, all memory", {'mode': 'swr'}),
    ('smr', "all windows, the paper's memory", {'mode': 'smr'}),
    ('paper', "the paper's windows and memory", {'mode': 'paper'}),
    (MONITORED, 'paper, with the scene monitor on', {'mode': 'paper', 'monitor': True}),
    (
        'paper_queries',
        'that, and only what is near a target conditioned on its memory',
        {'mode': 'paper', 'monitor': True, 'query_sparse': True},
    ),
    ('lossless', 'what did not change is reused, all memory: equal to exact', {'mode': 'lossless'}),
    (
        'incremental',
        'what is near a target and changed, the rest as it was; with the monitor on',
        {'mode': 'incremental', 'monitor': True},
    ),
)


def _tracked(name: str, about: str, changes: Mapping[str, Any]) -> Mode:
    def start(frames: int, setup: Setup) -> Segmenter:
        # However many targets a clip has: their number is no setting of the method.
        config = replace(setup.config, max_targets=MAX_TARGETS, **changes)
        return TrackedSegmenter(setup.model, config, setup.shortcut)

    return Mode(name, about, start)


def _false_cut(frames: int, setup: Setup) -> Segmenter:
    config = replace(setup.config, max_targets=MAX_TARGETS, mode='paper', monitor=True)
    monitor = FalseCut(config.motion, frames // 2)
    return TrackedSegmenter(setup.model, config, setup.shortcut, monitor)


def _stock(frames: int, setup: Setup) -> Segmenter:
    return StockSegmenter(setup.model, frames, setup.dtype)


_ALL: tuple[Mode | Floor, ...] = (
    *(_tracked(*row) for row in _TRACKED),
    Mode(FALSE_CUT, 'that, told once in mid-clip of a cut that is none', _false_cut),
    Mode(STOCK, "the sam2 package's own video predictor", _stock),
    Floor('copy_first', 'the first mask on every frame', CopyFirst),
    Floor('flow_warp', 'the mask before, moved by optical flow', FlowWarp),
)
MODES = {mode.name: mode for mode in _ALL}

FLOORS = tuple(mode.name for mode in MODES.values() if isinstance(mode, Floor))


def baseline_of(name: str, among: Collection[str]) -> str | None:
    """The mode that a mode's score is compared with; None when there is none among those run.

    A false cut with the same mode without it; all others with `exact`, or else `stock`.
    """
    wanted = (MONITORED,) if name == FALSE_CUT else (EXACT, STOCK)
    found = next((each for each in wanted if each in among), None)
    return None if found == name else found


def pick_modes(names: Sequence[str], floors: bool = True) -> tuple[Mode | Floor, ...]:
    """The modes of these names in their order, and the floors after them unless unwanted.

    Raises ConfigError for an unknown name, or when nothing is picked.
    """
    unknown = [name for name in names if name not in MODES]
    if unknown:
        raise ConfigError(f'unknown mode {unknown[0]!r}; allowed: {", ".join(MODES)}')
    picked = dict.fromkeys((*names, *(FLOORS if floors else ())))
    if not picked:
        raise ConfigError(f'no mode is given; allowed: {", ".join(MODES)}')
    return tuple(MODES[name] for name in picked)
