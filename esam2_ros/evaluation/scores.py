# SPDX-License-Identifier: Apache-2.0
"""J&F of the DAVIS challenge: region similarity, contour accuracy, their mean over objects.

The rules are those of the semi-supervised track (Perazzi et al., CVPR 2016; Pont-Tuset et
al., 2017) as `vos-benchmark` applies them, which the tests hold this file to.
"""

import math
from collections.abc import Iterable
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
LabelMap = NDArray[np.integer]

BOUNDARY_TOLERANCE = 0.008  # share of the image diagonal


class ScoreError(ValueError):
    """A pair of masks that cannot be scored."""


@dataclass(frozen=True)
class ObjectScore:
    """Scores of one object over one video, 0..1, and the frames where it is absent.

    `absent` counts the scored frames whose truth lacks the object, `false_masks` those of
    them whose prediction shows it all the same.
    """

    j: float
    f: float
    absent: int = 0
    false_masks: int = 0

    @property
    def jf(self) -> float:
        """Mean of J and F."""
        return (self.j + self.f) / 2


@dataclass(frozen=True)
class Summary:
    """Mean scores of many objects; `false_mask_rate` is None when none is ever absent."""

    j: float
    f: float
    false_mask_rate: float | None

    @property
    def jf(self) -> float:
        """Mean of J and F."""
        return (self.j + self.f) / 2


def summarise(scores: Iterable[ObjectScore]) -> Summary:
    """Mean over objects, each weighing the same whatever the length of its video.

    Raises ScoreError when there is no object.
    """
    rows = tuple(scores)
    if not rows:
        raise ScoreError('no object to average: the truth is empty in every scored frame')
    absent = sum(row.absent for row in rows)
    return Summary(
        j=float(np.mean([row.j for row in rows])),
        f=float(np.mean([row.f for row in rows])),
        false_mask_rate=sum(row.false_masks for row in rows) / absent if absent else None,
    )


def boundary_tolerance(height: int, width: int) -> int:
    """Distance in pixels within which two contours match."""
    return math.ceil(BOUNDARY_TOLERANCE * math.hypot(height, width))


@lru_cache(maxsize=32)
def _disk(radius: int) -> NDArray[np.uint8]:
    reach = np.arange(-radius, radius + 1)
    return (np.square(reach)[:, None] + np.square(reach)[None] <= radius**2).astype(np.uint8)


def _boundary(mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Contour one pixel wide, half a pixel towards the origin (the Berkeley `seg2bmap`)."""
    edge = np.zeros_like(mask)
    edge[:, :-1] = mask[:, :-1] ^ mask[:, 1:]
    edge[:-1] |= mask[:-1] ^ mask[1:]
    edge[:-1, :-1] |= mask[:-1, :-1] ^ mask[1:, 1:]
    return edge


def _crop(
    prediction: NDArray[np.uint8], truth: NDArray[np.uint8]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Cut both masks to what they cover and a margin of one pixel, which holds every contour."""
    x, y, width, height = cv2.boundingRect(prediction | truth)
    rows = slice(max(y - 1, 0), y + height + 1)
    columns = slice(max(x - 1, 0), x + width + 1)
    return np.ascontiguousarray(prediction[rows, columns]), np.ascontiguousarray(
        truth[rows, columns]
    )


def _iou(prediction: NDArray[np.uint8], truth: NDArray[np.uint8]) -> float:
    union = cv2.countNonZero(prediction | truth)
    return cv2.countNonZero(prediction & truth) / union if union else 1.0


def _boundary_f(prediction: NDArray[np.uint8], truth: NDArray[np.uint8], tolerance: int) -> float:
    edge, true_edge = _boundary(prediction), _boundary(truth)
    count, true_count = cv2.countNonZero(edge), cv2.countNonZero(true_edge)
    if not count or not true_count:
        return float(count == true_count)
    disk = _disk(tolerance)
    precision = cv2.countNonZero(edge & cv2.dilate(true_edge, disk)) / count
    recall = cv2.countNonZero(true_edge & cv2.dilate(edge, disk)) / true_count
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _check(prediction: NDArray[np.generic], truth: NDArray[np.generic]) -> None:
    if prediction.ndim != 2 or prediction.shape != truth.shape:
        raise ScoreError(
            f'prediction has shape {prediction.shape} and truth {truth.shape}: '
            'both must be the same [height, width]'
        )


def score_masks(prediction: Mask, truth: Mask) -> tuple[float, float]:
    """J and F of one object in one frame, 0..1; both are 1 when both masks are empty.

    `prediction` and `truth` are [height, width] and true on the object. Raises ScoreError
    when their shapes differ.
    """
    _check(prediction, truth)
    tolerance = boundary_tolerance(*truth.shape)
    ours, theirs = _crop((prediction != 0).view(np.uint8), (truth != 0).view(np.uint8))
    if not ours.size:
        return 1.0, 1.0
    return _iou(ours, theirs), _boundary_f(ours, theirs, tolerance)


def iou(prediction: Mask, other: Mask) -> float:
    """Intersection over union of two [height, width] masks; 1 when both are empty."""
    _check(prediction, other)
    return _iou((prediction != 0).view(np.uint8), (other != 0).view(np.uint8))


def labels_in(labels: LabelMap) -> frozenset[int]:
    """Ids present in a label map; 0 is the background and is left out."""
    return frozenset(np.flatnonzero(np.bincount(labels.ravel())).tolist()) - {0}


class VideoScorer:
    """Score one video, frame by frame in order, from label maps of predictions and truth.

    The first and the last frame are not scored. As in `vos-benchmark`, an object counts
    from the first scored frame that shows it, in truth or prediction, and only objects
    that some scored truth shows are reported.
    """

    def __init__(self, frames: int) -> None:
        if frames < 3:
            raise ScoreError(
                f'a video of {frames} frames cannot be scored: the first and the last frame '
                'are skipped, so at least 3 are needed'
            )
        self._last = frames - 1
        self._index = 0
        self._prompted: set[int] = set()
        self._true_ids: set[int] = set()
        self._j: dict[int, list[float]] = {}
        self._f: dict[int, list[float]] = {}
        self._absent: dict[int, int] = {}
        self._false: dict[int, int] = {}

    def add(self, prediction: LabelMap, truth: LabelMap) -> None:
        """Take the next frame: label maps [height, width], 0 background, else object ids.

        Raises ScoreError when shapes differ or the video is already complete.
        """
        _check(prediction, truth)
        if self._index > self._last:
            raise ScoreError(f'the video has {self._last + 1} frames and all are scored')
        shown, predicted = labels_in(truth), labels_in(prediction)
        if 0 < self._index < self._last:
            self._score(prediction, truth, shown, predicted)
            self._count_absent(shown, predicted)
        self._prompted |= shown
        self._index += 1

    def _score(
        self,
        prediction: LabelMap,
        truth: LabelMap,
        shown: frozenset[int],
        predicted: frozenset[int],
    ) -> None:
        self._true_ids |= shown
        for target in self._true_ids | self._j.keys() | predicted:
            j, f = score_masks(prediction == target, truth == target)
            self._j.setdefault(target, []).append(j)
            self._f.setdefault(target, []).append(f)

    def _count_absent(self, shown: frozenset[int], predicted: frozenset[int]) -> None:
        for target in self._prompted - shown:
            self._absent[target] = self._absent.get(target, 0) + 1
            self._false[target] = self._false.get(target, 0) + (target in predicted)

    def scores(self) -> Mapping[int, ObjectScore]:
        """Scores of every object by id, in the order of the ids.

        Raises ScoreError while frames are missing.
        """
        if self._index <= self._last:
            raise ScoreError(f'{self._index} of {self._last + 1} frames were scored')
        return {
            target: ObjectScore(
                j=float(np.mean(self._j[target])),
                f=float(np.mean(self._f[target])),
                absent=self._absent.get(target, 0),
                false_masks=self._false.get(target, 0),
            )
            for target in sorted(self._true_ids)
        }


def score_video(
    predictions: Iterable[LabelMap], truths: Iterable[LabelMap]
) -> Mapping[int, ObjectScore]:
    """Score a whole video of label maps; see VideoScorer."""
    pairs = list(zip(predictions, truths, strict=True))
    scorer = VideoScorer(len(pairs))
    for prediction, truth in pairs:
        scorer.add(prediction, truth)
    return scorer.scores()
