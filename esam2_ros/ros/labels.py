# SPDX-License-Identifier: Apache-2.0
"""All targets in one image: each pixel holds the id of its target."""

import cv2
import numpy as np
from numpy.typing import NDArray

from esam2_ros.core.transfer import to_host
from esam2_ros.policy.results import TargetState


def label_image(
    targets: tuple[TargetState, ...], size: tuple[int, int], dtype: type[np.unsignedinteger]
) -> NDArray[np.unsignedinteger]:
    """Draw targets into an image [height, width]; 0 is the background.

    `size` is width, height in pixels. Where masks overlap, the higher mask logit wins.
    """
    width, height = size
    labels = np.zeros((height, width), dtype)
    covered = np.zeros((height, width), np.uint8)
    for target in targets:
        rows, columns = _frame(target)
        mask = target.mask[rows, columns]
        labels[rows, columns][mask] = target.id
        covered[rows, columns] += mask
    if len(targets) > 1 and covered.max() > 1:
        _settle(labels, covered > 1, targets, size)
    return labels


def _settle(
    labels: NDArray[np.unsignedinteger],
    contested: NDArray[np.bool_],
    targets: tuple[TargetState, ...],
    size: tuple[int, int],
) -> None:
    """Give each contested pixel to the target with the highest logit there."""
    best = np.full(np.count_nonzero(contested), -np.inf, np.float32)
    winner = labels[contested]
    rivals = [target for target in targets if target.mask[contested].any()]
    drawn = to_host([target.mask_logits for target in rivals])
    for target, logits in zip(rivals, drawn, strict=True):
        claimed = target.mask[contested]
        full = cv2.resize(logits.numpy(), size, interpolation=cv2.INTER_LINEAR)
        there = full[contested]
        better = claimed & (there > best)
        winner[better] = target.id
        best[better] = there[better]
    labels[contested] = winner


def _frame(target: TargetState) -> tuple[slice, slice]:
    """The part of the image that holds the target."""
    if target.box is None:
        return slice(0), slice(0)
    x0, y0, x1, y1 = (round(edge) for edge in target.box)
    return slice(y0, y1), slice(x0, x1)
