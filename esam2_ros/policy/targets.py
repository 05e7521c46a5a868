# SPDX-License-Identifier: Apache-2.0
"""What the tracker keeps of each target, and how it looks from outside."""

from collections import deque
from collections.abc import Collection
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import field
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from esam2_ros.core.attention_cache import AttentionCache
from esam2_ros.core.memory import MemoryBank
from esam2_ros.core.prompts import Prompt
from esam2_ros.core.segmentation import Segmentation
from esam2_ros.errors import TooManyTargetsError
from esam2_ros.errors import UnknownFrameError
from esam2_ros.policy.config import MAX_TARGETS
from esam2_ros.policy.memory_policy import Watch
from esam2_ros.policy.readout import Clues
from esam2_ros.policy.readout import Readout
from esam2_ros.policy.readout import read_out
from esam2_ros.policy.results import TargetState
from esam2_ros.policy.results import TargetStatus

_LOGGED = 1024  # frames whose place in the bank is known


@dataclass
class Target:
    """A target: its bank, its segmentation on the newest frame, and its age.

    `at` is the newest frame's index in the bank; with `committed` False that frame is not
    remembered and the next one takes its place. `prompt` and `prompt_frame` are the newest prompt
    and the frame it was on; `log` tells which frame is where in the bank. `drawn` is the newest
    mask [S/4, S/4] on the host, None before it was shown. `cache` is there while frames may be
    conditioned in part.
    """

    id: int
    label: str
    bank: MemoryBank
    segmentation: Segmentation
    prompt: Prompt
    prompt_frame: int
    at: int = 0
    log: deque[tuple[int, int]] = field(default_factory=lambda: deque(maxlen=_LOGGED))
    committed: bool = True
    suspect: bool = False
    watch: Watch = field(default_factory=Watch)
    age_frames: int = 0
    frames_since_seen: int = 0
    drawn: NDArray[np.bool_] | None = None
    cache: AttentionCache | None = None

    @property
    def nbytes(self) -> int:
        """Bytes of its memory and of its cache."""
        return self.bank.nbytes + (0 if self.cache is None else self.cache.nbytes)

    @property
    def next_at(self) -> int:
        """The bank index of the next frame."""
        return self.at + 1 if self.committed else self.at

    def arrive(self, frame: int, at: int) -> None:
        """The newest frame is `frame`, at index `at` of the bank."""
        self.at, self.committed = at, True
        while self.log and self.log[-1][0] >= frame:
            self.log.pop()
        self.log.append((frame, at))

    def at_frame(self, frame: int) -> int:
        """Where `frame`, or the last one before it that was tracked, is in the bank."""
        for logged, at in reversed(self.log):
            if logged <= frame:
                return at
        first = self.log[0][0] if self.log else None
        raise UnknownFrameError(
            f'target {self.id} is known from frame {first} on, the prompt is on frame {frame}'
        )

    def trust(self) -> None:
        """Nothing of it waits or is doubted."""
        self.watch, self.suspect = Watch(), False

    def forget_conditioning(self) -> None:
        """Its memory is another: what was conditioned on it before holds no more."""
        if self.cache is not None:
            self.cache.forget()

    def status(self, lost_after: int) -> TargetStatus:
        """TRACKED, OCCLUDED or LOST, by how long the target has been out of view."""
        if self.frames_since_seen == 0:
            return TargetStatus.TRACKED
        if self.frames_since_seen < lost_after:
            return TargetStatus.OCCLUDED
        return TargetStatus.LOST


def free_id(taken: Collection[int], last: int, limit: int) -> int:
    """The id after `last` that is not `taken`; TooManyTargetsError above `limit` targets."""
    if len(taken) >= limit:
        raise TooManyTargetsError(
            f'{len(taken)} targets are tracked and max_targets is {limit}; remove one first'
        )
    candidates = ((last + k) % MAX_TARGETS + 1 for k in range(MAX_TARGETS))
    return next(candidate for candidate in candidates if candidate not in taken)


def observe(
    targets: Sequence[Target], size: tuple[int, int], lost_after: int, new_frame: bool
) -> tuple[TargetState, ...]:
    """Read all targets' segmentations, masks at the image's `size` (width, height), and show them.

    One transfer. With `new_frame` the targets grow one frame older.
    """
    segmentations = [target.segmentation for target in targets]
    readouts = read_out(segmentations, [Clues.none(each) for each in segmentations], size)
    return show(targets, readouts, lost_after, new_frame)


def show(
    targets: Sequence[Target], readouts: Sequence[Readout], lost_after: int, new_frame: bool
) -> tuple[TargetState, ...]:
    """Bring all targets up to date with what was read of them, and say how they look."""
    return tuple(
        _show(target, readout, lost_after, new_frame)
        for target, readout in zip(targets, readouts, strict=True)
    )


def _show(target: Target, readout: Readout, lost_after: int, new_frame: bool) -> TargetState:
    target.drawn = readout.drawn
    if new_frame:
        target.age_frames += 1
        target.frames_since_seen += 1
    if readout.object_logit > 0:
        target.frames_since_seen = 0
    elif not new_frame:
        target.frames_since_seen = max(1, target.frames_since_seen)
    box, centroid, area = outline(readout.mask)
    return TargetState(
        id=target.id,
        label=target.label,
        state=target.status(lost_after),
        score=readout.score,
        object_logit=readout.object_logit,
        box=box,
        centroid=centroid,
        area_px=area,
        age_frames=target.age_frames,
        frames_since_seen=target.frames_since_seen,
        mask_logits=readout.logits,
        mask=readout.mask,
    )


def outline(
    mask: NDArray[np.bool_],
) -> tuple[tuple[float, float, float, float] | None, tuple[float, float] | None, int]:
    """Box (pixel edges), centroid and area of a mask; None, None, 0 when it is empty."""
    pixels = mask.view(np.uint8)
    x, y, width, height = cv2.boundingRect(pixels)
    if width == 0:
        return None, None, 0
    inside = pixels[y : y + height, x : x + width]
    moments = cv2.moments(inside, binaryImage=True)
    area = moments['m00']
    centroid = (x + 0.5 + moments['m10'] / area, y + 0.5 + moments['m01'] / area)
    return (float(x), float(y), float(x + width), float(y + height)), centroid, round(area)


def accumulate(before: Prompt, new: Prompt) -> Prompt:
    """Clicks on a frame that already has some: SAM2 wants all of them again."""
    if new.points is None or new.box is not None or before.mask is not None:
        return new
    if before.points is None or before.point_labels is None or new.point_labels is None:
        return replace(new, box=before.box)
    return Prompt(
        points=np.concatenate([before.points, new.points]),
        point_labels=np.concatenate([before.point_labels, new.point_labels]),
        box=before.box,
        label=new.label,
    )
