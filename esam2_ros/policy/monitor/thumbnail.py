# SPDX-License-Identifier: Apache-2.0
"""The small picture that the monitor looks at, and what is derived from it once."""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from esam2_ros.errors import ImageError

Pixels = NDArray[np.uint8]
Points = NDArray[np.float32]

WIDTH, HEIGHT = 320, 180  # at most
_NEIGHBOURHOOD = 21  # thumbnail pixels a side: contrast is judged within it
_QUIET = 6.0  # levels: contrast below this counts as noise and is not amplified
_WHITE = 250  # levels
_BINS = 8  # colour histogram, a channel


@dataclass(frozen=True, eq=False)
class Thumbnail:
    """A frame at 320 x 180 or less.

    size      width, height of the full image in pixels
    scale     full-image pixels a thumbnail pixel, (x, y)
    colour    [h, w, 3] uint8 RGB
    luma      [h, w] uint8, smoothed over 3 x 3
    coarse    luma at half of that size
    detail    [h, w] uint8, luma with local mean and contrast evened out: light changes vanish
    form      detail at half of that size, smoothed
    corners   [n, 2] float32 (x, y), places that can be found again
    palette   [512] float32, share of pixels of each colour
    contrast  standard deviation of luma, in levels
    white     share of pixels that are overexposed
    """

    size: tuple[int, int]
    scale: tuple[float, float]
    colour: Pixels
    luma: Pixels
    coarse: Pixels
    detail: Pixels
    form: Pixels
    corners: Points
    palette: NDArray[np.float32]
    contrast: float
    white: float


def make_thumbnail(image: NDArray[np.uint8], corners: int) -> Thumbnail:
    """The thumbnail of `image`, [height, width, 3] uint8 RGB; ImageError for anything else."""
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise ImageError(
            f'image is {image.dtype} {list(image.shape)}; allowed: uint8 [height, width, 3]'
        )
    height, width = image.shape[:2]
    ratio = min(1.0, WIDTH / width, HEIGHT / height)
    small = (max(1, round(width * ratio)), max(1, round(height * ratio)))
    colour = _reduce(image, small)
    luma = cv2.blur(cv2.cvtColor(colour, cv2.COLOR_RGB2GRAY), (3, 3))
    detail = _even_out(luma)
    return Thumbnail(
        size=(width, height),
        scale=(width / small[0], height / small[1]),
        colour=_pixels(colour),
        luma=_pixels(luma),
        coarse=_half(luma),
        detail=detail,
        form=_pixels(cv2.blur(_half(detail), (3, 3))),
        corners=_corners(detail, corners),
        palette=_palette(colour),
        contrast=float(cv2.meanStdDev(luma)[1][0, 0]),
        white=float((luma >= _WHITE).mean()),
    )


def _reduce(image: Any, small: tuple[int, int]) -> Any:
    """The mean over areas; by halves first, which is three times as fast."""
    height, width = image.shape[:2]
    if (width, height) == small:
        return image.copy()
    while width % 2 == height % 2 == 0 and width >= 2 * small[0] and height >= 2 * small[1]:
        height, width = height // 2, width // 2
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    return cv2.resize(image, small, interpolation=cv2.INTER_AREA)


def _half(image: Any) -> Pixels:
    height, width = image.shape
    return _pixels(cv2.pyrDown(image, dstsize=((width + 1) // 2, (height + 1) // 2)))


def _even_out(luma: Any) -> Pixels:
    around = (_NEIGHBOURHOOD, _NEIGHBOURHOOD)
    rise = luma.astype(np.float32)
    rise -= cv2.boxFilter(rise, -1, around)
    # A running sum of squares may end a rounding below zero.
    spread = cv2.sqrt(cv2.max(cv2.sqrBoxFilter(rise, cv2.CV_32F, around), 0))
    even = cv2.divide(rise, spread + np.float32(_QUIET))
    return _pixels(cv2.addWeighted(even, 40, even, 0, 128, dtype=cv2.CV_8U))


def _corners(detail: Pixels, most: int) -> Points:
    found = cv2.goodFeaturesToTrack(detail, most, 0.01, 7)
    if found is None:
        return np.empty((0, 2), np.float32)
    return np.asarray(found, np.float32).reshape(-1, 2)


def _palette(colour: Any) -> NDArray[np.float32]:
    bins = [_BINS] * 3
    counts = cv2.calcHist([colour], [0, 1, 2], None, bins, [0, 256] * 3)
    share = np.asarray(counts, np.float32).ravel()
    share /= colour.shape[0] * colour.shape[1]
    return share


def _pixels(image: Any) -> Pixels:
    return np.asarray(image, np.uint8)
