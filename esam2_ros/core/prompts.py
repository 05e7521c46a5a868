# SPDX-License-Identifier: Apache-2.0
"""What a user draws on an image to say which target is meant."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from esam2_ros.errors import PromptError

_EDGE = 1.0  # a box may reach this many pixels over the image's edge; it is clipped


@dataclass(frozen=True, eq=False)
class Prompt:
    """Points, a box, a box with points, or a mask; in pixels of the original image.

    points        [n, 2] x, y
    point_labels  [n] 1 on the target, 0 off it
    box           [4] x_min, y_min, x_max, y_max
    mask          [height, width] nonzero on the target; stands alone
    label         any text; kept with the target

    Accepts sequences or arrays and holds arrays. Raises PromptError when empty, of a wrong
    shape or not finite; `check` tests it against an image.
    """

    points: NDArray[np.float32] | Sequence[Sequence[float]] | None = None
    point_labels: NDArray[np.int32] | Sequence[int] | None = None
    box: NDArray[np.float32] | Sequence[float] | None = None
    mask: NDArray[np.bool_] | None = None
    label: str = ''

    def __post_init__(self) -> None:
        points, labels = _points(self.points, self.point_labels)
        box = None if self.box is None else _box(self.box)
        mask = None if self.mask is None else _mask(self.mask)
        if points is None and box is None and mask is None:
            raise PromptError('empty prompt: give points, a box or a mask')
        if mask is not None and (points is not None or box is not None):
            raise PromptError('a mask prompt stands alone: give no points and no box with it')
        for name, value in (
            ('points', points),
            ('point_labels', labels),
            ('box', box),
            ('mask', mask),
        ):
            object.__setattr__(self, name, value)

    def check(self, width: int, height: int) -> None:
        """Raise PromptError when the prompt does not fit an image of this size in pixels."""
        if self.points is not None:
            for x, y in np.asarray(self.points):
                if not (0 <= x <= width and 0 <= y <= height):
                    raise PromptError(
                        f'point ({x:g}, {y:g}) is outside the image of {width} x {height} px'
                    )
        if self.box is not None:
            x0, y0, x1, y1 = np.asarray(self.box)
            inside = min(x0, y0) >= -_EDGE and x1 <= width + _EDGE and y1 <= height + _EDGE
            if not inside:
                raise PromptError(
                    f'box ({x0:g}, {y0:g}, {x1:g}, {y1:g}) is outside the image'
                    f' of {width} x {height} px'
                )
        if self.mask is not None:
            rows, columns = self.mask.shape
            if (columns, rows) != (width, height):
                raise PromptError(
                    f'mask is {columns} x {rows} px, the image is {width} x {height} px'
                )


def point_inputs(prompt: Prompt, width: int, height: int, side: int) -> tuple[Tensor, Tensor]:
    """Points and box corners as SAM2 takes them: model pixels; labels 2 and 3 are corners.

    Returns coordinates [1, n, 2] float32 and labels [1, n] int32; a box comes first.
    """
    points, labels = [], []
    if prompt.box is not None:
        corners = np.asarray(prompt.box).reshape(2, 2)
        points.append(np.clip(corners, 0, (width, height)))
        labels.append(np.array([2, 3]))
    if prompt.points is not None and prompt.point_labels is not None:
        points.append(np.asarray(prompt.points))
        labels.append(np.asarray(prompt.point_labels))
    scaled = np.concatenate(points) / np.array([width, height]) * side
    return (
        torch.from_numpy(scaled.astype(np.float32))[None],
        torch.from_numpy(np.concatenate(labels).astype(np.int32))[None],
    )


def mask_input(mask: NDArray[np.bool_], side: int) -> Tensor:
    """The mask at the model's size: [1, 1, side, side] float32 of 0 and 1 (as SAM2 resizes it)."""
    full = torch.from_numpy(np.ascontiguousarray(mask)).float()[None, None]
    if mask.shape == (side, side):
        return full
    resized = torch.nn.functional.interpolate(
        full, (side, side), mode='bilinear', align_corners=False, antialias=True
    )
    return (resized >= 0.5).float()


def _points(
    points: Any, labels: Any
) -> tuple[NDArray[np.float32] | None, NDArray[np.int32] | None]:
    if points is None:
        if labels is not None and len(labels):
            raise PromptError(f'{len(labels)} point_labels without points')
        return None, None
    array = np.array(points, np.float32)
    if array.size == 0:
        raise PromptError('no points: give at least one')
    if array.ndim != 2 or array.shape[1] != 2:
        raise PromptError(f'points have shape {array.shape}; allowed: [n, 2]')
    if not np.isfinite(array).all():
        raise PromptError(f'points are not finite: {array.tolist()}')
    marks = np.ones(len(array), np.int32) if labels is None else np.array(labels, np.int32)
    if marks.shape != (len(array),):
        raise PromptError(f'{marks.size} point_labels for {len(array)} points')
    if not np.isin(marks, (0, 1)).all():
        raise PromptError(f'point_labels are {marks.tolist()}; allowed: 1 (on the target), 0 (off)')
    return array, marks


def _box(box: Any) -> NDArray[np.float32]:
    array = np.array(box, np.float32)
    if array.shape != (4,):
        raise PromptError(f'box has shape {array.shape}; allowed: [4] (x_min y_min x_max y_max)')
    if not np.isfinite(array).all():
        raise PromptError(f'box is not finite: {array.tolist()}')
    if array[2] <= array[0] or array[3] <= array[1]:
        raise PromptError(f'box {array.tolist()} is empty; needed: x_min < x_max, y_min < y_max')
    return array


def _mask(mask: Any) -> NDArray[np.bool_]:
    drawn = np.asarray(mask)
    if drawn.ndim != 2 or drawn.size == 0:
        raise PromptError(f'mask has shape {drawn.shape}; allowed: [height, width]')
    array: NDArray[np.bool_] = drawn != 0
    if not array.any():
        raise PromptError('mask is empty: no pixel is on the target')
    return array
