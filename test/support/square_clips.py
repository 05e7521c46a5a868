# SPDX-License-Identifier: Apache-2.0
"""Made clips of moving squares, whose scores can be worked out by hand."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

SIDE = 100


def squares(*places: tuple[int, int, int]) -> np.ndarray:
    """A label map of 20 x 20 squares, each given by id, left and top."""
    labels = np.zeros((SIDE, SIDE), np.uint8)
    for target, left, top in places:
        labels[top : top + 20, left : left + 20] = target
    return labels


def paint(labels: np.ndarray, seed: int = 0) -> np.ndarray:
    """An image in which every target is textured, so that optical flow can follow it."""
    texture = np.random.default_rng(seed).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
    texture = cv2.GaussianBlur(texture, (0, 0), 2)
    image = np.full((SIDE, SIDE, 3), 128, np.uint8)
    for target in np.unique(labels[labels > 0]):
        x, y, width, height = cv2.boundingRect((labels == target).view(np.uint8))
        image[y : y + height, x : x + width] = texture[:height, :width] // target
    return image


def write_clip(frames: Path, masks: Path, truths: Sequence[np.ndarray]) -> None:
    frames.mkdir(parents=True)
    masks.mkdir(parents=True)
    for index, truth in enumerate(truths):
        Image.fromarray(paint(truth)).save(frames / f'{index:05}.png')
        Image.fromarray(truth).save(masks / f'{index:05}.png')


# One target that moves right by 5 px a frame.
MOVING = tuple(squares((1, 20 + 5 * step, 40)) for step in range(5))
# The first target leaves for good while a second one has come.
CHANGING = (
    squares((1, 20, 40)),
    squares((1, 20, 40)),
    squares((1, 20, 40), (2, 60, 10)),
    squares((2, 60, 10)),
    squares((2, 60, 10)),
    squares((2, 60, 10)),
)
