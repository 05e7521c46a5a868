# SPDX-License-Identifier: Apache-2.0
"""What one mode achieved on one clip, and on all of them; as values and as JSON."""

from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import asdict
from dataclasses import dataclass
from typing import Any

import numpy as np

from esam2_ros.evaluation.scores import ObjectScore
from esam2_ros.evaluation.scores import summarise


@dataclass(frozen=True)
class ClipScore:
    """One mode on one clip.

    objects        J, F and absence by target id
    iou_to_exact   mean IoU with the masks of mode `exact` by target id, over all frames after
                   the target's prompt; None when `exact` was not run beside it
    timed_frames   frames without a prompt, which are timed
    ms_per_frame   mean wall time of those, from image to masks; None when there are none
    active         mean share of the encoder's windows computed on those; None for no encoder
    queries        mean share of the image conditioned on memory on those; None for no tracker
    """

    objects: Mapping[int, ObjectScore]
    iou_to_exact: Mapping[int, float] | None
    timed_frames: int
    ms_per_frame: float | None
    active: float | None
    queries: float | None

    @property
    def dense_frames(self) -> float | None:
        """What the encoder computed, in frames of all windows; None for no encoder."""
        return None if self.active is None else self.active * self.timed_frames

    def to_json(self) -> dict[str, Any]:
        """As plain values; ids become strings, as JSON needs them."""
        iou = self.iou_to_exact
        return {
            'objects': {str(target): asdict(score) for target, score in self.objects.items()},
            'iou_to_exact': None if iou is None else {str(key): iou[key] for key in iou},
            'timed_frames': self.timed_frames,
            'ms_per_frame': self.ms_per_frame,
            'active': self.active,
            'queries': self.queries,
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> 'ClipScore':
        """The inverse of `to_json`; KeyError or TypeError for anything else."""
        iou = content['iou_to_exact']
        return cls(
            objects={
                int(target): ObjectScore(**score) for target, score in content['objects'].items()
            },
            iou_to_exact=None if iou is None else {int(key): iou[key] for key in iou},
            timed_frames=content['timed_frames'],
            ms_per_frame=content['ms_per_frame'],
            active=content['active'],
            queries=content['queries'],
        )


@dataclass(frozen=True)
class ModeScore:
    """One mode on any number of clips; scores 0..1, None where nothing was measured.

    Scores are means over objects, times and shares means over frames.
    """

    jf: float
    j: float
    f: float
    false_mask_rate: float | None
    iou_to_exact: float | None
    ms_per_frame: float | None
    active_realised: float | None
    queries_realised: float | None


def combine(clips: Iterable[ClipScore]) -> ModeScore:
    """Pool the objects and the frames of clips; raises ScoreError when there is no object."""
    rows = tuple(clips)
    summary = summarise(score for row in rows for score in row.objects.values())
    return ModeScore(
        jf=summary.jf,
        j=summary.j,
        f=summary.f,
        false_mask_rate=summary.false_mask_rate,
        iou_to_exact=_mean_iou(rows),
        ms_per_frame=mean_by_frame([(row.ms_per_frame, row.timed_frames) for row in rows]),
        active_realised=mean_by_frame([(row.active, row.timed_frames) for row in rows]),
        queries_realised=mean_by_frame([(row.queries, row.timed_frames) for row in rows]),
    )


def _mean_iou(rows: Sequence[ClipScore]) -> float | None:
    if any(row.iou_to_exact is None for row in rows):
        return None
    values = [value for row in rows for value in (row.iou_to_exact or {}).values()]
    return float(np.mean(values)) if values else None


def mean_by_frame(rows: Sequence[tuple[float | None, int]]) -> float | None:
    """Mean of (value, frames) weighed by frames, of those that have a value; None without any."""
    known = [(value, frames) for value, frames in rows if value is not None]
    if not known:
        return None
    return sum(value * frames for value, frames in known) / sum(frames for _, frames in known)
