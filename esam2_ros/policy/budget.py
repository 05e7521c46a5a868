# SPDX-License-Identifier: Apache-2.0
"""Keep a frame's time within a budget: what is least missed goes first."""

from dataclasses import dataclass

from esam2_ros.policy.config import TrackerConfig

MIN_KEEP_RATIO = 0.02
MIN_MARGIN_PX = 8
_SMOOTHING = 0.1  # weight of the newest frame in the running mean
_RELAX = 0.8  # share of the budget below which a level is given back
_PATIENCE = 10  # frames between two changes for the better


@dataclass(frozen=True)
class Allowance:
    """What a frame may spend: windows refreshed, share of old memories read, margin in pixels.

    `careful`: all windows where things move far or the score is low, and all memory where all
    windows are computed.
    """

    refresh_windows: int
    keep_ratio: float
    margin_px: int
    careful: bool = True


class Budget:
    """Watches frame times and lowers the refresh quota, then keys, the margin, then care."""

    def __init__(self, config: TrackerConfig) -> None:
        """`config.latency_ms` 0 is no budget."""
        self._limit = config.latency_ms
        self._levels = tuple(_levels(config))
        self._level = 0
        self._mean: float | None = None
        self._wait = 0

    @property
    def allowance(self) -> Allowance:
        """What the next frame may spend."""
        return self._levels[self._level]

    def update(self, total_ms: float) -> bool:
        """Count a frame; True when the budget is exceeded and nothing is left to lower."""
        if self._limit <= 0:
            return False
        if self._mean is None:
            self._mean = total_ms
        self._mean += _SMOOTHING * (total_ms - self._mean)
        self._wait = max(0, self._wait - 1)
        last = len(self._levels) - 1
        if self._mean > self._limit:
            if self._level == last:
                return True
            self._level += 1
            # What is lowered now has to show; one slow frame must not lower the next thing too.
            self._mean, self._wait = _RELAX * self._limit, _PATIENCE
        elif self._mean < _RELAX * self._limit and self._level and not self._wait:
            self._level -= 1
            self._wait = _PATIENCE
        return False


def _levels(config: TrackerConfig) -> list[Allowance]:
    """From everything to the floors, one thing after another."""
    refresh, keep, margin = config.refresh_windows, config.keep_ratio, config.margin_px
    levels = [Allowance(refresh, keep, margin)]
    if refresh:
        levels.append(Allowance(0, keep, margin))
    while keep > MIN_KEEP_RATIO:
        keep = max(keep / 2, MIN_KEEP_RATIO)
        levels.append(Allowance(0, keep, margin))
    while margin > MIN_MARGIN_PX:
        margin = max(margin // 2, MIN_MARGIN_PX)
        levels.append(Allowance(0, keep, margin))
    levels.append(Allowance(0, keep, margin, careful=False))
    return levels
