# SPDX-License-Identifier: Apache-2.0
"""How one mode lived through one event, and through all clips of a class."""

from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import asdict
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from esam2_ros.evaluation.event_clips import EventClip
from esam2_ros.evaluation.results import mean_by_frame
from esam2_ros.evaluation.scores import ScoreError
from esam2_ros.evaluation.scores import iou
from esam2_ros.evaluation.scores import score_masks
from esam2_ros.evaluation.segmenter import Segmentation
from esam2_ros.training.scenes.film import TARGET

MOMENTS = (1, 5, 30)  # frames after the event
RECOVERED = 0.5  # IoU


@dataclass(frozen=True)
class EventScore:
    """One mode on one clip; J&F 0..1, the prompted frame left out.

    jf              mean over all frames
    jf_after        by frames after the event
    comes_back      whether the target is seen after the event
    recovery        frames from the first one after the event with IoU <= 0.5 to the next one
                    above it; 0 when there is none, None when it never comes
    swaps           times that the mask moves over to another instance
    absent          frames without the target, and
    false_masks     those of them that got a mask all the same
    timed_frames    frames but the prompted one
    ms_per_frame    mean wall time of those
    active          mean share of the encoder's windows computed on those; None for no encoder
    """

    jf: float
    jf_after: Mapping[int, float]
    comes_back: bool
    recovery: int | None
    swaps: int
    absent: int
    false_masks: int
    timed_frames: int
    ms_per_frame: float
    active: float | None

    @property
    def dense_frames(self) -> float | None:
        """What the encoder computed, in frames of all windows; None for no encoder."""
        return None if self.active is None else self.active * self.timed_frames

    def to_json(self) -> dict[str, Any]:
        """As plain values; frames become strings, as JSON needs them."""
        return {**asdict(self), 'jf_after': {str(n): jf for n, jf in self.jf_after.items()}}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> 'EventScore':
        """The inverse of `to_json`; KeyError or TypeError for anything else."""
        after = {int(n): jf for n, jf in content['jf_after'].items()}
        return cls(**{**content, 'jf_after': after})


class EventTally:
    """Gathers what one mode does on one clip, frame by frame in order."""

    def __init__(self, clip: EventClip) -> None:
        """Start before frame 0."""
        self._clip = clip
        self._jf: list[float] = []
        self._iou: list[float] = []
        self._swapped: list[bool] = []
        self._false: list[bool] = []
        self._milliseconds: list[float] = []
        self._active: list[float] = []

    def add(self, segmentation: Segmentation, milliseconds: float) -> None:
        """Take the next frame and the time it took. Raises ScoreError past the last one."""
        frame = len(self._jf)
        if frame == len(self._clip):
            raise ScoreError(f'clip {self._clip.name} has {frame} frames and all are scored')
        instances = self._clip.masks[frame]
        mask, truth = segmentation.labels == TARGET, instances == TARGET
        self._jf.append(float(np.mean(score_masks(mask, truth))))
        self._iou.append(iou(mask, truth))
        covered = np.bincount(instances[mask], minlength=TARGET + 1)
        covered[0] = 0
        own, covered[TARGET] = covered[TARGET], 0
        # A mask while the target is out of sight is counted as that, not as a swap.
        self._swapped.append(bool(truth.any() and covered.max() > own))
        self._false.append(bool(mask.any() and not truth.any()))
        self._milliseconds.append(milliseconds)
        if segmentation.active is not None:
            self._active.append(segmentation.active)

    def score(self) -> EventScore:
        """The score, once all frames are in. Raises ScoreError before."""
        if len(self._jf) < len(self._clip):
            raise ScoreError(f'{len(self._jf)} of {len(self._clip)} frames were scored')
        after = self._clip.after
        seen = (self._clip.masks == TARGET).any(axis=(1, 2))
        # Of the frames after the event that show the target.
        shown = np.flatnonzero(seen[after:])
        found = np.array(self._iou)[after:][shown] > RECOVERED
        swapped = np.array(self._swapped, int)
        return EventScore(
            jf=float(np.mean(self._jf[1:])),
            jf_after={n: self._jf[after + n] for n in MOMENTS},
            comes_back=len(shown) > 0,
            recovery=_recovery(shown, found),
            swaps=int((np.diff(swapped) > 0).sum() + swapped[0]),
            absent=int((~seen[1:]).sum()),
            false_masks=sum(self._false[1:]),
            timed_frames=len(self._jf) - 1,
            ms_per_frame=float(np.mean(self._milliseconds[1:])),
            active=float(np.mean(self._active[1:])) if self._active else None,
        )


def _recovery(shown: NDArray[np.int64], found: NDArray[np.bool_]) -> int | None:
    """Frames from the first that is not `found` to the next that is; both by `shown` frames."""
    lost = np.flatnonzero(~found)
    if not len(lost):
        return 0 if len(shown) else None
    again = np.flatnonzero(found[lost[0] :])
    return int(shown[lost[0] + again[0]] - shown[lost[0]]) if len(again) else None


@dataclass(frozen=True)
class ClassScore:
    """One mode on clips of a class; J&F are means over clips, times and shares over frames.

    recovery         median frames to recover, a clip that never does counting as the longest;
                     None when the median is such a clip, or no target ever comes back
    never_recovered  clips whose target comes back and is not found again, and
    returning        clips whose target comes back
    swaps            identity swaps of all clips
    false_mask_rate  share of frames without the target that got a mask; None without any
    """

    clips: int
    jf: float
    jf_after: Mapping[int, float]
    recovery: float | None
    never_recovered: int
    returning: int
    swaps: int
    false_mask_rate: float | None
    ms_per_frame: float | None
    active_realised: float | None


def pool(scores: Iterable[EventScore]) -> ClassScore:
    """Pool clips; raises ScoreError when there are none."""
    rows = tuple(scores)
    if not rows:
        raise ScoreError('no clip to average')
    returning = [row for row in rows if row.comes_back]
    absent = sum(row.absent for row in rows)
    return ClassScore(
        clips=len(rows),
        jf=float(np.mean([row.jf for row in rows])),
        jf_after={n: float(np.mean([row.jf_after[n] for row in rows])) for n in MOMENTS},
        recovery=_median([row.recovery for row in returning]),
        never_recovered=sum(row.recovery is None for row in returning),
        returning=len(returning),
        swaps=sum(row.swaps for row in rows),
        false_mask_rate=sum(row.false_masks for row in rows) / absent if absent else None,
        ms_per_frame=mean_by_frame([(row.ms_per_frame, row.timed_frames) for row in rows]),
        active_realised=mean_by_frame([(row.active, row.timed_frames) for row in rows]),
    )


def _median(frames: Sequence[int | None]) -> float | None:
    if not frames:
        return None
    middle = float(np.median([np.inf if n is None else n for n in frames]))
    return middle if np.isfinite(middle) else None
