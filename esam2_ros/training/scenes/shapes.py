# SPDX-License-Identifier: Apache-2.0
"""Outlines of objects as anti-aliased coverage: blobs, polygons, rings, limbs and glyphs."""

from functools import cache
from pathlib import Path

import cv2
import matplotlib
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL import ImageDraw
from PIL import ImageFont

from esam2_ros.training.scenes.values import Pixels

GLYPHS = (
    '0123456789ABCDEFGHJKMNPQRSTUVWXYZabdeghknpqrsu&@#?%'
    '\u2660\u2663\u2665\u2666\u2602\u2605\u265e\u265c\u2708\u2693'
)
_FONTS = ('DejaVuSans-Bold.ttf', 'DejaVuSerif-Bold.ttf', 'DejaVuSansMono-Bold.ttf')
_SHIFT = 4  # fractional bits of the points that cv2 draws
_REACH = 0.46  # of the side: shapes keep clear of the sprite's border


@cache
def _font(name: str, size: int) -> ImageFont.FreeTypeFont:
    folder = Path(matplotlib.get_data_path()) / 'fonts' / 'ttf'
    return ImageFont.truetype(str(folder / name), size)


def _fill(size: int, points: NDArray[np.float64]) -> Pixels:
    canvas = np.zeros((size, size), np.uint8)
    fixed = np.round((points * _REACH + 0.5) * size * 2**_SHIFT).astype(np.int32)
    cv2.fillPoly(canvas, [fixed[:, None]], 255, cv2.LINE_AA, _SHIFT)
    return canvas


def blob(rng: np.random.Generator, size: int) -> Pixels:
    """A round outline with a few random harmonics."""
    theta = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    radius = np.ones_like(theta)
    for harmonic in range(2, int(rng.integers(3, 7))):
        radius += rng.uniform(0, 0.5) / harmonic * np.cos(harmonic * theta + rng.uniform(0, 6.3))
    radius /= radius.max()
    aspect = rng.uniform(0.5, 1.0)
    points = np.stack([np.cos(theta) * radius, np.sin(theta) * radius * aspect], axis=1)
    return _fill(size, points)


def polygon(rng: np.random.Generator, size: int) -> Pixels:
    """Three to nine corners around the centre; star-like in a third of the cases."""
    corners = int(rng.integers(3, 10))
    theta = (np.arange(corners) + rng.uniform(-0.3, 0.3, corners)) / corners * 2 * np.pi
    radius = rng.uniform(0.6, 1.0, corners)
    if corners >= 6 and rng.random() < 0.4:
        radius[::2] *= rng.uniform(0.4, 0.7)
    points = np.stack([np.cos(theta) * radius, np.sin(theta) * radius], axis=1)
    return _fill(size, points / np.abs(points).max())


def slab(rng: np.random.Generator, size: int) -> Pixels:
    """A box or a rod: books, bottles, bars."""
    aspect = rng.uniform(0.25, 1.0)
    corners = np.array([[-1, -aspect], [1, -aspect], [1, aspect], [-1, aspect]])
    return _fill(size, corners / np.hypot(1, aspect))


def ring(rng: np.random.Generator, size: int) -> Pixels:
    """A blob with a hole."""
    outer = blob(rng, size)
    side = max(4, int(size * rng.uniform(0.25, 0.5)))
    at = (size - side) // 2
    hole = blob(rng, side)
    outer[at : at + side, at : at + side] = np.minimum(
        outer[at : at + side, at : at + side], 255 - hole
    )
    return outer


def limbs(rng: np.random.Generator, size: int) -> Pixels:
    """A body with thick limbs."""
    canvas = blob(rng, size) if rng.random() < 0.5 else np.zeros((size, size), np.uint8)
    centre = np.array([size / 2, size / 2])
    for _ in range(int(rng.integers(2, 6))):
        knee = centre + rng.uniform(-0.28, 0.28, 2) * size
        foot = knee + rng.uniform(-0.16, 0.16, 2) * size
        line = np.stack([centre, knee, foot]).astype(np.int32)
        cv2.polylines(canvas, [line[:, None]], False, 255, max(2, size // 9), cv2.LINE_AA)
    return canvas


def glyph(rng: np.random.Generator, size: int) -> Pixels:
    """A letter, figure or symbol of the DejaVu fonts that come with matplotlib."""
    font = _font(_FONTS[rng.integers(len(_FONTS))], max(8, int(size * 0.9)))
    canvas = Image.new('L', (size, size))
    text = GLYPHS[rng.integers(len(GLYPHS))]
    ImageDraw.Draw(canvas).text((size / 2, size / 2), text, 255, font, anchor='mm')
    return np.array(canvas, np.uint8)


SHAPES = (blob, blob, polygon, slab, ring, limbs, glyph)


def shape(rng: np.random.Generator, size: int) -> Pixels:
    """[size, size] uint8 coverage of a random outline."""
    return SHAPES[rng.integers(len(SHAPES))](rng, size)
