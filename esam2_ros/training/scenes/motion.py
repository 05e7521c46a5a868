# SPDX-License-Identifier: Apache-2.0
"""Motion as closed formulas of time, so that any frame can be rendered on its own."""

from dataclasses import dataclass
from dataclasses import replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]


class Motion(Protocol):
    """A vector that changes with time, in frames."""

    def at(self, t: float) -> NDArray[np.float64]: ...


@dataclass(frozen=True)
class Wave:
    """start + drift * t + swing * sin(rate * t + phase); vectors or numbers."""

    start: NDArray[np.float64]
    drift: NDArray[np.float64]
    swing: NDArray[np.float64]
    rate: float
    phase: float

    def at(self, t: float) -> NDArray[np.float64]:
        wave = np.sin(self.rate * t + self.phase) - np.sin(self.phase)
        return self.start + self.drift * t + self.swing * wave


@dataclass(frozen=True, eq=False)
class Route:
    """points [T, n], one a frame; straight between them, and still before and after."""

    points: NDArray[np.float64]

    def at(self, t: float) -> NDArray[np.float64]:
        times = np.arange(len(self.points))
        return np.array([np.interp(t, times, column) for column in self.points.T])


@dataclass(frozen=True)
class Excursion:
    """A trip by `offset` from frame `leave` to frame `back`, gone for its middle third."""

    offset: NDArray[np.float64]
    leave: float
    back: float

    def at(self, t: float) -> NDArray[np.float64]:
        third = (self.back - self.leave) / 3
        out = np.clip(min(t - self.leave, self.back - t) / third, 0, 1)
        return self.offset * (out * out * (3 - 2 * out))


@dataclass(frozen=True)
class Path:
    """Where an object is: place in frame widths, turn in radians, size and squeeze as logs."""

    place: Motion
    turn: Wave
    size: Wave
    squeeze: Wave
    trip: Excursion | None = None

    def centre(self, t: float) -> NDArray[np.float64]:
        here = self.place.at(t)
        return here if self.trip is None else here + self.trip.at(t)

    def pose(self, t: float, scale: float) -> Matrix:
        """[2, 3] from sprite pixels about the centre to world pixels (`scale` px a unit)."""
        angle, size = float(self.turn.at(t)[0]), np.exp(self.size.at(t)[0])
        squeeze = np.exp(self.squeeze.at(t)[0])
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        matrix = turn * size @ np.diag([squeeze, 1 / squeeze])
        return np.hstack([matrix, self.centre(t)[:, None] * scale])

    def with_trip(self, trip: Excursion) -> 'Path':
        return replace(self, trip=trip)


def still(start: tuple[float, ...]) -> Wave:
    """A wave that does not move."""
    zero = np.zeros(len(start))
    return Wave(np.array(start, np.float64), zero, zero, 0.0, 0.0)


def _wave(rng: np.random.Generator, start: tuple[float, ...], drift: float, swing: float) -> Wave:
    count = len(start)
    rate = rng.uniform(0.05, 0.3)
    return Wave(
        np.array(start, np.float64),
        rng.normal(0, 1, count) * drift,
        rng.normal(0, 1, count) * swing / rate,
        rate,
        rng.uniform(0, 2 * np.pi),
    )


def random_path(rng: np.random.Generator, place: tuple[float, float], speed: float) -> Path:
    """A path from `place`; `speed` 1 moves about one hundredth of the width a frame."""
    pace = speed * rng.gamma(1.0, 1.0)
    return Path(
        _wave(rng, place, 0.003 * pace, 0.009 * pace),
        _wave(rng, (rng.uniform(0, 2 * np.pi),), 0.004 * pace, 0.025 * pace),
        _wave(rng, (0.0,), 0.001 * pace, 0.008 * pace),
        _wave(rng, (rng.uniform(-0.2, 0.2),), 0.0, 0.02 * pace),
    )


@dataclass(frozen=True)
class Camera:
    """Pan in frame widths, zoom as a log, and shake in frame widths a frame."""

    pan: Motion
    zoom: Wave
    shake: float
    seed: int

    def view(self, t: float, width: int, height: int) -> Matrix:
        """[2, 3] from world pixels to frame pixels."""
        zoom = float(np.exp(self.zoom.at(t)[0]))
        jolt = np.random.default_rng((self.seed, int(t))).normal(0, self.shake, 2)
        middle = np.array([width / 2, height / 2])
        shift = middle - zoom * middle - (self.pan.at(t) + jolt) * width * zoom
        return np.hstack([np.eye(2) * zoom, shift[:, None]])


def random_camera(
    rng: np.random.Generator, speed: float, pan: bool, zoom: bool, shake: bool
) -> Camera:
    """A hand-held camera: never quite still; the flags make one motion strong."""
    return Camera(
        _wave(rng, (0.0, 0.0), (0.008 if pan else 0.001) * speed, 0.003 * speed),
        _wave(rng, (0.0,), (0.012 if zoom else 0.0005) * speed, 0.002 * speed),
        (0.02 if shake else 0.0015) * speed,
        int(rng.integers(2**31)),
    )


def apply(view: Matrix, pose: Matrix) -> Matrix:
    """The pose as seen through the camera: `view` after `pose`, both [2, 3]."""
    linear = view[:, :2] @ pose[:, :2]
    return np.hstack([linear, (view[:, :2] @ pose[:, 2] + view[:, 2])[:, None]])
