# SPDX-License-Identifier: Apache-2.0
"""How two thumbnails differ, before and after the motion of the camera is undone."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from esam2_ros.policy.monitor.motion import STAYED
from esam2_ros.policy.monitor.motion import Matrix
from esam2_ros.policy.monitor.motion import Motion
from esam2_ros.policy.monitor.motion import estimate_motion
from esam2_ros.policy.monitor.thumbnail import Pixels
from esam2_ros.policy.monitor.thumbnail import Points
from esam2_ros.policy.monitor.thumbnail import Thumbnail

Mask = NDArray[np.bool_]
_BLOCK = 8  # pixels of `coarse` a side
_CHANCE_CELL = 11  # thumbnail pixels a side: patches of this size agree by chance now and then
_OVERLAP = 0.3  # share of the picture that must remain for a comparison after warping
_FEW = 8  # found places: with fewer, the whole picture tells how the light changed
_SOME = 4  # places found on a target below which they say nothing of its motion
_EVEN = 2.0  # levels added to both contrasts before they are made equal


@dataclass(frozen=True, eq=False)
class Change:
    """From one thumbnail to the next; the fields are those of `SceneView`, shift aside.

    likeness      found share + structure, less what two pictures of this size have by chance
                  (two standard deviations of a correlation)
    shift         where the middle went, (x, y) in thumbnail pixels
    object_shift  where the target went, the same; None when too little of it was found again
    """

    difference: float
    local_difference: float
    motion: Motion
    shift: tuple[float, float]
    rotation: float
    scale: float
    structure: float
    likeness: float
    palette: float
    light: float
    residual_before: float
    residual_after: float
    object_residual: float | None
    object_shift: tuple[float, float] | None


def frame_difference(before: Thumbnail, after: Thumbnail) -> float:
    """Mean colour difference in levels."""
    return float(np.mean(cv2.mean(cv2.absdiff(before.colour, after.colour))[:3]))


def _local_difference(before: Thumbnail, after: Thumbnail) -> float:
    """The largest mean luma difference of a block, in levels."""
    change = cv2.absdiff(before.coarse, after.coarse)
    blocks = [max(1, round(side / _BLOCK)) for side in reversed(change.shape)]
    return float(cv2.resize(change, blocks, interpolation=cv2.INTER_AREA).max())


def compare(before: Thumbnail, after: Thumbnail, target: Mask | None) -> Change:
    """Measure the change; `target` is the object mask, sized as `before.coarse`."""
    motion = estimate_motion(before, after)
    height, width = before.luma.shape
    half = motion.matrix * np.array([[1, 1, 0.5], [1, 1, 0.5]])
    still, moved = _Undone(before, after, STAYED), _Undone(before, after, half)
    best = moved if moved.share >= _OVERLAP else still
    structure = max(still.structure(), best.structure())
    chance = 2 * _CHANCE_CELL / np.sqrt(width * height)
    residual = best.residual()
    middle = np.array([width / 2, height / 2])
    dx, dy = motion.matrix[:, :2] @ middle + motion.matrix[:, 2] - middle
    return Change(
        difference=frame_difference(before, after),
        local_difference=_local_difference(before, after),
        motion=motion,
        shift=(float(dx), float(dy)),
        rotation=float(np.arctan2(motion.matrix[1, 0], motion.matrix[0, 0])),
        scale=float(np.hypot(motion.matrix[0, 0], motion.matrix[1, 0])),
        structure=structure,
        likeness=float(motion.found + max(structure, 0.0) - chance),
        palette=float(np.minimum(before.palette, after.palette).sum()),
        light=_light(before, after, motion),
        residual_before=float(still.residual().mean()),
        residual_after=float(residual.mean()),
        object_residual=best.within(target, residual),
        object_shift=_object_shift(before, motion, target),
    )


class _Undone:
    """The two half-size pictures on top of each other where both are seen."""

    def __init__(self, before: Thumbnail, after: Thumbnail, matrix: Matrix) -> None:
        height, width = before.coarse.shape
        self._matrix, self._size = matrix, (width, height)
        self._pair = before, after
        everywhere = np.full((height, width), 255, np.uint8)
        self._seen = self._warp(everywhere) == 255
        self.share = float(self._seen.mean())

    def _warp(self, image: Pixels) -> Pixels:
        return np.asarray(cv2.warpAffine(image, self._matrix, self._size), np.uint8)

    def structure(self) -> float:
        """Correlation of local contrast."""
        before, after = self._pair
        one = self._warp(before.form)[self._seen].astype(np.float32)
        two = after.form[self._seen].astype(np.float32)
        one -= one.mean()
        two -= two.mean()
        return float(one @ two / np.sqrt((one @ one) * (two @ two) + 1.0))

    def residual(self) -> NDArray[np.float32]:
        """Absolute luma difference where both are seen, with mean and contrast made equal."""
        before, after = self._pair
        one = self._warp(before.coarse)[self._seen].astype(np.float32)
        two = after.coarse[self._seen].astype(np.float32)
        gain = (two.std() + _EVEN) / (one.std() + _EVEN)
        even = (one - one.mean()) * gain - (two - two.mean())
        return np.asarray(np.abs(even), np.float32)

    def within(self, target: Mask | None, residual: NDArray[np.float32]) -> float | None:
        """Mean residual in the object mask, which moves along; None when it is empty."""
        if target is None:
            return None
        inside = self._warp(target.astype(np.uint8) * 255)[self._seen] > 127
        return float(residual[inside].mean()) if inside.any() else None


def _object_shift(
    before: Thumbnail, motion: Motion, target: Mask | None
) -> tuple[float, float] | None:
    """The median way of the target's corners; None when fewer than a third were found again."""
    if target is None:
        return None
    seen = _inside(target, motion.places)
    if seen.sum() < max(_SOME, _inside(target, before.corners).sum() / 3):
        return None
    dx, dy = np.median((motion.arrived - motion.places)[seen], axis=0)
    return float(dx), float(dy)


def _inside(target: Mask, places: Points) -> Mask:
    rows, columns = target.shape
    x, y = (places / 2).astype(int).T
    return np.asarray(target[y.clip(0, rows - 1), x.clip(0, columns - 1)])


def _light(before: Thumbnail, after: Thumbnail, motion: Motion) -> float:
    """Change of brightness at the places found again, so that motion does not count."""
    if len(motion.places) < _FEW:
        return float(after.luma.mean()) - float(before.luma.mean())
    height, width = after.luma.shape
    ends = []
    for luma, places in ((before.luma, motion.places), (after.luma, motion.arrived)):
        x, y = np.rint(places).astype(int).T
        ends.append(luma[y.clip(0, height - 1), x.clip(0, width - 1)].astype(np.float32))
    return float(np.median(ends[1] - ends[0]))
