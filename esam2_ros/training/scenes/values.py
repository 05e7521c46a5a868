# SPDX-License-Identifier: Apache-2.0
"""What a made scene is: its order form, its frames, and the events that happen in it."""

from dataclasses import dataclass
from dataclasses import field
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from esam2_ros.errors import ConfigError

Pixels = NDArray[np.uint8]


class EventKind(StrEnum):
    """What can happen to a scene or to one target."""

    CUT = 'cut'  # another scene begins
    CUT_BACK = 'cut_back'  # the first scene is seen again
    OCCLUSION = 'occlusion'  # less than half of the target's own area is uncovered
    REAPPEAR = 'reappear'  # the target is uncovered again
    EXIT = 'exit'  # the target has left the frame
    REENTRY = 'reentry'  # the target is back in the frame
    EXPOSURE = 'exposure'  # the camera's gain steps
    DISTRACTOR = 'distractor'  # a twin of the target is in the scene
    PAN = 'pan'
    ZOOM = 'zoom'
    SHAKE = 'shake'
    BLUR = 'blur'


ORDERABLE = frozenset(EventKind) - {EventKind.CUT_BACK, EventKind.REAPPEAR, EventKind.REENTRY}


@dataclass(frozen=True)
class Event:
    """Something that begins at `frame`; `target` is an instance id, 0 for the whole scene."""

    frame: int
    kind: EventKind
    target: int = 0


@dataclass(frozen=True)
class SceneSpec:
    """The order for one clip.

    `size` is (width, height) in pixels, `speed` multiplies every motion, `split` names the
    photographs that may be used: 'train' or 'held_out'. `events` always happen to target 1;
    a cut always cuts back. Raises ConfigError for values that cannot be rendered.
    """

    size: tuple[int, int] = (192, 192)
    frames: int = 24
    objects: int = 5
    clutter: int = 6
    speed: float = 1.0
    noise: float = 4.0
    events: frozenset[EventKind] = field(default_factory=frozenset)
    split: str = 'train'

    def __post_init__(self) -> None:
        if min(self.size) < 32:
            raise ConfigError(f'size is {self.size}, allowed is 32 px or more a side')
        if not 1 <= self.frames <= 100_000:
            raise ConfigError(f'frames is {self.frames}, allowed is 1..100000')
        if not 1 <= self.objects <= 60:
            raise ConfigError(f'objects is {self.objects}, allowed is 1..60')
        if self.split not in ('train', 'held_out'):
            raise ConfigError(f"split is {self.split!r}, allowed are 'train' and 'held_out'")
        unknown = self.events - ORDERABLE
        if unknown:
            allowed = ', '.join(sorted(ORDERABLE))
            raise ConfigError(f'events has {", ".join(sorted(unknown))}, allowed are {allowed}')


@dataclass(frozen=True)
class Clip:
    """A rendered scene.

    frames [T, H, W, 3] uint8 RGB; masks [T, H, W] uint8, 0 background, else the instance id
    that is visible at the pixel; events in the order of their frames.
    """

    frames: Pixels
    masks: Pixels
    events: tuple[Event, ...]
    spec: SceneSpec
    seed: int

    def cuts(self) -> tuple[int, ...]:
        """Frames at which another scene begins, cut-backs included."""
        kinds = (EventKind.CUT, EventKind.CUT_BACK)
        return tuple(event.frame for event in self.events if event.kind in kinds)

    def ids(self) -> tuple[int, ...]:
        """Instance ids that are seen at least once."""
        return tuple(int(i) for i in np.unique(self.masks) if i)

    def absent(self, target: int) -> tuple[int, ...]:
        """Frames without a single pixel of `target`."""
        seen = (self.masks == target).any(axis=(1, 2))
        return tuple(int(t) for t in np.flatnonzero(~seen))
