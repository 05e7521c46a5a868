# SPDX-License-Identifier: Apache-2.0
"""How sure a difference between two modes is: a paired bootstrap over clips."""

from collections.abc import Sequence
from dataclasses import asdict
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

RESAMPLES = 10_000
LEVEL = 0.95
SEED = 0
FEWEST = 6  # clips; fewer cover far less than 95 % (4: 80 %, simulated)


@dataclass(frozen=True)
class Difference:
    """How far a mode is above another one on the same clips, in hundredths of J&F (points).

    baseline      name of the other one
    points        the difference
    low, high     its 95 % interval; None for fewer than FEWEST clips
    clips         resampled units: clips, or numbers of clips that share a scene
    dense_frames  what the mode's encoder computed more a clip, in frames of all windows; None
                  for no encoder
    """

    baseline: str
    points: float
    low: float | None
    high: float | None
    clips: int
    dense_frames: float | None = None

    @property
    def text(self) -> str:
        """As in `-0.41 (-1.20, +0.33)`; without an interval where there is none."""
        if self.low is None or self.high is None:
            return f'{self.points:+.2f}'
        return f'{self.points:+.2f} ({self.low:+.2f}, {self.high:+.2f})'


def paired_interval(sums: ArrayLike, weights: ArrayLike) -> tuple[float, float] | None:
    """The 95 % interval of a weighed mean over clips: percentiles of seeded resamples of clips.

    `sums`: of a clip's differences; `weights`: how many there are, above 0. A clip is drawn
    with all its differences, which are not independent. None for fewer than FEWEST clips; with
    not many more the interval is too narrow (Efron and Tibshirani 1993, chapter 13).
    """
    sums, weights = np.asarray(sums, float), np.asarray(weights, float)
    clips = len(sums)
    if clips < FEWEST:
        return None
    rng = np.random.default_rng(SEED)
    drawn = rng.multinomial(clips, np.full(clips, 1 / clips), size=RESAMPLES)
    means = (drawn @ sums) / (drawn @ weights)
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def difference(
    baseline: str, sums: ArrayLike, weights: ArrayLike, dense_frames: float | None = None
) -> Difference:
    """The difference of J&F (0..1 in `sums`) to `baseline`; see `paired_interval`."""
    interval = paired_interval(sums, weights)
    low, high = (None, None) if interval is None else (100 * each for each in interval)
    points = 100 * float(np.sum(sums) / np.sum(weights))
    return Difference(baseline, points, low, high, len(np.asarray(sums)), dense_frames)


def more_windows(pairs: Sequence[tuple[float | None, float | None]]) -> float | None:
    """Mean over clips of what was computed (ours, theirs), ours less theirs; None if unknown."""
    known = [ours - theirs for ours, theirs in pairs if ours is not None and theirs is not None]
    return float(np.mean(known)) if known and len(known) == len(pairs) else None


def text_of(value: Difference | None) -> str:
    """Its text, or a dash for a mode that is compared with none."""
    return '-' if value is None else value.text


def json_of(value: Difference | None) -> dict[str, Any] | None:
    """As plain values."""
    return None if value is None else asdict(value)
