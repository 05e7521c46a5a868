# SPDX-License-Identifier: Apache-2.0
"""What every method that is scored has in common: images and prompts in, label maps out."""

from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from esam2_ros.core.prompts import Prompt
from esam2_ros.policy.results import FrameResult

LabelMap = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Segmentation:
    """One frame's answer.

    labels  [height, width] uint8, 0 background, else the id of the target
    active  share of the encoder's windows that was computed, None where that means nothing
    queries share of the image that was conditioned on memory, mean over targets; None without any
    result  what the tracker gave, for pictures; None for other methods
    """

    labels: LabelMap
    active: float | None = None
    queries: float | None = None
    result: FrameResult | None = None


class Segmenter(Protocol):
    """A method on one clip: it sees the frames once, in order, and never the future."""

    def step(self, image: NDArray[np.uint8], prompts: Mapping[int, Prompt]) -> Segmentation:
        """Segment the next image [height, width, 3] RGB; `prompts` start targets on it, by id."""
        ...


class PromptKind(StrEnum):
    """How a target is shown to a method on its first frame."""

    MASK = 'mask'
    BOX = 'box'
    POINT = 'point'


def draw_prompt(truth: NDArray[np.bool_], kind: PromptKind) -> Prompt:
    """The prompt a careful person would draw for the mask `truth` [height, width], not empty.

    MASK is the mask itself, BOX its bounding box in pixel edges, POINT the centre of the
    pixel farthest from the mask's outline.
    """
    if kind is PromptKind.MASK:
        return Prompt(mask=truth)
    pixels = truth.view(np.uint8)
    if kind is PromptKind.BOX:
        x, y, width, height = cv2.boundingRect(pixels)
        return Prompt(box=(x, y, x + width, y + height))
    # A frame of background: a target that touches the image's edge ends there.
    depth = cv2.distanceTransform(np.pad(pixels, 1), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    row, column = np.unravel_index(depth.argmax(), depth.shape)
    return Prompt(points=[(column - 0.5, row - 0.5)], point_labels=[1])


def merge(ids: Sequence[int], logits: Tensor, size: tuple[int, int]) -> LabelMap:
    """One label map of several targets; where they overlap the higher logit wins.

    `logits`: [n, h, w], resized bilinearly to `size` (width, height) as SAM2 does it.
    """
    width, height = size
    if not ids:
        return np.zeros((height, width), np.uint8)
    full = logits[:, None].float()
    if full.shape[-2:] != (height, width):
        full = interpolate(full, (height, width), mode='bilinear', align_corners=False)
    best, winner = full[:, 0].max(dim=0)
    palette = torch.tensor(ids, dtype=torch.uint8, device=logits.device)
    return (palette[winner] * (best > 0)).cpu().numpy()
