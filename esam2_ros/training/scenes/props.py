# SPDX-License-Identifier: Apache-2.0
"""Things on a table, seen from above: drawn large, with light from the upper left."""

from collections.abc import Callable
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from esam2_ros.training.scenes.sprites import Sprite
from esam2_ros.training.scenes.values import Pixels

Colour = tuple[int, int, int]
_FINE = 3  # drawn this many times larger, then reduced


class _Canvas:
    """A square to draw on in units of its side, origin in the middle."""

    def __init__(self, side: int) -> None:
        self.side = side
        self.full = side * _FINE
        self.rgb = np.zeros((self.full, self.full, 3), np.uint8)
        self.alpha = np.zeros((self.full, self.full), np.uint8)

    def _at(self, points: NDArray[np.float64]) -> NDArray[np.int32]:
        return np.round((points + 0.5) * self.full).astype(np.int32)

    def fill(self, points: NDArray[np.float64], colour: Colour) -> None:
        corners = [self._at(points)[:, None]]
        cv2.fillPoly(self.rgb, corners, colour, cv2.LINE_AA)
        cv2.fillPoly(self.alpha, corners, 255, cv2.LINE_AA)

    def ellipse(
        self, centre: tuple[float, float], axes: tuple[float, float], colour: Colour
    ) -> None:
        theta = np.linspace(0, 2 * np.pi, 90)
        ring = np.stack([np.cos(theta) * axes[0], np.sin(theta) * axes[1]], axis=1)
        self.fill(ring + np.array(centre), colour)

    def line(
        self, start: tuple[float, float], end: tuple[float, float], width: float, colour: Colour
    ) -> None:
        a, b = self._at(np.array([start, end]))
        thick = max(1, round(width * self.full))
        cv2.line(self.rgb, a.tolist(), b.tolist(), colour, thick, cv2.LINE_AA)
        cv2.line(self.alpha, a.tolist(), b.tolist(), 255, thick, cv2.LINE_AA)

    def slab(self, half: tuple[float, float], corner: float, colour: Colour) -> None:
        """A rectangle with rounded corners."""
        theta = np.linspace(0, 2 * np.pi, 60, endpoint=False) + np.pi / 60
        round_off = np.stack([np.cos(theta), np.sin(theta)], axis=1) * corner
        inner = np.array(half) - corner
        self.fill(round_off + np.sign(round_off) * inner, colour)

    def finish(self, light: float = 0.35) -> Sprite:
        """Shade by the distance to the outline, which makes things look thick, and reduce."""
        depth = cv2.distanceTransform((self.alpha > 127).astype(np.uint8), cv2.DIST_L2, 3)
        rise = np.minimum(depth / (0.09 * self.full), 1)
        rise = cv2.GaussianBlur(rise, (0, 0), 0.02 * self.full)
        across = cv2.Sobel(rise, cv2.CV_32F, 1, 0, ksize=5)
        down = cv2.Sobel(rise, cv2.CV_32F, 0, 1, ksize=5)
        slope = (across + down) / max(1e-6, float(np.abs(across).max()))
        shaded = np.clip(self.rgb * (1 + light * slope[..., None]), 0, 255).astype(np.uint8)
        rgba = np.dstack([shaded, self.alpha])
        size = (self.side, self.side)
        return Sprite(np.asarray(cv2.resize(rgba, size, interpolation=cv2.INTER_AREA), np.uint8))


def _darker(colour: Colour, by: float = 0.6) -> Colour:
    red, green, blue = (int(min(255, value * by)) for value in colour)
    return red, green, blue


def mug(rng: np.random.Generator, side: int, colour: Colour) -> Sprite:
    """A mug of coffee with its handle."""
    canvas = _Canvas(side)
    canvas.ellipse((0.3, 0.0), (0.17, 0.13), colour)
    canvas.line((0.2, -0.09), (0.4, 0.0), 0.07, colour)
    canvas.line((0.2, 0.09), (0.4, 0.0), 0.07, colour)
    canvas.ellipse((-0.07, 0.0), (0.34, 0.34), colour)
    canvas.ellipse((-0.07, 0.0), (0.28, 0.28), _darker(colour, 0.5))
    canvas.ellipse((-0.06, 0.01), (0.26, 0.26), (74, 44, 24))
    canvas.ellipse((-0.14, -0.08), (0.05, 0.02), (150, 110, 80))
    return canvas.finish()


def fruit(rng: np.random.Generator, side: int, colour: Colour) -> Sprite:
    """A round fruit with a highlight and a stalk."""
    canvas = _Canvas(side)
    canvas.ellipse((0, 0), (0.4, 0.37), colour)
    ys, xs = np.mgrid[0 : canvas.full, 0 : canvas.full] / canvas.full - 0.5
    glow = np.exp(-((xs + 0.12) ** 2 + (ys + 0.14) ** 2) / 0.03)[..., None]
    fall = 1 - 0.5 * np.clip((xs**2 + ys**2) / 0.16, 0, 1)[..., None]
    canvas.rgb = np.clip(canvas.rgb * fall + 90 * glow, 0, 255).astype(np.uint8)
    canvas.line((0.0, 0.0), (0.04, -0.08), 0.03, (70, 50, 20))
    return canvas.finish(0.15)


def book(rng: np.random.Generator, side: int, colour: Colour) -> Sprite:
    """A book: cover, spine, title lines and a picture."""
    canvas = _Canvas(side)
    canvas.slab((0.33, 0.45), 0.02, (235, 228, 210))
    canvas.slab((0.32, 0.44), 0.02, colour)
    canvas.fill(
        np.array([[-0.32, -0.44], [-0.26, -0.44], [-0.26, 0.44], [-0.32, 0.44]]), _darker(colour)
    )
    accent = tuple(int(v) for v in 255 - np.array(colour) // 2)
    for row in range(int(rng.integers(2, 4))):
        reach = rng.uniform(0.0, 0.22)
        canvas.line((-0.18, -0.32 + 0.09 * row), (reach, -0.32 + 0.09 * row), 0.035, accent)
    canvas.ellipse((0.03, 0.18), (0.17, 0.15), accent)
    canvas.ellipse((0.06, 0.22), (0.09, 0.08), _darker(colour, 0.8))
    return canvas.finish(0.2)


def pen(rng: np.random.Generator, side: int, colour: Colour) -> Sprite:
    """A pen with its clip and tip."""
    canvas = _Canvas(side)
    canvas.line((-0.4, 0), (0.32, 0), 0.07, colour)
    canvas.line((0.32, 0), (0.42, 0), 0.03, (210, 190, 120))
    canvas.line((-0.36, -0.02), (-0.16, -0.02), 0.018, (225, 225, 230))
    return canvas.finish(0.4)


def plate(rng: np.random.Generator, side: int, colour: Colour) -> Sprite:
    """A plate with a coloured rim."""
    canvas = _Canvas(side)
    canvas.ellipse((0, 0), (0.46, 0.46), (238, 236, 230))
    canvas.ellipse((0, 0), (0.42, 0.42), colour)
    canvas.ellipse((0, 0), (0.38, 0.38), (238, 236, 230))
    canvas.ellipse((0, 0), (0.28, 0.28), (226, 224, 220))
    return canvas.finish(0.15)


def phone(rng: np.random.Generator, side: int, colour: Colour) -> Sprite:
    """A telephone with icons on its screen."""
    canvas = _Canvas(side)
    canvas.slab((0.24, 0.46), 0.06, (32, 33, 38))
    canvas.slab((0.215, 0.42), 0.03, _darker(colour, 0.7))
    for row in range(5):
        for column in range(3):
            hue = tuple(int(v) for v in rng.integers(70, 255, 3))
            canvas.ellipse((-0.13 + 0.13 * column, -0.3 + 0.14 * row), (0.045, 0.045), hue)
    return canvas.finish(0.2)


PROPS: tuple[Callable[[np.random.Generator, int, Colour], Sprite], ...] = (
    mug,
    fruit,
    book,
    pen,
    plate,
    phone,
)


def table_top(
    rng: np.random.Generator, size: tuple[int, int], colour: Colour, planks: int = 5
) -> Pixels:
    """[H, W, 3] wood: long grain, planks with seams; `size` is (width, height)."""
    width, height = size
    grain = np.zeros((height, width), np.float32)
    for across, along, weight in ((6, 3, 0.5), (40, 6, 0.3), (160, 12, 0.25)):
        grid = rng.random((across, along), dtype=np.float32) - 0.5
        grain += cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC) * weight
    tint = np.ones(height, np.float32)
    edges = np.linspace(0, height, planks + 1).astype(int)
    for top, bottom in pairwise(edges):
        tint[top:bottom] = rng.uniform(0.85, 1.1)
        tint[top : top + 2] = 0.45
    wood = np.array(colour, np.float32) * (1 + 0.55 * grain[..., None]) * tint[:, None, None]
    return np.clip(wood, 0, 255).astype(np.uint8)
