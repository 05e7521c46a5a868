# SPDX-License-Identifier: Apache-2.0
"""Where the picture went: sparse optical flow, and the similarity that most of it agrees on."""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from esam2_ros.policy.monitor.thumbnail import Points
from esam2_ros.policy.monitor.thumbnail import Thumbnail

Matrix = NDArray[np.float64]
_WINDOW = (11, 11)  # thumbnail pixels
_STOP = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 15, 0.03)
_LEVELS, _LEVELS_BACK = 3, 1  # of the pyramid, each halves the picture
_LOST = 0.5  # share found again below which a large shift is tried
_RETURN_ERROR = 1.0  # thumbnail pixels: there and back again must end within this
_PATCH = 4  # radius in thumbnail pixels of the patch that must look the same
_LOOK = 0.7  # correlation that counts as the same look


@dataclass(frozen=True, eq=False)
class Motion:
    """How one thumbnail became the next, in thumbnail pixels.

    corners  how many places were looked for
    found    share of them that were found again and still look the same
    agreed   share of them that also follow `matrix`
    matrix   [2, 3] similarity from the earlier to the later thumbnail; identity when unknown
    places   [n, 2] where the found ones were, and `arrived` [n, 2] where they are
    """

    corners: int
    found: float
    agreed: float
    matrix: Matrix
    places: Points
    arrived: Points


STAYED: Matrix = np.hstack([np.eye(2), np.zeros((2, 1))])


def estimate_motion(before: Thumbnail, after: Thumbnail) -> Motion:
    """Follow the corners of `before` into `after`; large shifts get a second try.

    Pyramidal Lucas-Kanade with a forward-backward check (Kalal et al. 2010), then RANSAC.
    Deterministic: OpenCV seeds this RANSAC itself and leaves the global generator alone.
    """
    count = len(before.corners)
    if count == 0:
        return Motion(0, 0.0, 0.0, STAYED, before.corners, before.corners)
    best = _agree(before, *_follow(before, after, np.zeros(2, np.float32)))
    if best.found < _LOST:
        guess = _leap(before, after)
        if np.abs(guess).max() >= 1:
            other = _agree(before, *_follow(before, after, guess))
            best = max(best, other, key=lambda motion: motion.found)
    return best


def _leap(before: Thumbnail, after: Thumbnail) -> Points:
    """The shift of the whole picture by phase correlation, at a quarter of the size."""
    height, width = before.luma.shape
    small = (max(2, width // 4), max(2, height // 4))
    pair = [
        cv2.resize(each.detail, small, interpolation=cv2.INTER_AREA).astype(np.float32)
        for each in (before, after)
    ]
    (dx, dy), _ = cv2.phaseCorrelate(*pair)
    return np.array([dx * width / small[0], dy * height / small[1]], np.float32)


def _follow(before: Thumbnail, after: Thumbnail, guess: Points) -> tuple[Points, Points]:
    """Where corners were and are, for those that return to their start and keep their look."""
    start = before.corners
    there, seen = _flow(before, after, start, start + guess, _LEVELS)
    # The way back is known, if it was right: it needs no search over large shifts.
    back, returned = _flow(after, before, there, start, _LEVELS_BACK)
    kept = seen & returned & (np.abs(back - start).max(axis=1) < _RETURN_ERROR)
    start, there = start[kept], there[kept]
    alike = _look(before, after, start, there) > _LOOK
    return start[alike], there[alike]


def _flow(
    source: Thumbnail, target: Thumbnail, places: Points, first: Points, levels: int
) -> tuple[Points, NDArray[np.bool_]]:
    arrived, status, _ = cv2.calcOpticalFlowPyrLK(
        source.detail,
        target.detail,
        places[:, None],
        first[:, None].copy(),
        winSize=_WINDOW,
        maxLevel=levels,
        criteria=_STOP,
        flags=cv2.OPTFLOW_USE_INITIAL_FLOW,
    )
    return np.asarray(arrived, np.float32)[:, 0], np.asarray(status)[:, 0].astype(bool)


def _look(before: Thumbnail, after: Thumbnail, start: Points, there: Points) -> Points:
    """Correlation of the patches around each pair of places."""
    if not len(start):
        return np.empty(0, np.float32)
    one, two = _patches(before.luma, start), _patches(after.luma, there)
    product = (one * two).sum(axis=1)
    power = (one * one).sum(axis=1) * (two * two).sum(axis=1)
    return np.asarray(product / np.sqrt(power + 1e-3), np.float32)


def _patches(image: Any, places: Points) -> Points:
    span = np.arange(-_PATCH, _PATCH + 1, dtype=np.float32)
    xs = (places[:, :1] + np.tile(span, len(span))[None]).astype(np.float32)
    ys = (places[:, 1:] + np.repeat(span, len(span))[None]).astype(np.float32)
    patch = cv2.remap(image, xs, ys, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    values = np.asarray(patch, np.float32)
    values -= values.mean(axis=1, keepdims=True)
    return values


def _agree(before: Thumbnail, start: Points, there: Points) -> Motion:
    count = len(before.corners)
    matrix, agreed = STAYED, 0.0
    if len(start) >= 4:
        fitted, inliers = cv2.estimateAffinePartial2D(
            start, there, method=cv2.RANSAC, ransacReprojThreshold=1.5, maxIters=200
        )
        if fitted is not None:
            matrix, agreed = np.asarray(fitted, np.float64), float(np.sum(inliers)) / count
    return Motion(count, len(start) / count, agreed, matrix, start, there)
