# SPDX-License-Identifier: Apache-2.0
"""From prompt messages to what the tracker takes."""

import math

import numpy as np

from esam2_ros.core.prompts import Prompt
from esam2_ros.errors import PromptError
from esam2_ros.msg import Prompt as PromptMessage
from esam2_ros.ros.images import mono8


def to_prompt(message: PromptMessage) -> Prompt:
    """The prompt of a message.

    Raises PromptError (ImageError for a mask that is no mono8 image) where the message is not
    of its kind, empty, of unequal lengths or not finite.
    """
    kind = message.kind
    points = _points(message)
    if kind == PromptMessage.MASK:
        return Prompt(mask=mono8(message.mask, 'mask') != 0, label=message.label)
    if kind == PromptMessage.BOX:
        labels = list(message.point_labels) if points else None
        return Prompt(
            box=[float(edge) for edge in message.box],
            points=points or None,
            point_labels=labels,
            label=message.label,
        )
    if kind == PromptMessage.POINTS:
        return Prompt(
            points=np.array(points, np.float32).reshape(-1, 2),
            point_labels=list(message.point_labels),
            label=message.label,
        )
    raise PromptError(f'kind is {kind}; allowed: 0 (POINTS), 1 (BOX), 2 (MASK)')


def _points(message: PromptMessage) -> list[tuple[float, float]]:
    counts = len(message.points_x), len(message.points_y), len(message.point_labels)
    if len(set(counts)) != 1:
        raise PromptError(
            'points_x, points_y and point_labels have {}, {} and {} values;'
            ' needed: as many of each'.format(*counts)
        )
    points = list(zip(message.points_x, message.points_y, strict=True))
    if not all(math.isfinite(x) and math.isfinite(y) for x, y in points):
        raise PromptError(f'points are not finite: {points}')
    return points
