# SPDX-License-Identifier: Apache-2.0
"""The modes `esam2 eval` knows: one table, from which the help and every check are made."""

from collections.abc import Callable
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import replace

import torch
from sam2.modeling.sam2_base import SAM2Base

from esam2_ros.errors import ConfigError
from esam2_ros.evaluation.floors import CopyFirst
from esam2_ros.evaluation.floors import FlowWarp
from esam2_ros.evaluation.segmenter import Segmenter
from esam2_ros.evaluation.stock import StockSegmenter
from esam2_ros.evaluation.tracked import TrackedSegmenter
from esam2_ros.policy.config import MAX_TARGETS
from esam2_ros.policy.config import TrackerConfig

EXACT = 'exact'  # what `iou_to_exact` compares with
STOCK = 'stock'  # what `ms_stock` is measured on


@dataclass(frozen=True)
class Setup:
    """The model and the settings that the modes of one run share."""

    model: SAM2Base
    config: TrackerConfig

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


def _exact(frames: int, setup: Setup) -> Segmenter:
    # However many targets a clip has: their number is no setting of the method.
    return TrackedSegmenter(setup.model, replace(setup.config, max_targets=MAX_TARGETS))


def _stock(frames: int, setup: Setup) -> Segmenter:
    return StockSegmenter(setup.model, frames, setup.dtype)


MODES: dict[str, Mode | Floor] = {
    mode.name: mode
    for mode in (
        Mode(EXACT, 'all windows, all memory: equal to stock', _exact),
        Mode(STOCK, "the sam2 package's own video predictor", _stock),
        Floor('copy_first', 'the first mask on every frame', CopyFirst),
        Floor('flow_warp', 'the mask before, moved by optical flow', FlowWarp),
    )
}

FLOORS = tuple(mode.name for mode in MODES.values() if isinstance(mode, Floor))


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
