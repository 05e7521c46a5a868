# SPDX-License-Identifier: Apache-2.0
"""Surfaces: crops of free photographs that come with scikit-image, and procedural patterns."""

from collections.abc import Callable
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage import data

from esam2_ros.training.scenes.values import Pixels

# Public domain, CC0 or without known restrictions (scikit-image's data README and docstrings).
PHOTOGRAPHS = {
    'train': (
        'astronaut',
        'brick',
        'camera',
        'chelsea',
        'coins',
        'grass',
        'gravel',
        'hubble_deep_field',
        'immunohistochemistry',
        'moon',
        'retina',
    ),
    'held_out': ('clock', 'coffee', 'rocket', 'text'),
}
PHOTO_SHARE = 0.5


@cache
def photograph(name: str) -> Pixels:
    """[H, W, 3] uint8 RGB of one bundled photograph, its longer side at most 640 px."""
    image = np.asarray(getattr(data, name)())
    if image.ndim == 2:
        image = cv2.cvtColor(image, cv2.COLOR_GRAY2RGB)
    ratio = 640 / max(image.shape[:2])
    if ratio < 1:
        image = cv2.resize(image, None, fx=ratio, fy=ratio, interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(image[..., :3])


@cache
def _pyramid(name: str) -> tuple[Pixels, ...]:
    """The photograph and its halves, so that a strong reduction is cheap and does not alias."""
    levels = [photograph(name)]
    for _ in range(3):
        levels.append(np.asarray(cv2.pyrDown(levels[-1]), np.uint8))
    return tuple(levels)


def colour(rng: np.random.Generator) -> Pixels:
    """[3] uint8: any hue, any saturation, not too dark."""
    hsv = np.array([[[rng.integers(180), rng.integers(256), rng.integers(40, 256)]]], np.uint8)
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)[0, 0]


def _photo(rng: np.random.Generator, size: int, split: str) -> Pixels:
    names = PHOTOGRAPHS[split]
    levels = _pyramid(names[rng.integers(len(names))])
    share = rng.uniform(0.15, 0.9)
    level = int(np.clip(np.log2(share * min(levels[0].shape[:2]) / size + 1e-6), 0, 3))
    image = levels[level]
    side = int(min(image.shape[:2]) * share)
    y = int(rng.integers(image.shape[0] - side + 1))
    x = int(rng.integers(image.shape[1] - side + 1))
    crop = image[y : y + side, x : x + side]
    crop = cv2.resize(crop, (size, size), interpolation=cv2.INTER_LINEAR)
    if rng.random() < 0.5:
        crop = crop[:, ::-1]
    return np.rot90(crop, int(rng.integers(4)))


def _noise(rng: np.random.Generator, size: int) -> Pixels:
    total = np.zeros((size, size), np.float32)
    cells = int(rng.integers(2, 6))
    for octave in range(int(rng.integers(1, 5))):
        side = min(cells * 2**octave, size)
        grid = (rng.random((side, side), dtype=np.float32) - 0.5) * np.float32(0.6**octave)
        total += cv2.resize(grid, (size, size), interpolation=cv2.INTER_LINEAR)
    return _two_colours(rng, total * rng.uniform(1.0, 4.0) + 0.5)


def _bands(rng: np.random.Generator, size: int) -> Pixels:
    ys, xs = np.mgrid[0:size, 0:size].astype(np.float32) / size
    angle = rng.uniform(0, np.pi)
    turns = rng.uniform(2, 14) * 2 * np.pi
    wave = np.sin((xs * np.cos(angle) + ys * np.sin(angle)) * turns)
    if rng.random() < 0.4:  # checks, else stripes
        wave = wave * np.sin((ys * np.cos(angle) - xs * np.sin(angle)) * turns)
    return _two_colours(rng, wave * rng.uniform(0.7, 5.0) + 0.5)


def _plain(rng: np.random.Generator, size: int) -> Pixels:
    ramp = np.linspace(0, 1, size, dtype=np.float32)[None].repeat(size, 0)
    return _two_colours(rng, ramp if rng.random() < 0.5 else ramp * 0)


def _two_colours(rng: np.random.Generator, mix: NDArray[np.float32]) -> Pixels:
    low, high = colour(rng).astype(np.float32), colour(rng).astype(np.float32)
    part = np.clip(mix, 0, 1)[..., None]
    return np.asarray(low + (high - low) * part, np.uint8)


_PATTERNS: tuple[Callable[[np.random.Generator, int], Pixels], ...] = (_noise, _bands, _plain)


def texture(rng: np.random.Generator, size: int, split: str = 'train') -> Pixels:
    """[size, size, 3] uint8: a photograph's crop or a pattern, with its colours shifted."""
    if rng.random() < PHOTO_SHARE:
        image = _photo(rng, size, split)
        image = image[..., rng.permutation(3)] if rng.random() < 0.5 else image
    else:
        image = _PATTERNS[rng.integers(len(_PATTERNS))](rng, size)
    return shift_colours(rng, np.ascontiguousarray(image))


def shift_colours(rng: np.random.Generator, image: Pixels) -> Pixels:
    """Random gain and offset a channel, the offset shared in half of the cases."""
    gain = rng.uniform(0.6, 1.3) * rng.uniform(0.85, 1.15, 3)
    offset = rng.uniform(-50, 60) + rng.uniform(-25, 25, 3)
    values = np.arange(256, dtype=np.float64)[:, None]
    table = np.clip(values * gain + offset, 0, 255).astype(np.uint8)[None]
    return np.asarray(cv2.LUT(image, table), np.uint8)
