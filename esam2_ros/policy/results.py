# SPDX-License-Identifier: Apache-2.0
"""What a tracked frame gives."""

from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from esam2_ros.core.plan import FramePlan
from esam2_ros.policy.events import TrackerEvent
from esam2_ros.policy.monitor.values import SceneView


class TargetStatus(Enum):
    """TRACKED in view; OCCLUDED out of view; LOST for long; SUSPECT jumped implausibly."""

    TRACKED = 0
    OCCLUDED = 1
    LOST = 2
    SUSPECT = 3


@dataclass(frozen=True, eq=False)
class TargetState:
    """One target on one frame; coordinates in pixels of the original image.

    score         predicted IoU, 0..1
    object_logit  above 0 when the model thinks the target is in view
    box           x_min, y_min, x_max, y_max (edges), None when the mask is empty
    centroid      x, y of the mask, None when it is empty
    mask_logits   [S/4, S/4] float, S the model's input side; above 0 is the target
    mask          [height, width] bool
    """

    id: int
    label: str
    state: TargetStatus
    score: float
    object_logit: float
    box: tuple[float, float, float, float] | None
    centroid: tuple[float, float] | None
    area_px: int
    age_frames: int
    frames_since_seen: int
    mask_logits: Tensor
    mask: NDArray[np.bool_]


@dataclass(frozen=True)
class Timings:
    """Milliseconds a frame took, by stage."""

    motion: float = 0.0
    encode: float = 0.0
    memory: float = 0.0
    mask: float = 0.0
    total: float = 0.0


@dataclass(frozen=True)
class MemoryUse:
    """Memories the frame was conditioned on, summed over targets.

    frames      spatial memories recalled
    queries     tokens of the image that were conditioned on memory
    keys_kept   memory tokens attended to
    keys_total  memory tokens the recalled frames hold
    bytes       of all banks and caches and the prompt history together
    """

    frames: int = 0
    queries: int = 0
    keys_kept: int = 0
    keys_total: int = 0
    bytes: int = 0


@dataclass(frozen=True, eq=False)
class FrameResult:
    """Everything known after a frame.

    `stamp` in nanoseconds, as given; `image_size` is width, height in pixels; `view` is the scene
    monitor's, None when it is off.
    """

    frame_index: int
    stamp: int | None
    image_size: tuple[int, int]
    targets: tuple[TargetState, ...]
    plan: FramePlan
    timings: Timings
    memory: MemoryUse
    events: tuple[TrackerEvent, ...] = ()
    view: SceneView | None = None

    def target(self, target_id: int) -> TargetState | None:
        """The state of one target, None for an id that is not tracked."""
        return next((each for each in self.targets if each.id == target_id), None)
