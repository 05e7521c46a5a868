# SPDX-License-Identifier: Apache-2.0
"""Floors that need no network: what any tracker must beat before its score means something.

Both start from the mask of a target's first frame, whatever the other modes are prompted with.
"""

from collections.abc import Mapping

import cv2
import numpy as np
from numpy.typing import NDArray

from esam2_ros.core.prompts import Prompt
from esam2_ros.errors import PromptError
from esam2_ros.evaluation.segmenter import LabelMap
from esam2_ros.evaluation.segmenter import Segmentation


def _draw(labels: LabelMap, prompts: Mapping[int, Prompt]) -> LabelMap:
    drawn = labels.copy()
    for target, prompt in prompts.items():
        if prompt.mask is None:
            raise PromptError(f'target {target} has no mask: a floor starts from a mask prompt')
        drawn[prompt.mask] = target
    return drawn


class CopyFirst:
    """The first mask of every target, unchanged on every frame."""

    def __init__(self) -> None:
        """Start without targets."""
        self._labels: LabelMap | None = None

    def step(self, image: NDArray[np.uint8], prompts: Mapping[int, Prompt]) -> Segmentation:
        """Segment the next image; see Segmenter."""
        if self._labels is None:
            self._labels = np.zeros(image.shape[:2], np.uint8)
        self._labels = _draw(self._labels, prompts)
        return Segmentation(self._labels)


class FlowWarp:
    """The mask of the frame before, moved along dense optical flow (DIS, medium preset).

    The flow runs from the frame before to this one and is read at the pixel it arrives at,
    as the floor these tables are measured by always was.
    """

    def __init__(self) -> None:
        """Start without targets."""
        self._flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        self._before: NDArray[np.uint8] | None = None
        self._labels: LabelMap | None = None
        self._grid: NDArray[np.float32] | None = None

    def step(self, image: NDArray[np.uint8], prompts: Mapping[int, Prompt]) -> Segmentation:
        """Segment the next image; see Segmenter."""
        grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        if self._before is None or self._labels is None:
            labels = np.zeros(grey.shape, np.uint8)
        else:
            labels = self._warp(self._labels, self._flow.calc(self._before, grey, None))
        self._before, self._labels = grey, _draw(labels, prompts)
        return Segmentation(self._labels)

    def _warp(self, labels: LabelMap, flow: NDArray[np.float32]) -> LabelMap:
        if self._grid is None:
            rows, columns = np.indices(labels.shape, np.float32)
            self._grid = np.stack([columns, rows], axis=-1)  # [height, width, x y]
        # Nearest, because a label is a name: two of them have no mean.
        warped = cv2.remap(labels, self._grid - flow, None, cv2.INTER_NEAREST)
        return np.asarray(warped, np.uint8)
